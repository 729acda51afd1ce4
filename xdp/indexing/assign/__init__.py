"""Miller indices for spots."""
