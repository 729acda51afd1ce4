"""The bridge between option models and PHIL text."""
