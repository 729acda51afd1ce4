"""Shots from images to intensities in one pass: hits, spots, lattices, intensities."""
