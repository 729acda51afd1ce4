"""The background under reflections: estimated from the pixels around each, or from a model of the whole series."""
