"""Image formats, lazy stacks, masks, and conversion."""
