"""Widths of reflections that grow with resolution: what mosaic blocks, domain size and bandwidth add to them."""
