"""Changing the embedding model of a catalog: candidates, canaries, and what a rollout needs before it is promoted."""
