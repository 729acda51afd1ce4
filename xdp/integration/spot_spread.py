"""How far spots spread: over angles of the diffracted beam, and over angles of the crystal.

References
----------
W. Kabsch, Acta Cryst. D66, 133 (2010), section 3.1, doi:10.1107/S0907444909047374, for sigma_b and sigma_m.
G. Winter et al., Acta Cryst. D74, 85 (2018), doi:10.1107/S2059798317017235: as DIALS makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.experiment.pixels import px_to_lab
from xdp.integration._kernels_profile_model import mosaicity_likelihood
from xdp.prediction.rays import goniometer_rotations
from xdp.reflections.flags import MaskCode
from xdp.reflections.table import ReflectionTable

_SIGMAS = (np.deg2rad(1e-4), np.deg2rad(30.0))
_STRONG = int(MaskCode.VALID | MaskCode.FOREGROUND)


@dataclass(frozen=True)
class SpotPixels:
    """Pixels of spots that are marked in their shoeboxes, one after the other.

    Attributes
    ----------
    spot : (n,) int64
        Row of the table.
    frame : (n,) int64
        Frame (z of its beginning).
    counts : (n,) float64
    ray : (n, 3) float64
        Unit vectors towards the pixels' centres.
    is_strong : (n,) bool
        Whether it was found as foreground.
    n_spots : int
    """

    spot: np.ndarray
    frame: np.ndarray
    counts: np.ndarray
    ray: np.ndarray
    is_strong: np.ndarray
    n_spots: int

    def select(self, which: np.ndarray) -> SpotPixels:
        """The pixels that a mask picks."""
        return SpotPixels(self.spot[which], self.frame[which], self.counts[which], self.ray[which],
                          self.is_strong[which], self.n_spots)


def spot_pixels(experiment: Experiment, table: ReflectionTable) -> SpotPixels:
    """The pixels with any bit set in the masks of a table's shoeboxes."""
    boxes = table["shoebox"]
    pixels = np.flatnonzero(boxes.mask)
    spot = np.repeat(np.arange(len(boxes)), np.diff(boxes.offsets))[pixels]
    corner = boxes.bbox[spot, ::2].astype(np.int64)
    size = boxes.bbox[spot, 1::2] - corner
    within, x = np.divmod(pixels - boxes.offsets[spot], size[:, 0])
    z, y = np.divmod(within, size[:, 1])
    centres = np.column_stack([corner[:, 0] + x, corner[:, 1] + y]) + 0.5
    ray = lab_points(experiment, boxes.panel[spot], centres)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    return SpotPixels(spot, corner[:, 2] + z, boxes.data[pixels].astype(np.float64), ray,
                      boxes.mask[pixels] == _STRONG, len(boxes))


def lab_points(experiment: Experiment, panel: np.ndarray, xy_px: np.ndarray) -> np.ndarray:
    """Lab coordinates (n, 3), mm, of points (n, 2) in pixels on their panels (n,)."""
    result = np.empty((len(panel), 3))
    for i in np.unique(panel):
        rows = np.flatnonzero(panel == i)
        result[rows] = px_to_lab(experiment.detector, int(i), xy_px[rows])
    return result


def without_neighbours(experiment: Experiment, hkl: np.ndarray, pixels: SpotPixels) -> SpotPixels:
    """Strong pixels that lie nearer to their own reflection's index (n_spots, 3) than to any other's.

    At the beginning and at the end of the frame the pixel's point in reciprocal space must round to that index.
    """
    pixels = pixels.select(pixels.is_strong)
    if experiment.is_still or not len(pixels.spot):
        return pixels
    first = int(pixels.frame.min())
    borders = np.arange(first, int(pixels.frame.max()) + 2)
    turns = goniometer_rotations(experiment.goniometer, np.deg2rad(experiment.scan.angle(borders)))
    to_index = np.linalg.inv(turns @ experiment.crystal.A)
    q = pixels.ray / experiment.beam.wavelength - experiment.beam.s0
    own = np.ones(len(q), bool)
    for end in (0, 1):
        index = np.einsum("nij,nj->ni", to_index[pixels.frame - first + end], q)
        own &= np.all(np.floor(index + 0.5) == hkl[pixels.spot], axis=1)
    return pixels.select(own)


def divergence_variances(pixels: SpotPixels, centre: np.ndarray, group: np.ndarray | None = None
                         ) -> tuple[np.ndarray, np.ndarray]:
    """Variance of the angles between the rays to a spot's pixels and to its centre, weighted with the counts.

    Parameters
    ----------
    pixels
        Of :func:`spot_pixels`.
    centre
        Directions (n_spots, 3), any length.
    group
        Numbers (n,) of what is measured together, each within one spot; the spots if not given.

    Returns
    -------
    groups : (m,) int64
        Those with more than one count.
    variances : (m,)
        rad², sum(counts angle²) / (sum(counts) - 1).
    """
    group = pixels.spot if group is None else group
    unit = centre / np.linalg.norm(centre, axis=1, keepdims=True)
    # the chord is short, so that its half's arc sine is accurate where an arc cosine is not
    chord = np.linalg.norm(pixels.ray - unit[pixels.spot], axis=1)
    angle = 2.0 * np.arcsin(np.minimum(0.5 * chord, 1.0))
    total = np.bincount(group, pixels.counts)
    moment = np.bincount(group, pixels.counts * angle**2)
    groups = np.flatnonzero(total > 1.0)
    return groups, moment[groups] / (total[groups] - 1.0)


@dataclass(frozen=True)
class FrameCounts:
    """On which frames spots were seen.

    Attributes
    ----------
    spot, frame : (m,) int64
        Row of the table, frame; ascending.
    counts : (m,) float64
        Sum of the spot's pixels there, more than 0.
    """

    spot: np.ndarray
    frame: np.ndarray
    counts: np.ndarray


def frame_counts(pixels: SpotPixels) -> FrameCounts:
    """The frames of spots, by their pixels."""
    if not len(pixels.spot):
        return FrameCounts(pixels.spot, pixels.frame, pixels.counts)
    first = pixels.frame.min()
    n_frames = int(pixels.frame.max() - first) + 1
    keys, where = np.unique(pixels.spot * n_frames + pixels.frame - first, return_inverse=True)
    counts = np.bincount(where.ravel(), pixels.counts, minlength=len(keys))
    seen = counts > 0.0
    return FrameCounts(keys[seen] // n_frames, keys[seen] % n_frames + first, counts[seen])


def mosaicity(experiment: Experiment, seen: FrameCounts, phi: np.ndarray, zeta: np.ndarray, *, basic: bool) -> float:
    """The most likely sigma_m, rad: the standard deviation of the angles over which a spot diffracts, times |zeta|.

    Parameters
    ----------
    seen
        Frames of the spots; at least one.
    phi, zeta
        Predicted angle (n_spots,), rad, and zeta (n_spots,) of the spots.
    basic
        Kabsch's likelihood of the frames on which spots were seen; else that of spots as a whole, and of their counts
        as shared among the frames.

    Notes
    -----
    Where the likelihood has no maximum within 1e-4 to 30 degrees, the standard deviation of zeta tau is taken, with tau
    the angles of the frames seen from the spots'.
    """
    angle = phi[seen.spot]
    ends = [np.deg2rad(experiment.scan.angle(seen.frame + end)) - angle for end in (0, 1)]
    early, late = (end * np.abs(zeta[seen.spot]) / sqrt(2.0) for end in ends)
    starts = np.flatnonzero(np.diff(seen.spot, prepend=-1)) if not basic else np.arange(len(early))
    offsets = np.append(starts, len(early)).astype(np.int64)
    counts = np.ones(len(early)) if basic else seen.counts
    sigma, is_inside = _maximise(lambda s: mosaicity_likelihood(early, late, counts, offsets, s))
    if is_inside:
        return sigma
    offset = 0.5 * (ends[0] + ends[1]) * zeta[seen.spot]
    crude = np.std(offset, ddof=1) if len(offset) > 1 else 0.5 * np.deg2rad(abs(experiment.scan.oscillation[1]))
    return max(float(crude), _SIGMAS[0])


def _maximise(likelihood: Callable[[float], float]) -> tuple[float, bool]:
    """The sigma that maximises a function, to about 1e-6 of itself, and whether it lies inside the limits.

    On the logarithm: from half a degree uphill until the top is passed, then Brent's method.
    """
    def cost(x: float) -> float:
        return -likelihood(exp(x))

    limits = log(_SIGMAS[0]), log(_SIGMAS[1])
    step = log(3.0)
    x = [log(np.deg2rad(0.5)) + i * step for i in (-1, 0, 1)]
    y = [cost(v) for v in x]
    while y[1] > min(y[0], y[2]):
        down = y[0] < y[2]
        new = x[0] - step if down else x[2] + step
        if not limits[0] < new < limits[1]:
            return exp(new), False
        x, y = ([new, *x[:2]], [cost(new), *y[:2]]) if down else ([*x[1:], new], [*y[1:], cost(new)])
    if y[1] == min(y[0], y[2]):  # a plateau: below some sigma each frame sees all or nothing
        return exp(x[1]), False
    return exp(_brent(cost, x[0], x[1], x[2], y[1])), True


def _brent(cost: Callable[[float], float], low: float, best: float, high: float, at_best: float) -> float:
    """The minimum of a function in a bracket, to 1e-6: parabolas through the best three points, golden sections else.

    References
    ----------
    R. P. Brent, Algorithms for Minimization without Derivatives (1973), chapter 5.
    """
    golden, tolerance = 0.5 * (3.0 - sqrt(5.0)), 1e-6
    second = third = best
    at_second = at_third = at_best
    last = before = high - low
    while max(best - low, high - best) > 2.0 * tolerance:
        move = _parabola(best, second, third, at_best, at_second, at_third)
        if move is None or not (low + tolerance < best + move < high - tolerance and abs(move) < 0.5 * abs(before)):
            before = (low if best > 0.5 * (low + high) else high) - best
            move = golden * before
        else:
            before = last
        last = move if abs(move) > tolerance else (tolerance if move > 0.0 else -tolerance)
        trial = best + last
        at_trial = cost(trial)
        if at_trial <= at_best:
            low, high = (best, high) if trial > best else (low, best)
            third, second, best = second, best, trial
            at_third, at_second, at_best = at_second, at_best, at_trial
            continue
        low, high = (trial, high) if trial < best else (low, trial)
        if at_trial <= at_second or second == best:
            third, second, at_third, at_second = second, trial, at_second, at_trial
        elif at_trial <= at_third or third in (best, second):
            third, at_third = trial, at_trial
    return best


def _parabola(x: float, v: float, w: float, at_x: float, at_v: float, at_w: float) -> float | None:
    """From x to the extremum of the parabola through three points; None where there is none."""
    a, b = (x - v) * (at_x - at_w), (x - w) * (at_x - at_v)
    return None if a == b else -0.5 * ((x - v) * a - (x - w) * b) / (a - b)
