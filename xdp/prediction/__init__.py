"""Rays, where they meet panels, and reflections on the Ewald sphere."""
