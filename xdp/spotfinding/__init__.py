"""Spots: threshold, label, measure, filter."""
