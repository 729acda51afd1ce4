"""The least-squares problem of refinement, and its solution."""
