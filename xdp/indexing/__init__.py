"""Lattices from spots: search, choice, assignment."""
