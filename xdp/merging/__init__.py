"""Merged intensities: which observations are of one reflection, their means, and how well they agree."""
