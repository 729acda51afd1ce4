"""Scales: what brings the observations of one reflection to one intensity."""
