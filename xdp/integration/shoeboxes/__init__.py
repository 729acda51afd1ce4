"""Shoeboxes: cut out of frames, packed, their pixels assigned to reflections and background."""
