"""From the image files that a user names to experiments."""
