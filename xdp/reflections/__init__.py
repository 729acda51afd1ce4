"""The reflection table and its files."""
