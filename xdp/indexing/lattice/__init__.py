"""Lattices: reduced bases, Bravais types, symmetry."""
