"""Integration of stills."""
