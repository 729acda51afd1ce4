"""Gain and pedestal: what counts must be corrected for before they are numbers of photons."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.images.masks.static import check_panel_shapes


def corrections(experiment: Any) -> tuple[list, list]:
    """Gain and pedestal of each panel: a number, a map (slow, fast), or None where there is nothing to correct.

    Maps named by the image set come first; else the panels' own numbers, where all gains are positive.
    """
    panels, imageset = list(experiment.detector), experiment.imageset
    gains: list = [None] * len(panels)
    pedestals: list = [None] * len(panels)
    if imageset.gain:
        gains = _read_maps(imageset.gain, experiment)
    elif all(p.gain > 0 for p in panels) and any(abs(p.gain - 1.0) > 1e-7 for p in panels):
        gains = [p.gain for p in panels]
    if imageset.pedestal:
        pedestals = _read_maps(imageset.pedestal, experiment)
    elif any(abs(p.pedestal) > 1e-7 for p in panels):
        pedestals = [p.pedestal for p in panels]
    return gains, pedestals


def corrected(image: np.ndarray, gain: Any, pedestal: Any) -> np.ndarray:
    """The image less its pedestal, over the detector's gain; the raw image where both are None."""
    if pedestal is not None:
        image = image - np.asarray(pedestal, np.float64)
    if gain is not None:
        image = image / np.asarray(gain, np.float64)
    return image


def _read_maps(path: str, experiment: Any) -> list[np.ndarray]:
    """One map a panel from a pickle as DIALS writes it."""
    from xdp.images.masks.pickles import read_maps

    maps = [m.astype(np.float64) for m in read_maps(path)]
    check_panel_shapes(maps, experiment.detector.panel_shapes, str(path))
    return maps
