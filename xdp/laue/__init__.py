"""Laue data: spots without indexing."""
