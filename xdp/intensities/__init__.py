"""Distributions of intensities, before and after merging: what the search for symmetry and the merging share."""
