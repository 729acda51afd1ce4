"""Integration of rotation data as tasks."""
