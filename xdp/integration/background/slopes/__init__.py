"""Backgrounds that are not level: the radial profile of a sweep, and the slopes that boxes have beside it."""
