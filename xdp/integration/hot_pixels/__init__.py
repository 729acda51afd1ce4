"""Hot and dead pixels among the pixels that are integrated."""
