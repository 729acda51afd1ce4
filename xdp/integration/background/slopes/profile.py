r"""The radial profile of a sweep's background, from the counts of all its frames.

Scattering by air, solvent and ice is a function of the scattering angle, but for polarisation and shadows. Counts are
divided by the polarisation factor and the solid angle of their pixel, which are known. Pixels are put into bins of
:math:`t = 2 \sin\theta`, some pixels wide. The level of a bin is the mean of its counts that a Poisson distribution of
that mean lets expect: what is far above are reflections. Counts are those of up to eight spans of the scan
(:class:`~xdp.integration.hot_pixels.counts.PixelCounts`), since a reflection lies in one or two of them.
The logarithm of the levels is smoothed by penalised least squares (Whittaker; Eilers 2003), as much as generalised
cross-validation says (Craven & Wahba 1979), so that noise does not become rings and rings stay.

References
----------
P. H. C. Eilers, Anal. Chem. 75, 3631 (2003), doi:10.1021/ac034173t; P. Craven, G. Wahba, Numer. Math. 31, 377 (1979),
doi:10.1007/BF01404567.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.integration.hot_pixels.counts import PixelCounts

MOST_PIXELS = 120_000
"""Of more, an even part is looked at. A choice: levels are far better known then than any box's own."""
MOST_BINS = 150
"""A choice: on an image of 1,000 pixels bins are four pixels wide then, less than a spot with its surroundings."""
_BIN_WIDTH = 3.0
"""Pixels, about, where that makes fewer than `MOST_BINS`. A choice: half of what is between middle and edge of a box.
"""
_LEAST_PIXELS = 30
"""Looked at in a bin; with fewer there is no level. A choice."""
_LEAST_BINS = 8
"""With fewer no shape can be told. A choice."""
_LEAST_COUNTS = 20.0
"""Photons in a bin of all spans together: below that its logarithm is hardly known, and not normally distributed."""
_CLIP = 3.0
"""Standard deviations above the level beyond which counts are left out. Of a Poisson distribution 1 in 700 are, which
makes the level too low by less than 1 % of a standard deviation."""
_ROUNDS = 4
"""Rounds of leaving out, a choice: the level settles after two or three."""


@dataclass(frozen=True)
class RadialProfile:
    """Logarithm of the background by scattering angle.

    Attributes
    ----------
    two_sine : (m,) float64
        2 sin theta of the middles of bins, ascending.
    log_level : (m,) float64
        Logarithm of the counts a pixel and frame.
    slope_variance : float
        Mean square of the logarithm's slope across the detector, 1/px^2.
    """

    two_sine: np.ndarray
    log_level: np.ndarray
    slope_variance: float

    def evaluate(self, two_sine: np.ndarray) -> np.ndarray:
        """Interpolate the logarithm, with continuous slope; beyond the ends it is that of the ends.

        Parameters
        ----------
        two_sine : array of float64

        Returns
        -------
        array of float64
            Of the same shape.

        Examples
        --------
        >>> profile = RadialProfile(np.arange(5.0), np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 1.0)
        >>> profile.evaluate(np.array([1.25, 9.0])).round(6).tolist()
        [1.25, 4.0]
        """
        t, y = self.two_sine, self.log_level
        at = np.clip(two_sine, t[0], t[-1])
        k = np.clip(np.searchsorted(t, at, side="right") - 1, 0, len(t) - 2)
        step = t[k + 1] - t[k]
        u = (at - t[k]) / step
        # of unequal steps
        slope = np.gradient(y, t)
        # Hermite's cubic between two bins, whose slopes are those of their neighbours
        return ((1.0 + 2.0 * u) * (1.0 - u) ** 2 * y[k] + u * u * (3.0 - 2.0 * u) * y[k + 1]
                + step * (u * (1.0 - u) ** 2 * slope[k] - u * u * (1.0 - u) * slope[k + 1]))


def estimate_radial_profile(experiment: Experiment, counts: PixelCounts, valid: Sequence[np.ndarray] | None
                            ) -> RadialProfile | None:
    """Estimate the radial profile of a sweep's background.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.
    counts : PixelCounts
        Of all its frames.
    valid : sequence of (slow, fast) bool, optional
        Pixels that may be used, one array a panel.

    Returns
    -------
    RadialProfile or None
        None where there are too few pixels or counts for one.
    """
    # masks of the detector and pixels that never counted
    usable = counts.find_usable()
    for mask, given in zip(usable, valid or [], strict=bool(valid)):
        mask &= given
    two_sine, factor, sums = _sample_pixels(experiment, counts, usable)
    if not len(two_sine):
        return None
    low, high, pixel = float(two_sine.min()), float(two_sine.max()), _find_pixel_angle(experiment)
    n_bins = int(min(max((high - low) / (_BIN_WIDTH * pixel), 1.0), MOST_BINS))
    number = np.minimum(((two_sine - low) / max(high - low, 1e-12) * n_bins).astype(np.int64), n_bins - 1)
    n_pixels = np.bincount(number, minlength=n_bins)
    total = _find_levels(number, n_pixels, factor, sums)
    # a logarithm needs counts
    good = (n_pixels >= _LEAST_PIXELS) & (total * n_pixels >= _LEAST_COUNTS)
    if np.count_nonzero(good) < _LEAST_BINS:
        return None
    middles = np.bincount(number, two_sine, minlength=n_bins)[good] / n_pixels[good]
    # the logarithm of a mean of N photons has the variance 1 / N
    smooth = smooth_levels(middles, np.log(total[good] / counts.n_frames.sum()), (total * n_pixels)[good])
    slope = np.gradient(smooth, middles) * pixel
    return RadialProfile(middles, smooth, float(np.average(slope * slope, weights=n_pixels[good])))


def _sample_pixels(experiment: Experiment, counts: PixelCounts, usable: Sequence[np.ndarray]
                   ) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Take an even part of the pixels: 2 sin theta, known factor, about 1, and counts in each span of each."""
    size = sum(mask.size for mask in usable)
    # whole rows would leave out rings between them: a step along the flat panel, not a divisor of common widths
    stride = max(size // MOST_PIXELS, 1) | 1
    spans = sorted(counts.sums)
    angles, logs = [], []
    sums: list[list[np.ndarray]] = [[] for _ in spans]
    for panel, mask in enumerate(usable):
        picked = np.arange(0, mask.size, stride)
        picked = picked[mask.ravel()[picked]]
        slow, fast = np.divmod(picked, mask.shape[1])
        two_sine, log_factor = describe_places(experiment, np.full(len(picked), panel), fast + 0.5, slow + 0.5)
        angles.append(two_sine)
        logs.append(log_factor)
        for part, span in zip(sums, spans, strict=True):
            part.append(counts.sums[span][panel].ravel()[picked])
    log_factor = np.concatenate(logs)
    # relative to their middle, so that levels are counts of a typical pixel
    factor = np.exp(log_factor - (np.median(log_factor) if len(log_factor) else 0.0))
    return np.concatenate(angles), factor, [np.concatenate(part).astype(np.float64) for part in sums]


def describe_places(experiment: Experiment, panel: np.ndarray, fast: np.ndarray, slow: np.ndarray
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Compute 2 sin theta at places on panels, and the logarithm of polarisation times solid angle of a pixel there.

    The sensor's depth is left out: background is smooth, so that a shift by parts of a pixel changes nothing.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.
    panel : (n,) int
    fast, slow : (n, ...) float64
        In pixels.

    Returns
    -------
    two_sine, log_factor : (n, ...) float64
        The factor up to a constant.
    """
    known = experiment.known
    d = np.stack([np.asarray(p.d_matrix, np.float64) for p in known.detector])
    size = np.array([p.pixel_size for p in known.detector])
    across = np.cross(d[:, :, 0], d[:, :, 1])
    shape = (len(panel),) + (1,) * (fast.ndim - 1)

    def place(axis: np.ndarray) -> np.ndarray:
        # a component of the vector to each place: steps along the panel and its origin
        step_x, step_y = (axis[panel, k] * size[panel, k] for k in (0, 1))
        return step_x.reshape(shape) * fast + step_y.reshape(shape) * slow + axis[panel, 2].reshape(shape)

    lab = [place(d[:, k, :]) for k in range(3)]
    length = np.sqrt(sum(v * v for v in lab))
    along, aside = (sum(v * float(n) for v, n in zip(lab, vector, strict=True)) / length
                    for vector in (known.beam.unit_s0, _normalise(known.beam.polarization_normal)))
    incidence = np.abs(np.einsum("pk,pk->p", across, d[:, :, 2]))[panel].reshape(shape) / length
    fraction = known.beam.polarization_fraction
    polarisation = (1.0 - 2.0 * fraction) * (1.0 - aside * aside) + fraction * (1.0 + along * along)
    # |u - s0|^2 = 2 - 2 u.s0
    two_sine = np.sqrt(np.maximum(2.0 - 2.0 * along, 0.0))
    return two_sine, np.log(np.maximum(polarisation, 1e-3) * incidence / (length * length))


def _normalise(vector: Sequence[float] | np.ndarray) -> np.ndarray:
    """The vector with length 1."""
    return np.asarray(vector, np.float64) / np.linalg.norm(vector)


def _find_pixel_angle(experiment: Experiment) -> float:
    """The angle that a pixel of the first panel subtends, rad."""
    panel = experiment.known.detector[0]
    return max(panel.pixel_size) / max(abs(panel.distance), 1e-6)


def _find_levels(number: np.ndarray, n_pixels: np.ndarray, factor: np.ndarray, sums: Sequence[np.ndarray]
                 ) -> np.ndarray:
    """Find the level (m,) of each bin, of all spans together; `number` (n,) is the bin of each value of `sums`."""
    order = np.argsort(number, kind="stable")
    filled = np.flatnonzero(n_pixels)
    size, first = n_pixels[filled], (np.cumsum(n_pixels) - n_pixels)[filled]
    factor = factor[order]
    parts = [part[order] / factor for part in sums]
    whole = np.sum(parts, axis=0)
    middle, below = _find_quantiles(np.repeat(np.arange(len(size)), size), first, size, whole)
    # reflections lie above the level only: what is below tells how much the background itself differs within a bin
    relative = (middle - below) / np.maximum(middle, 1.0)
    total, root = np.zeros(len(n_pixels)), np.sqrt(factor)
    for part in parts:
        # spans may differ in their counts, and are taken to have one shape
        level = middle * (part.sum() / max(whole.sum(), 1e-12))
        for _ in range(_ROUNDS):
            # a median of few counts may be 0: one count is always expected
            noise = _CLIP * np.maximum(np.sqrt(level), relative * level) + 1.0
            keep = part <= np.repeat(level, size) + np.repeat(noise, size) / root
            level = np.add.reduceat(part * keep, first) / np.maximum(np.add.reduceat(keep, first, dtype=np.int64), 1)
        total[filled] += level
    return total


def _find_quantiles(group: np.ndarray, first: np.ndarray, size: np.ndarray, values: np.ndarray
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Find the median of each group, and the value that a standard deviation would be below it."""
    ordered = values[np.lexsort((values, group))]
    # 0.1587 is the part of a normal distribution below one standard deviation
    return ordered[first + size // 2], ordered[first + (0.1587 * size).astype(np.int64)]


def smooth_levels(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Smooth values by penalising second differences, as much as generalised cross-validation says.

    Parameters
    ----------
    x : (m,) float64
        Ascending.
    y, weight : (m,) float64
        Values, and weights in proportion to the reciprocal of their variances.

    Returns
    -------
    (m,) float64

    Examples
    --------
    A line is not changed, however noisy it may be said to be:

    >>> x = np.arange(20.0)
    >>> bool(np.allclose(smooth_levels(x, 2.0 * x, np.ones(20)), 2.0 * x))
    True
    """
    n = len(x)
    x = (x - x[0]) / (x[-1] - x[0]) * (n - 1)
    second = np.zeros((n - 2, n))
    for row in range(n - 2):
        a, b = x[row + 1] - x[row], x[row + 2] - x[row + 1]
        second[row, row:row + 3] = 2.0 / (a * (a + b)), -2.0 / (a * b), 2.0 / (b * (a + b))
    root = np.sqrt(weight / weight.mean())
    scaled = second / root
    size, axes = np.linalg.eigh(scaled.T @ scaled)
    size = np.maximum(size, 0.0)
    parts = axes.T @ (root * y)
    best, found = math.inf, y
    for penalty in 10.0 ** np.arange(-2.0, 8.0, 0.5):
        shrunk = 1.0 / (1.0 + penalty * size)
        misfit = float(np.square((1.0 - shrunk) * parts).sum())
        cost = n * misfit / (n - shrunk.sum()) ** 2
        # of equal costs, as exact lines have, the smoother one
        if cost <= best:
            best, found = cost, axes @ (shrunk * parts) / root
    return found
