"""The search for lattices in the spots."""
