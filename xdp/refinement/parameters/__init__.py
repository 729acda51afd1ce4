"""The parameters of refinement: how models depend on them."""
