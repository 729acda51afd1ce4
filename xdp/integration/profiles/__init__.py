"""Profiles: the model of their width, reference profiles, and fits."""
