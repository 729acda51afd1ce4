"""Thresholds of all panels of a detector, from the options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xdp.errors import OptionError
from xdp.options import AUTO
from xdp.spotfinding.options import SpotFinderOptions, ThresholdOptions
from xdp.spotfinding.threshold.dispersion import PanelThreshold, Thresholder

if TYPE_CHECKING:
    from xdp.experiment import Beam, Detector


class PanelPixels(NamedTuple):
    """What is known of the pixels of all panels; each sequence has one item a panel.

    Attributes
    ----------
    masks : sequence of (slow, fast) bool, or None
        Pixels that may be used; None: all.
    limits : sequence of (float, float), or None
        Lowest and highest good raw count; None: any count is good.
    gains, pedestals : sequence, or None
        Corrections as of :func:`xdp.images.corrections.read_corrections`; None: none.
    """

    masks: Sequence[np.ndarray] | None = None
    limits: Sequence[tuple[float, float]] | None = None
    gains: Sequence[Any] | None = None
    pedestals: Sequence[Any] | None = None


def make_panel_thresholds(detector: Detector, beam: Beam, options: SpotFinderOptions, pixels: PanelPixels,
                          estimate_global: Callable[[], float]) -> list[PanelThreshold]:
    """Make the thresholds of all panels.

    Parameters
    ----------
    detector : Detector
        Its panels.
    beam : Beam
        Tells the scattering angles, for ``radial_profile``.
    options : SpotFinderOptions
        ``threshold`` and ``region_of_interest``.
    pixels : PanelPixels
        Masks, limits and corrections.
    estimate_global : callable
        Gives the global threshold where ``global_threshold`` is Auto.

    Returns
    -------
    list of PanelThreshold
        One a panel.

    Raises
    ------
    OptionError
        If a parameter of the threshold makes no sense.
    """
    settings = choose_settings(options.threshold, estimate_global)
    algorithm = options.threshold.algorithm
    thresholds: list[PanelThreshold] = []
    for i, panel in enumerate(detector):
        common = {"options": settings, "gain_map": None if pixels.gains is None else pixels.gains[i],
                  "pedestal": None if pixels.pedestals is None else pixels.pedestals[i],
                  "trusted_range": None if pixels.limits is None else pixels.limits[i],
                  "region_of_interest": options.region_of_interest}
        mask = None if pixels.masks is None else pixels.masks[i]
        if algorithm == "radial_profile":
            from xdp.spotfinding.threshold.radial_profile import RadialThresholder, compute_two_theta_map

            angles = compute_two_theta_map(detector, beam, i)
            thresholds.append(RadialThresholder(panel.shape, mask, two_theta=angles, panel_gain=panel.gain, **common))
        else:
            thresholds.append(Thresholder(panel.shape, mask, algorithm=algorithm, **common))
    return thresholds


def choose_settings(threshold: ThresholdOptions, estimate_global: Callable[[], float]) -> Any:
    """Choose the settings of the algorithm that is asked for, with all that is Auto worked out.

    Parameters
    ----------
    threshold : ThresholdOptions
    estimate_global : callable
        Gives the global threshold where it is Auto.

    Returns
    -------
    DispersionOptions or RadialProfileOptions

    Raises
    ------
    OptionError
        If a number is None that must be given.
    """
    scope = "radial_profile" if threshold.algorithm == "radial_profile" else "dispersion"
    settings = getattr(threshold, scope)
    for name in type(settings).model_fields:
        # None is a value only where it has a meaning: no gain, no smoothing
        if getattr(settings, name) is None and name not in ("gain", "blur"):
            raise OptionError(f"spotfinder.threshold.{scope}.{name} must be a number, got None")
    if scope == "dispersion" and settings.global_threshold is AUTO:
        return settings.model_copy(update={"global_threshold": estimate_global()})
    return settings
