"""Merging of stills: lattices on one scale, in one indexing, weighted by what is known of their partialities."""
