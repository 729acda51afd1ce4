"""Profiles of stills: reciprocal lattice points as three-dimensional Gaussians, cut by the Ewald sphere."""
