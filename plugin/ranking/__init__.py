"""Ranking profiles: what a shop writes down about its ranking, compiled into the stored templates."""
