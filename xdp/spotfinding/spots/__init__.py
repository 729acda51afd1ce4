"""Spots: strong pixels joined, measured and filtered."""
