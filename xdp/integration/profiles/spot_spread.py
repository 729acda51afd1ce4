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
from xdp.integration.profiles._kernels_spot_spread import FrameSums, IndexMatrices, mosaicity_likelihood, sum_frames
from xdp.integration.profiles.arguments import BoxPixels
from xdp.prediction.rays import make_goniometer_rotations
from xdp.reflections.flags import MaskCode
from xdp.reflections.table import ReflectionTable

_SIGMAS = (np.deg2rad(1e-4), np.deg2rad(30.0))
"""Limits of sigma_m, rad: no crystal is beyond, and a likelihood that still grows there has no maximum."""
_START, _STEP = np.deg2rad(0.5), log(3.0)
"""Where the most likely sigma_m is looked for first, rad, and steps of its logarithm: a few reach any crystal's."""
_SAMPLE = 1000
"""Spots of which a first estimate is made; they give sigma_m to about 3 %."""
_NEAR = 0.05
"""First step of the logarithm from that estimate: somewhat more than its error, so that the maximum is within it."""
_STRONG = int(MaskCode.VALID | MaskCode.FOREGROUND)
"""Mask of a pixel in which a spot was found."""


@dataclass(frozen=True)
class SpotFrames:
    """What spots left on each frame of their boxes, one frame after the other, spot by spot.

    Attributes
    ----------
    spot, frame : (m,) int64
        Row of the table; z of the frame's beginning.
    total : (m,) float64
        Counts of the pixels that are marked in the shoebox.
    moment : (m,) float64
        The same times the squared angle of the ray to the pixel from the spot's centre, rad².
    own : (m,) float64
        Counts of the pixels that were found as foreground, and lie nearer to the reflection's own index than to
        another, at the beginning and at the end of the frame. 0 for stills.
    """

    spot: np.ndarray
    frame: np.ndarray
    total: np.ndarray
    moment: np.ndarray
    own: np.ndarray

    def select(self, which: np.ndarray) -> SpotFrames:
        """Select frames.

        Parameters
        ----------
        which : (m,) bool, or indices
        """
        return SpotFrames(self.spot[which], self.frame[which], self.total[which], self.moment[which], self.own[which])


def measure_spot_frames(experiment: Experiment, table: ReflectionTable, centres: np.ndarray) -> SpotFrames:
    """Sum up the pixels of a table's shoeboxes, frame by frame.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector; for rotation data also goniometer, scan and crystal.
    table : ReflectionTable
        Spots with ``shoebox``, its pixels as found, and, but for stills, ``miller_index``.
    centres : (n, 3) float64
        Directions from which the angles of pixels are counted, any length.

    Returns
    -------
    SpotFrames
        Spots whose boxes have no pixels have no frames.
    """
    boxes = table["shoebox"]
    # boxes without pixels are those whose counts were not kept
    depth = np.where(np.diff(boxes.offsets) > 0, boxes.bbox[:, 5] - boxes.bbox[:, 4], 0).astype(np.int64)
    start = np.append(0, np.cumsum(depth))
    spot = np.repeat(np.arange(len(boxes)), depth)
    frame = np.arange(len(spot)) - start[spot] + boxes.bbox[spot, 4]
    sums = FrameSums(start, *np.zeros((3, len(spot))))
    first, to_index = _make_index_matrices(experiment, frame)
    hkl = np.zeros((0, 3), np.int32) if experiment.is_still else table["miller_index"]
    beam = experiment.known.beam
    sum_frames(BoxPixels.from_shoeboxes(boxes), _STRONG, make_panel_rows(experiment),
               centres / np.linalg.norm(centres, axis=1, keepdims=True),
               IndexMatrices(beam.s0, 1.0 / beam.wavelength, first, to_index, hkl), sums)
    return SpotFrames(spot, frame, sums.total, sums.moment, sums.own)


def _make_index_matrices(experiment: Experiment, frame: np.ndarray) -> tuple[int, np.ndarray]:
    """Make the matrices from q in the lab to fractional indices, at all borders of frames from the first on."""
    if experiment.is_still or not len(frame):
        return 0, np.zeros((0, 3, 3))
    borders = np.arange(int(frame.min()), int(frame.max()) + 2)
    turns = make_goniometer_rotations(experiment.known.goniometer, np.deg2rad(experiment.known.scan.angle(borders)))
    return int(borders[0]), np.linalg.inv(turns @ experiment.known.crystal.A)


def make_panel_rows(experiment: Experiment) -> np.ndarray:
    """Geometry of the panels as kernels want it, a row each.

    Returns
    -------
    (n_panels, 13) float64
        The d matrix row by row, pixel size fast and slow (mm), attenuation (1/mm; 0: no parallax), thickness (mm).

    Examples
    --------
    >>> from xdp.experiment import Experiment
    >>> from xdp.simulation.models import make_detector
    >>> make_panel_rows(Experiment("x", detector=make_detector((300, 260), distance=70.0)))[0, 9:].round(2).tolist()
    [0.17, 0.17, 3.96, 0.32]
    """
    return np.array([[*panel.d_matrix.ravel(), *panel.pixel_size, panel.mu * panel.corrects_parallax, panel.thickness]
                     for panel in experiment.known.detector])


def compute_lab_points(experiment: Experiment, panel: np.ndarray, xy_px: np.ndarray) -> np.ndarray:
    """Lab coordinates of points on the detector.

    Parameters
    ----------
    experiment : Experiment
        With a detector.
    panel : (n,) int
    xy_px : (n, 2) float64
        Fast and slow, px.

    Returns
    -------
    (n, 3) float64
        In mm.
    """
    result = np.empty((len(panel), 3))
    for i in np.unique(panel):
        rows = np.flatnonzero(panel == i)
        result[rows] = px_to_lab(experiment.known.detector, int(i), xy_px[rows])
    return result


def compute_divergence_variances(total: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Variances of the angles between the rays to a spot's pixels and its centre, ``moment / (total - 1)``.

    Parameters
    ----------
    total, moment : (n,) float64
        Of spots, or of parts of spots on frames: counts, and counts times squared angle (rad²).

    Returns
    -------
    (m,) float64
        In rad², of those that have more than one count.

    Examples
    --------
    >>> import numpy as np
    >>> compute_divergence_variances(np.array([5.0, 1.0]), np.array([0.12, 0.5])).tolist()
    [0.03]
    """
    enough = total > 1.0
    return moment[enough] / (total[enough] - 1.0)


def estimate_sigma_m(experiment: Experiment, seen: SpotFrames, phi: np.ndarray, zeta: np.ndarray, *, basic: bool
                     ) -> float:
    """The most likely sigma_m, rad: the standard deviation of the angles over which a spot diffracts, times |zeta|.

    Parameters
    ----------
    experiment : Experiment
        With a scan.
    seen : SpotFrames
        Frames of the spots; at least one of them with counts of its own.
    phi : (n_spots,) float64
        Predicted angle, rad.
    zeta : (n_spots,) float64
        Component of the rotation axis along s1 x s0.
    basic : bool
        Kabsch's likelihood of the frames on which spots were seen; else that of spots as a whole, and of their counts
        as shared among the frames.

    Returns
    -------
    float

    Notes
    -----
    Where the likelihood has no maximum within 1e-4 to 30 degrees, the standard deviation of zeta tau is taken, with tau
    the angles of the frames seen from the spots'.
    """
    # frames of a box on which the spot itself has no counts say nothing of its width
    seen = seen.select(seen.own > 0.0)
    angle = phi[seen.spot]
    ends = [np.deg2rad(experiment.known.scan.angle(seen.frame + end)) - angle for end in (0, 1)]
    early, late = (end * np.abs(zeta[seen.spot]) / sqrt(2.0) for end in ends)
    # basic takes each frame for a spot of its own
    starts = np.flatnonzero(np.diff(seen.spot, prepend=-1)) if not basic else np.arange(len(early))
    offsets = np.append(starts, len(early)).astype(np.int64)
    counts = np.ones(len(early)) if basic else seen.own

    sigma, is_inside = _find_most_likely(early, late, counts, offsets)
    if is_inside:
        return sigma
    offset = 0.5 * (ends[0] + ends[1]) * zeta[seen.spot]
    crude = np.std(offset, ddof=1) if len(offset) > 1 else 0.5 * np.deg2rad(abs(experiment.known.scan.oscillation[1]))
    return max(float(crude), _SIGMAS[0])


def _find_most_likely(*spots: np.ndarray) -> tuple[float, bool]:
    """Find the sigma, rad, that makes `spots` most likely, to about 1e-6 of itself; False if there is no maximum.

    `spots` are the arrays of :func:`~xdp.integration.profiles._kernels_spot_spread.mosaicity_likelihood`. Of many, some
    tell where to begin.
    """
    start, step = _START, _STEP
    every = (len(spots[-1]) - 1) // _SAMPLE
    if every > 1:
        sigma, is_inside = _maximise(lambda s: mosaicity_likelihood(*spots, every, s), start, step, 1e-3)
        if is_inside:
            start, step = sigma, _NEAR
    return _maximise(lambda s: mosaicity_likelihood(*spots, 1, s), start, step, 1e-6)


def _maximise(likelihood: Callable[[float], float], start: float, step: float, tolerance: float
              ) -> tuple[float, bool]:
    """Find the sigma that maximises a function, to about `tolerance` of itself; False if it reaches the limits.

    On the logarithm: from `start` uphill, `step` by step, until the top is passed, then Brent's method.
    """
    def cost(x: float) -> float:
        return -likelihood(exp(x))

    # widths differ by factors, and on the logarithm no step can make one negative
    limits = log(_SIGMAS[0]), log(_SIGMAS[1])
    x = [log(start) + i * step for i in (-1, 0, 1)]
    y = [cost(v) for v in x]
    while y[1] > min(y[0], y[2]):
        down = y[0] < y[2]
        new = x[0] - step if down else x[2] + step
        if not limits[0] < new < limits[1]:
            return exp(new), False
        x, y = ([new, *x[:2]], [cost(new), *y[:2]]) if down else ([*x[1:], new], [*y[1:], cost(new)])
    if y[1] == min(y[0], y[2]):  # a plateau: below some sigma each frame sees all or nothing
        return exp(x[1]), False
    return exp(_minimise(cost, x, y, tolerance)), True


def _minimise(cost: Callable[[float], float], x: list[float], y: list[float], tolerance: float) -> float:
    """Find the minimum of a function in a bracket: by parabolas through the best three points, or golden sections.

    It ends where the bracket is as narrow as twice the `tolerance`, or the next parabola would go less than that from
    points so close that what it leaves out is less, too. On simulated spots that takes 4 evaluations, each of which
    goes through all spots; SciPy's ``minimize_scalar`` takes 8 to 10, and 0.3 s of CPU to import.

    Parameters
    ----------
    x, y
        Three points with the lowest in the middle, and the function there.

    References
    ----------
    R. P. Brent, Algorithms for Minimization without Derivatives (1973), chapter 5.
    """
    golden = 0.5 * (3.0 - sqrt(5.0))
    # best, second, third: the points with the lowest values so far; before, last: the last two moves
    low, best, high = x
    at_best = y[1]
    (at_second, second), (at_third, third) = sorted([(y[0], x[0]), (y[2], x[2])])
    last = before = high - low
    while max(best - low, high - best) > 2.0 * tolerance:
        move = _step_to_extremum(best, second, third, at_best, at_second, at_third)
        if move is not None and abs(move) < tolerance and abs((second - best) * (third - best)) < tolerance:
            return best + move
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


def _step_to_extremum(x: float, v: float, w: float, at_x: float, at_v: float, at_w: float) -> float | None:
    """Compute the step from x to the extremum of the parabola through three points; None where there is none."""
    a, b = (x - v) * (at_x - at_w), (x - w) * (at_x - at_v)
    return None if a == b else -0.5 * ((x - v) * a - (x - w) * b) / (a - b)
