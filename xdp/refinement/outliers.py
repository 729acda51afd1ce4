"""Centroids that do not belong: outlier rejection before the least squares.

References
----------
Tukey (1977) "Exploratory data analysis"; Rousseeuw & Van Driessen (1999) Technometrics 41, 212 (minimum covariance
determinant, FAST-MCD); Sauter & Poon (2010) J. Appl. Cryst. 43, 611 (stills).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xdp.refinement.options import Mcd, Outlier, Tukey

_SUBSET = 1500  # FAST-MCD looks for its start within at most this many observations
_BEST = 10      # starts that are carried to convergence within the subset
_BEST_OF_ALL = 3  # of these, on all observations
_TINY = 1e-12   # keeps the scatter of coincident points invertible, in units of the median deviation squared


@dataclass(frozen=True)
class Sample:
    """The observations of one experiment, as outlier rejection sees them.

    Attributes
    ----------
    residuals : (n, 3)
        Predicted minus observed, mm, mm, rad; for stills only the first two count.
    angles : (n,)
        Rotation angles in degrees, which divide the scan into blocks.
    panel : (n,)
    is_still : bool
    pixel_size : (2,)
        mm.
    """

    residuals: np.ndarray
    angles: np.ndarray
    panel: np.ndarray
    is_still: bool
    pixel_size: tuple[float, ...]


def find_outliers(samples: Sequence[Sample], options: Outlier, seed: int = 42) -> list[np.ndarray]:
    """Which observations of each experiment are outliers, bool (n,) each.

    With ``separate_experiments=False`` the experiments of a kind (rotation, still) are looked at together.
    """
    if options.separate_experiments:
        return [_outliers(sample, options, seed) for sample in samples]
    bad = [np.zeros(len(sample.angles), dtype=bool) for sample in samples]
    for is_still in (False, True):
        members = [i for i, sample in enumerate(samples) if sample.is_still == is_still]
        if members:
            some = [samples[i] for i in members]
            joined = Sample(*(np.concatenate([getattr(s, name) for s in some]) for name in
                              ("residuals", "angles", "panel")), is_still, some[0].pixel_size)
            ends = np.cumsum([len(s.angles) for s in some])[:-1]
            for i, found in zip(members, np.split(_outliers(joined, options, seed), ends), strict=True):
                bad[i] = found
    return bad


def _outliers(sample: Sample, options: Outlier, seed: int) -> np.ndarray:
    method = options.algorithm
    if method == "auto":
        method = "sauter_poon" if sample.is_still else "mcd"
    bad = np.zeros(len(sample.angles), dtype=bool)
    if method in (None, "null"):
        return bad
    columns = sample.residuals[:, :2] if sample.is_still or method == "sauter_poon" else sample.residuals
    for rows in _groups(sample.angles, sample.panel, options, sample.is_still):
        if len(rows) < options.minimum_number_of_reflections:
            continue
        if method == "tukey":
            bad[rows] = tukey(columns[rows], options.tukey)
        elif method == "mcd":
            bad[rows] = mcd(columns[rows], options.mcd, seed)
        else:
            size = options.sauter_poon.px_sz
            bad[rows] = sauter_poon(columns[rows] / np.asarray(size if isinstance(size, tuple) else sample.pixel_size))
    return bad


def _groups(angles: np.ndarray, panel: np.ndarray, options: Outlier, is_still: bool) -> Iterator[np.ndarray]:
    """Row numbers of each group that is looked at on its own: blocks of the scan, panels."""
    labels = np.zeros(len(angles), dtype=np.int64)
    if options.separate_blocks and not is_still and len(angles):
        span = float(np.ptp(angles))
        width = options.block_width if isinstance(options.block_width, float) else _block_width(len(angles), span)
        n_blocks = max(round(span / width), 1)
        labels = np.minimum((angles - angles.min()) / max(span, 1e-9) * n_blocks, n_blocks - 1).astype(np.int64)
    if options.separate_panels:
        labels = labels * (int(panel.max(initial=0)) + 1) + panel
    order = np.argsort(labels, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _block_width(n: int, span: float) -> float:
    """Blocks of 18 degrees, wider where fewer than 250 observations would fall into one."""
    return max(18.0, 250.0 * span / max(n, 1))


def tukey(columns: np.ndarray, options: Tukey) -> np.ndarray:
    """Whether any coordinate (n, k) lies further than a multiple of the interquartile range beyond the quartiles."""
    low, high = np.quantile(columns, [0.25, 0.75], axis=0)
    reach = options.iqr_multiplier * (high - low)
    return np.any((columns < low - reach) | (columns > high + reach), axis=1)


def mcd(columns: np.ndarray, options: Mcd, seed: int = 42) -> np.ndarray:
    """Whether the robust Mahalanobis distance (n, k) exceeds the quantile of chi square."""
    location, scatter = minimum_covariance_determinant(columns, options, seed)
    limit = chi_square_quantile(options.threshold_probability, columns.shape[1])
    centred = columns - location
    return np.einsum("ni,ij,nj->n", centred, np.linalg.inv(scatter), centred) > limit


def minimum_covariance_determinant(columns: np.ndarray, options: Mcd, seed: int = 42
                                   ) -> tuple[np.ndarray, np.ndarray]:
    """Location (k,) and scatter (k, k) of the h observations whose covariance has the smallest determinant.

    From many random starts of k + 1 observations, `k1` concentration steps each within a subset, the ten best are
    carried to convergence there, and the best of these on all observations. The scatter is made consistent at the
    normal distribution.
    """
    n, k = columns.shape
    middle = np.median(columns, axis=0)
    scale = np.maximum(np.median(np.abs(columns - middle), axis=0), 1e-12)
    data = (columns - middle) / scale
    rng = np.random.default_rng(seed)
    subset = data if n <= _SUBSET else data[rng.choice(n, _SUBSET, replace=False)]
    starts = np.argpartition(rng.random((options.n_trials, len(subset))), k, axis=1)[:, : k + 1]
    location, scatter = _moments(subset[starts])
    h, terms = _coverage(len(subset), k, options.alpha), _terms(subset)
    for _ in range(options.k1):
        location, scatter, size = _concentrate(terms, location, scatter, h)
    best = np.argsort(size, kind="stable")[:_BEST]
    location, scatter, size = _converge(terms, location[best], scatter[best], h, options.k3)
    if n > len(subset):
        best, h = np.argsort(size, kind="stable")[:_BEST_OF_ALL], _coverage(n, k, options.alpha)
        location, scatter, size = _converge(_terms(data), location[best], scatter[best], h, options.k3)
    winner = int(np.argmin(size))
    factor = (h / n) / chi_square(chi_square_quantile(h / n, k), k + 2)
    return location[winner] * scale + middle, scatter[winner] * factor * np.outer(scale, scale)


def _converge(terms: np.ndarray, location: np.ndarray, scatter: np.ndarray, h: int, n_steps: int
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Concentration steps until no determinant falls any more."""
    last = np.full(len(location), np.inf)
    for _ in range(n_steps):
        location, scatter, size = _concentrate(terms, location, scatter, h)
        if np.all(size >= last * (1.0 - 1e-9)):
            break
        last = size
    return location, scatter, size


def chi_square(value: float, freedom: int) -> float:
    """Probability that chi square with `freedom` degrees of freedom stays below `value`.

    From that of one or two degrees by P(k + 2) = P(k) - (x/2)^(k/2) exp(-x/2) / Gamma(k/2 + 1).
    """
    half, k = 0.5 * value, 2 - freedom % 2
    probability = math.erf(math.sqrt(half)) if k == 1 else -math.expm1(-half)
    while k < freedom:
        probability -= math.exp(0.5 * k * math.log(half) - half - math.lgamma(0.5 * k + 1.0)) if half > 0.0 else 0.0
        k += 2
    return probability


def chi_square_quantile(probability: float, freedom: int) -> float:
    """Value that chi square with `freedom` degrees of freedom stays below with `probability`."""
    if probability >= 1.0:
        return math.inf
    low, high = 0.0, 1.0
    while chi_square(high, freedom) < probability:
        high *= 2.0
    for _ in range(80):  # each halves the interval
        middle = 0.5 * (low + high)
        low, high = (middle, high) if chi_square(middle, freedom) < probability else (low, middle)
    return 0.5 * (low + high)


def _coverage(n: int, k: int, alpha: float) -> int:
    """How many of n observations determine the estimate."""
    half = (n + k + 1) // 2
    return min(int(2 * half - n + 2 * (n - half) * alpha), n)


def _moments(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of samples (t, m, k)."""
    mean = samples.mean(axis=1)
    centred = samples - mean[:, None]
    covariance = centred.transpose(0, 2, 1) @ centred / samples.shape[1]
    return mean, covariance + _TINY * np.eye(samples.shape[2])


def _terms(data: np.ndarray) -> np.ndarray:
    """1, the coordinates and their products, (1 + k + k k, n): squared distances and moments are linear in them."""
    n, k = data.shape
    rows = np.ascontiguousarray(data.T)
    return np.concatenate([np.ones((1, n)), rows, (rows[:, None] * rows[None]).reshape(k * k, n)])


def _distances(terms: np.ndarray, location: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distances (t, n) for each of t estimates."""
    inverse = np.linalg.inv(scatter)
    towards = np.einsum("tij,tj->ti", inverse, location)
    constant = np.einsum("ti,ti->t", towards, location)
    return np.column_stack([constant, -2.0 * towards, inverse.reshape(len(inverse), -1)]) @ terms


def _concentrate(terms: np.ndarray, location: np.ndarray, scatter: np.ndarray, h: int
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One concentration step for each estimate: the moments of its h nearest observations, and the determinant."""
    k = location.shape[1]
    distances = _distances(terms, location, scatter)
    limit = np.partition(distances, h - 1, axis=1)[:, h - 1 : h]
    near = (distances <= limit).astype(np.float64)
    sums = near @ terms.T
    sums /= sums[:, :1]
    location = sums[:, 1 : k + 1]
    scatter = sums[:, k + 1 :].reshape(-1, k, k) - location[:, :, None] * location[:, None, :] + _TINY * np.eye(k)
    return location, scatter, np.linalg.det(scatter)


def sauter_poon(columns: np.ndarray) -> np.ndarray:
    """Whether a still's positional residual (n, 2), in px, is longer than a Rayleigh distribution allows.

    The good ones' width is taken from the lower quartile of the squared lengths, which outliers do not reach; an
    observation is left out beyond the length that fewer than one of n good ones exceed.
    """
    squared = np.sum((columns - np.median(columns, axis=0)) ** 2, axis=1)
    variance = np.quantile(squared, 0.25) / (-2.0 * np.log(0.75))
    return squared > -2.0 * variance * np.log(1.0 / max(len(columns), 2))
