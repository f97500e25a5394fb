"""One index made the same as another, while others write to it."""
