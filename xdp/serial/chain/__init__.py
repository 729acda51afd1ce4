"""The module chain of pyana: modules that see each shot in turn, any of which may skip it for those after it."""
