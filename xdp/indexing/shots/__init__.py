"""The lattices of a single shot, with a cell that is known: search, refinement, probability of a false alarm."""
