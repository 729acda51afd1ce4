"""Prediction: which reflections of a crystal meet the detector, where, and at which angle."""
