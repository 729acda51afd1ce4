"""Gain and pedestal: what counts must be corrected for before they are numbers of photons."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.images.masks.static import check_panel_shapes

_NEAR = 1e-7
"""A gain this close to 1, or a pedestal (counts) this close to 0, is none; the value is a choice."""


def read_corrections(experiment: Any) -> tuple[list, list]:
    """Read gain and pedestal of each panel.

    Maps that the image set names come first; else the panels' own numbers, where all gains are positive.

    Parameters
    ----------
    experiment : Experiment
        With a detector; maps of pixels are named by its image set, where it has one.

    Returns
    -------
    gains, pedestals : list
        One entry a panel: a number, a map (slow, fast) float64, or None where there is nothing to correct. A gain is in
        counts per photon, a pedestal in counts.

    Raises
    ------
    FormatError
        If a map cannot be read or does not fit the detector.
    """
    panels, imageset = list(experiment.detector), experiment.imageset
    gains: list = [None] * len(panels)
    pedestals: list = [None] * len(panels)
    if imageset is not None and imageset.gain:
        gains = _read_maps(imageset.gain, experiment)
    # A gain of 0 stands for an unknown one: then no panel is corrected.
    elif all(p.gain > 0 for p in panels) and any(abs(p.gain - 1.0) > _NEAR for p in panels):
        gains = [p.gain for p in panels]
    if imageset is not None and imageset.pedestal:
        pedestals = _read_maps(imageset.pedestal, experiment)
    elif any(abs(p.pedestal) > _NEAR for p in panels):
        pedestals = [p.pedestal for p in panels]
    return gains, pedestals


def correct_counts(image: np.ndarray, gain: Any, pedestal: Any) -> np.ndarray:
    """Take the pedestal off an image and divide it by the gain.

    Parameters
    ----------
    image : (slow, fast) array
        Raw counts.
    gain : float, (slow, fast) array or None
        Counts per photon; None divides by nothing.
    pedestal : float, (slow, fast) array or None
        Counts without light; None takes nothing off.

    Returns
    -------
    (slow, fast) array
        Photons, float64; the raw image itself where both are None.

    Examples
    --------
    >>> import numpy as np
    >>> correct_counts(np.array([[10, 30]]), gain=2.0, pedestal=10.0)
    array([[ 0., 10.]])
    """
    if pedestal is not None:
        image = image - np.asarray(pedestal, np.float64)
    if gain is not None:
        image = image / np.asarray(gain, np.float64)
    return image


def _read_maps(path: str, experiment: Any) -> list[np.ndarray]:
    """Read one map a panel from a pickle as DIALS writes it."""
    from xdp.images.masks.pickles import read_maps

    maps = [m.astype(np.float64) for m in read_maps(path)]
    check_panel_shapes(maps, experiment.detector.panel_shapes, str(path))
    return maps
