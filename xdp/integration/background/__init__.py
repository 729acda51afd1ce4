"""The background under reflections: estimated from the pixels around each, or from a model of the whole series."""

from xdp.integration.background.fit import BackgroundResult, fit_background, resolve_algorithm

__all__ = ["BackgroundResult", "fit_background", "resolve_algorithm"]
