"""Strong pixels: the threshold algorithms."""
