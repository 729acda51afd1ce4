r"""What sigma_m is without the background under spots, and without the pixels that were too faint to be found.

A spot finder keeps strong pixels, with the background in their counts. On a strong background that makes counts of all
frames more alike, and sigma_m too large: by 16 % at 400 counts a pixel. What is left out of faint spots makes it too
small. Here the background is taken off. Spots are put into groups by their contrast c, the height of the brightest
pixel over that of the faintest, both above the background. Their sigma_m^2, relative to what the model says, is fitted
with

.. math:: R\,(1 - a / c),

so that R is that of spots of which nothing is missing.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, replace

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.mosaic.measure import estimate_background
from xdp.integration.profiles.spot_spread import SpotFrames, estimate_sigma_m, measure_spot_frames
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

MOST_SPOTS = 3000
"""Of more, so many to twice as many are measured. A choice that bounds the time: they give sigma_m to 2 %."""
_LEAST_CONTRAST = 3.0
"""Less than this is little more than one pixel, whose frames tell nothing. A choice."""
_GROUPS = 6
"""Of as many spots each. A choice."""
_LEAST_SPOTS = 30
"""In a group: fewer give no useful width. A choice."""
_LEAST_CHANGE = 0.02
"""Of sigma_m^2: less changes no intensity by as much as a thousandth, and is not worth a line."""


@dataclass(frozen=True)
class NetSpots:
    """Spots without the background under them.

    Attributes
    ----------
    experiment : Experiment
    rows : (n,) int64
        Which of all spots these are: an even part of those of enough contrast.
    seen : SpotFrames
        Their counts on each frame.
    phi, zeta : (n,) float64
        Predicted angle, rad, and component of the rotation axis along s1 x s0.
    contrast : (n,) float64
        Brightest over faintest strong pixel, both above the background.
    """

    experiment: Experiment
    rows: np.ndarray
    seen: SpotFrames
    phi: np.ndarray
    zeta: np.ndarray
    contrast: np.ndarray

    def compare_width(self, inside: np.ndarray, expected: np.ndarray) -> float | None:
        """Estimate sigma_m^2 of some of the spots over what is expected of them.

        Parameters
        ----------
        inside : (n,) bool
        expected : (n,) float64
            sigma_m^2, rad^2.

        Returns
        -------
        float or None
            None where no frame has counts.
        """
        part = self.seen.select(inside[self.seen.spot])
        if not np.any(part.own > 0.0):
            return None
        # angles in units of what is expected: then all spots have one width
        middle = float(expected[inside].mean())
        zeta = self.zeta / np.sqrt(expected / middle)
        return estimate_sigma_m(self.experiment, part, self.phi, zeta, basic=False) ** 2 / middle


def measure_net_spots(experiment: Experiment, spots: ReflectionTable, zeta: np.ndarray) -> NetSpots:
    """Measure spots without the background under them.

    Parameters
    ----------
    experiment : Experiment
        With beam, detector, crystal, goniometer and scan.
    spots : ReflectionTable
        With ``shoebox`` as found, ``s1``, ``xyzcal.mm``, ``miller_index``.
    zeta : (n,) float64
        Of the spots.

    Returns
    -------
    NetSpots
    """
    rows = np.arange(0, len(spots), max(len(spots) // MOST_SPOTS, 1))
    net, contrast = _subtract_background(spots.select(rows))
    enough = np.flatnonzero(contrast > _LEAST_CONTRAST)
    rows, net, contrast = rows[enough], net.select(enough), contrast[enough]
    return NetSpots(experiment, rows, measure_spot_frames(experiment, net, net["s1"]), net["xyzcal.mm"][:, 2],
                    zeta[rows], contrast)


def estimate_range_scale(net: NetSpots, expected: np.ndarray, *, least_significance: float) -> float:
    """Estimate by what sigma_m^2 of a model is to be multiplied.

    Parameters
    ----------
    net : NetSpots
    expected : (n,) float64
        sigma_m^2 of the model for each of them, rad^2.
    least_significance : float
        Errors by which the factor must differ from 1.

    Returns
    -------
    float
        1 where the spots do not clearly say else.
    """
    found = _measure_groups(net, expected)
    if len(found) < 3:
        return 1.0
    faintness, ratio, error = found.T
    a = np.stack([np.ones_like(faintness), -faintness], axis=1) / error[:, None]
    covariance = np.linalg.inv(a.T @ a)
    terms = covariance @ (a.T @ (ratio / error))
    chi = np.square(a @ terms - ratio / error).sum() / (len(found) - 2)
    scale, sigma = float(terms[0]), float(np.sqrt(covariance[0, 0] * max(chi, 1.0)))
    if not scale > 0.0 or abs(scale - 1.0) < max(least_significance * sigma, _LEAST_CHANGE):
        return 1.0
    log.info("Reflecting range: without the background under spots sigma_m is %.3f +- %.3f times that above",
             np.sqrt(scale), 0.5 * sigma / np.sqrt(scale))
    return scale


def _subtract_background(spots: ReflectionTable) -> tuple[ReflectionTable, np.ndarray]:
    """Take the background off the strong pixels of spots; gives the contrast of each, too."""
    boxes = spots["shoebox"]
    marked = boxes.mask != 0
    spot = np.repeat(np.arange(len(boxes)), np.diff(boxes.offsets))[marked]
    level, lowest = estimate_background(boxes)
    data = boxes.data.astype(np.float32)
    data[marked] -= level[spot]
    highest = np.zeros(len(boxes))
    # pixels of a spot follow each other; spots without strong pixels are passed over
    first = np.flatnonzero(np.diff(spot, prepend=-1))
    if len(first):
        highest[spot[first]] = np.maximum(np.maximum.reduceat(data[marked], first), 0.0)
    # a faintest pixel of one count on no background is half a count above it, at least
    return spots.with_columns(shoebox=replace(boxes, data=data)), highest / np.maximum(lowest - level, 0.5)


def _measure_groups(net: NetSpots, expected: np.ndarray) -> np.ndarray:
    """Measure mean 1 / contrast, sigma_m^2 over the expected one and its error (g, 3) of groups of spots."""
    order = np.argsort(net.contrast)
    if len(order) < _LEAST_SPOTS * 3:
        return np.zeros((0, 3))
    n_groups = min(_GROUPS, len(order) // _LEAST_SPOTS)
    found = []
    for first, last in itertools.pairwise(np.linspace(0, len(order), n_groups + 1).astype(int).tolist()):
        inside = np.zeros(len(order), bool)
        inside[order[first:last]] = True
        ratio = net.compare_width(inside, expected)
        if ratio is not None:
            found.append((float(np.mean(1.0 / net.contrast[inside])), ratio,
                          compute_ratio_error(ratio, last - first)))
    return np.array(found).reshape(-1, 3)


def compute_ratio_error(ratio: float, n: int) -> float:
    """The standard error of a variance that n spots give.

    Of n widths known exactly it is the part ``sqrt(2 / n)``; frames tell each of them less well.

    Examples
    --------
    >>> compute_ratio_error(1.0, 100)
    0.2
    """
    return 2.0 * ratio / float(np.sqrt(n))
