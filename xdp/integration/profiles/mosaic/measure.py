"""How wide single spots are, by the pixels that a spot finder kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.arguments import BoxPixels
from xdp.integration.profiles.mosaic._kernels_curvature import SpotLevels, measure_curvatures
from xdp.integration.profiles.spot_spread import make_panel_rows
from xdp.reflections.shoeboxes import Shoeboxes

THRESHOLD_SIGMAS = 3.5
"""Background and faintest pixel c of a found spot: ``c = b + 3.5 sqrt(b)``. Spot finders keep pixels of 3 sigma and
more; the faintest of some ten is a little above."""


class WidthMeasurements(NamedTuple):
    """Widths of m spots.

    Attributes
    ----------
    rows : (m,) int64
        Which spots these are.
    curvature, error : (m, 2) float64
        ``-1 / (2 variance)`` along e1 and e2, without the pixels' own variance, and its standard deviation, rad^-2.
    faintness : (m,) float64
        Threshold of the spot finder in units of the spot's height.
    """

    rows: np.ndarray
    curvature: np.ndarray
    error: np.ndarray
    faintness: np.ndarray


def measure_found_spots(experiment: Experiment, s1: np.ndarray, boxes: Shoeboxes, start: np.ndarray
                        ) -> WidthMeasurements:
    """Measure spots as a spot finder left them: only strong pixels, without background.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.
    s1 : (n, 3) float64
        Predicted rays.
    boxes : Shoeboxes
        Counts of the strong pixels, whose mask is not 0.
    start : (n, 2) float64
        Variances along e1 and e2 to start from, rad^2; a factor of ten off does no harm.

    Returns
    -------
    WidthMeasurements
        Of the spots that have enough pixels.
    """
    background, lowest = estimate_background(boxes)
    out = np.full((len(boxes), 5), np.nan)
    measure_curvatures(BoxPixels.from_shoeboxes(boxes), make_panel_rows(experiment), np.ascontiguousarray(s1),
                       experiment.known.beam.s0, SpotLevels(background, lowest, np.ascontiguousarray(start)), out)
    # a Gaussian that rises beyond its pixels fits anything; none is ten times as high as the brightest of all pixels
    highest = 10.0 * float(boxes.data.max(initial=0.0))
    rows = np.flatnonzero(np.all(np.isfinite(out), axis=1) & np.all(out[:, 2:] > 0.0, axis=1) & (out[:, 4] < highest))
    faintness = np.minimum(lowest[rows] / out[rows, 4], 1.0)
    return WidthMeasurements(rows, out[rows, :2], out[rows, 2:4], faintness)


def estimate_background(boxes: Shoeboxes) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the background under found spots, of which only strong pixels are known.

    Parameters
    ----------
    boxes : Shoeboxes
        Counts of the strong pixels, whose mask is not 0.

    Returns
    -------
    background, lowest : (n,) float64
        Counts of a pixel: the background, and the faintest strong pixel, which is `THRESHOLD_SIGMAS` above it.

    Examples
    --------
    >>> boxes = Shoeboxes([0], [[0, 2, 0, 1, 0, 1]], [0, 2], np.array([23.5, 90.0]), np.array([5, 5], np.uint8))
    >>> [round(float(v[0]), 1) for v in estimate_background(boxes)]
    [11.6, 23.5]
    """
    lowest = np.full(len(boxes), np.inf)
    is_marked = boxes.mask != 0
    spot = np.repeat(np.arange(len(boxes)), np.diff(boxes.offsets))[is_marked]
    np.minimum.at(lowest, spot, boxes.data[is_marked].astype(np.float64))
    lowest = np.where(np.isfinite(lowest), np.maximum(lowest, 0.0), 0.0)
    root = 0.5 * (np.sqrt(THRESHOLD_SIGMAS ** 2 + 4.0 * lowest) - THRESHOLD_SIGMAS)
    return root * root, lowest
