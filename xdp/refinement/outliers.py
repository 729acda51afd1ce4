"""Outlier rejection before the least squares: centroids that belong to no prediction.

References
----------
Tukey (1977) "Exploratory data analysis"; Rousseeuw & Van Driessen (1999) Technometrics 41, 212 (minimum covariance
determinant, FAST-MCD); Sauter & Poon (2010) J. Appl. Cryst. 43, 611 (stills).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdp.refinement.options import Mcd, Outlier, Tukey

# FAST-MCD looks for its start within at most this many observations. Rousseeuw & Van Driessen take as many, in five
# subsets of 300.
_SUBSET = 1500
_BEST = 10      # starts that are carried to convergence within the subset: the paper's number
_BEST_OF_ALL = 3  # of these, on all observations: a choice, since most end in the same minimum
_TINY = 1e-12   # keeps the scatter of coincident points invertible, in units of the median deviation squared
_LEAST_SCALE = 1e-12  # mm or rad: the median deviation of residuals that are all equal
_CONVERGED = 1e-9  # a determinant that falls by less than this fraction is at its minimum but for rounding
# Degrees of a block of the scan, as in DIALS, and observations that it has on average at least: a choice.
_BLOCK_WIDTH, _BLOCK_COUNT = 18.0, 250.0
_HALVINGS = 80  # of the interval of a quantile: to the last bit of a double, whose mantissa has 53


@dataclass(frozen=True)
class Sample:
    """The observations of one experiment, as outlier rejection sees them.

    Attributes
    ----------
    residuals : (n, 3)
        Predicted minus observed in mm, mm and radians; for stills only the first two count.
    angles : (n,)
        Rotation angles in degrees, which divide the scan into blocks.
    panel : (n,) of int
        Which may be looked at on their own.
    is_still : bool
        Whether the experiment is a still.
    pixel_size : (2,)
        In mm, fast and slow.
    """

    residuals: np.ndarray
    angles: np.ndarray
    panel: np.ndarray
    is_still: bool
    pixel_size: tuple[float, ...]


def find_outliers(samples: Sequence[Sample], options: Outlier, seed: int = 42) -> list[np.ndarray]:
    """Find the outliers among the observations of each experiment.

    With ``separate_experiments=False`` the experiments of a kind (rotation, still) are looked at together.

    Parameters
    ----------
    samples : sequence of Sample
        One for each experiment.
    options : Outlier
        The method, and which groups it looks at.
    seed : int
        Of the random starts of the minimum covariance determinant.

    Returns
    -------
    list of (n,) arrays of bool
        True for outliers.
    """
    if options.separate_experiments:
        return [_find_in_sample(sample, options, seed) for sample in samples]
    bad = [np.zeros(len(sample.angles), dtype=bool) for sample in samples]
    for is_still in (False, True):
        members = [i for i, sample in enumerate(samples) if sample.is_still == is_still]
        if members:
            some = [samples[i] for i in members]
            together = _concatenate(some)
            ends = np.cumsum([len(s.angles) for s in some])[:-1]
            for i, found in zip(members, np.split(_find_in_sample(together, options, seed), ends), strict=True):
                bad[i] = found
    return bad


def _concatenate(samples: Sequence[Sample]) -> Sample:
    """One sample of all observations; what is the same for all is taken from the first."""
    return replace(samples[0], residuals=np.concatenate([s.residuals for s in samples]),
                   angles=np.concatenate([s.angles for s in samples]),
                   panel=np.concatenate([s.panel for s in samples]))


def _find_in_sample(sample: Sample, options: Outlier, seed: int) -> np.ndarray:
    """The outliers of one sample, bool (n,), group by group."""
    method = options.algorithm
    if method == "auto":
        method = "sauter_poon" if sample.is_still else "mcd"
    bad = np.zeros(len(sample.angles), dtype=bool)
    if method in (None, "null"):
        return bad
    columns = sample.residuals[:, :2] if sample.is_still or method == "sauter_poon" else sample.residuals
    for rows in _split_groups(sample.angles, sample.panel, options, sample.is_still):
        if len(rows) < options.minimum_number_of_reflections:
            continue
        if method == "tukey":
            bad[rows] = find_tukey_outliers(columns[rows], options.tukey)
        elif method == "mcd":
            bad[rows] = find_mcd_outliers(columns[rows], options.mcd, seed)
        else:
            size = options.sauter_poon.px_sz
            pixel = np.asarray(size if isinstance(size, tuple) else sample.pixel_size)
            bad[rows] = find_sauter_poon_outliers(columns[rows] / pixel)
    return bad


def _split_groups(angles: np.ndarray, panel: np.ndarray, options: Outlier, is_still: bool) -> Iterator[np.ndarray]:
    """Row numbers of each group that is looked at on its own: blocks of the scan, panels."""
    labels = np.zeros(len(angles), dtype=np.int64)
    if options.separate_blocks and not is_still and len(angles):
        span = float(np.ptp(angles))
        width = options.block_width
        if not isinstance(width, float):
            width = _choose_block_width(len(angles), span)
        # blocks of equal width over the observed part of the scan; the last observation belongs to the last block
        n_blocks = max(round(span / width), 1)
        labels = np.minimum((angles - angles.min()) / max(span, 1e-9) * n_blocks, n_blocks - 1).astype(np.int64)
    if options.separate_panels:
        labels = labels * (int(panel.max(initial=0)) + 1) + panel
    order = np.argsort(labels, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _choose_block_width(n: int, span: float) -> float:
    """Blocks of 18 degrees, or as wide as 250 observations need on average."""
    return max(_BLOCK_WIDTH, _BLOCK_COUNT * span / max(n, 1))


def find_tukey_outliers(columns: np.ndarray, options: Tukey) -> np.ndarray:
    """Find observations (n, k) with a coordinate far beyond the quartiles, bool (n,): Tukey's rule.

    Far is a multiple (``iqr_multiplier``) of the interquartile range.

    Examples
    --------
    >>> import numpy as np
    >>> find_tukey_outliers(np.array([[0.0], [1.0], [2.0], [3.0], [20.0]]), Tukey()).tolist()
    [False, False, False, False, True]
    """
    low, high = np.quantile(columns, [0.25, 0.75], axis=0)
    reach = options.iqr_multiplier * (high - low)
    return np.any((columns < low - reach) | (columns > high + reach), axis=1)


def find_mcd_outliers(columns: np.ndarray, options: Mcd, seed: int = 42) -> np.ndarray:
    """Find observations (n, k) whose robust Mahalanobis distance exceeds a quantile of chi square, bool (n,).

    Parameters
    ----------
    columns : (n, k)
        The observations.
    options : Mcd
        The search for location and scatter, and the quantile (``threshold_probability``).
    seed : int
        Of the random starts.
    """
    location, scatter = minimum_covariance_determinant(columns, options, seed)
    limit = chi_square_quantile(options.threshold_probability, columns.shape[1])
    centred = columns - location
    return np.einsum("ni,ij,nj->n", centred, np.linalg.inv(scatter), centred) > limit


def minimum_covariance_determinant(columns: np.ndarray, options: Mcd, seed: int = 42
                                   ) -> tuple[np.ndarray, np.ndarray]:
    """Find location and scatter of the h observations whose covariance has the smallest determinant (FAST-MCD).

    Many random starts of k + 1 observations each take `k1` concentration steps within a subset. The ten best are
    carried to convergence there, and the three best of these on all observations. The scatter is scaled so that it is
    consistent at the normal distribution.

    Parameters
    ----------
    columns : (n, k)
        The observations.
    options : Mcd
        The numbers of starts and steps, and ``alpha``, the fraction of the observations that determine the estimate.
    seed : int
        Of the random starts.

    Returns
    -------
    location : (k,)
    scatter : (k, k)

    References
    ----------
    Rousseeuw & Van Driessen (1999) Technometrics 41, 212.
    """
    n, k = columns.shape
    middle = np.median(columns, axis=0)
    scale = np.maximum(np.median(np.abs(columns - middle), axis=0), _LEAST_SCALE)
    data = (columns - middle) / scale
    rng = np.random.default_rng(seed)
    subset = data if n <= _SUBSET else data[rng.choice(n, _SUBSET, replace=False)]
    # the k + 1 smallest of random numbers: a draw without repeats, for all starts at once
    starts = np.argpartition(rng.random((options.n_trials, len(subset))), k, axis=1)[:, : k + 1]
    location, scatter = _compute_moments(subset[starts])
    h, terms = _choose_coverage(len(subset), k, options.alpha), _build_terms(subset)
    for _ in range(options.k1):
        location, scatter, size = _concentrate(terms, location, scatter, h)
    best = np.argsort(size, kind="stable")[:_BEST]
    location, scatter, size = _converge(terms, location[best], scatter[best], h, options.k3)
    if n > len(subset):
        best, h = np.argsort(size, kind="stable")[:_BEST_OF_ALL], _choose_coverage(n, k, options.alpha)
        location, scatter, size = _converge(_build_terms(data), location[best], scatter[best], h, options.k3)
    winner = int(np.argmin(size))
    # the covariance of the h nearest of normal observations is too small by this factor (Croux & Haesbroeck 1999)
    factor = (h / n) / chi_square(chi_square_quantile(h / n, k), k + 2)
    return location[winner] * scale + middle, scatter[winner] * factor * np.outer(scale, scale)


def _converge(terms: np.ndarray, location: np.ndarray, scatter: np.ndarray, h: int, n_steps: int
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take concentration steps until no determinant falls any more."""
    last = np.full(len(location), np.inf)
    for _ in range(n_steps):
        location, scatter, size = _concentrate(terms, location, scatter, h)
        if np.all(size >= last * (1.0 - _CONVERGED)):
            break
        last = size
    return location, scatter, size


def chi_square(value: float, freedom: int) -> float:
    """Probability that chi square with `freedom` degrees of freedom stays below `value`.

    It follows from that of one or two degrees by P(k + 2) = P(k) - (x/2)^(k/2) exp(-x/2) / Gamma(k/2 + 1), Abramowitz &
    Stegun (1964) 26.4.8. SciPy has it too, but importing scipy.special takes 0.14 s; a quantile takes 0.08 ms here.

    Examples
    --------
    >>> round(chi_square(3.0, 2), 6)  # 1 - exp(-1.5)
    0.77687
    """
    half, k = 0.5 * value, 2 - freedom % 2
    probability = math.erf(math.sqrt(half)) if k == 1 else -math.expm1(-half)
    while k < freedom:
        probability -= math.exp(0.5 * k * math.log(half) - half - math.lgamma(0.5 * k + 1.0)) if half > 0.0 else 0.0
        k += 2
    return probability


def chi_square_quantile(probability: float, freedom: int) -> float:
    """Value that chi square with `freedom` degrees of freedom stays below with `probability`.

    Examples
    --------
    >>> round(chi_square_quantile(0.975, 3), 4)
    9.3484
    """
    if probability >= 1.0:
        return math.inf
    low, high = 0.0, 1.0
    while chi_square(high, freedom) < probability:
        high *= 2.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if chi_square(middle, freedom) < probability else (low, middle)
    return 0.5 * (low + high)


def _choose_coverage(n: int, k: int, alpha: float) -> int:
    """How many of n observations determine the estimate: from just over half (alpha=0.5) to all (alpha=1)."""
    half = (n + k + 1) // 2
    return min(int(2 * half - n + 2 * (n - half) * alpha), n)


def _compute_moments(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of samples (t, m, k)."""
    mean = samples.mean(axis=1)
    centred = samples - mean[:, None]
    covariance = centred.transpose(0, 2, 1) @ centred / samples.shape[1]
    return mean, covariance + _TINY * np.eye(samples.shape[2])


def _build_terms(data: np.ndarray) -> np.ndarray:
    """1, the coordinates and their products, (1 + k + k k, n): squared distances and moments are linear in them."""
    n, k = data.shape
    rows = np.ascontiguousarray(data.T)
    return np.concatenate([np.ones((1, n)), rows, (rows[:, None] * rows[None]).reshape(k * k, n)])


def _compute_distances(terms: np.ndarray, location: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distances (t, n) for each of t estimates."""
    # (x - m) C^-1 (x - m) = m C^-1 m - 2 m C^-1 x + x C^-1 x: one product with the terms gives all
    inverse = np.linalg.inv(scatter)
    towards = np.einsum("tij,tj->ti", inverse, location)
    constant = np.einsum("ti,ti->t", towards, location)
    return np.column_stack([constant, -2.0 * towards, inverse.reshape(len(inverse), -1)]) @ terms


def _concentrate(terms: np.ndarray, location: np.ndarray, scatter: np.ndarray, h: int
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One concentration step for each estimate: the moments of its h nearest observations, and the determinant."""
    k = location.shape[1]
    distances = _compute_distances(terms, location, scatter)
    limit = np.partition(distances, h - 1, axis=1)[:, h - 1 : h]
    near = (distances <= limit).astype(np.float64)
    sums = near @ terms.T
    sums /= sums[:, :1]
    location = sums[:, 1 : k + 1]
    scatter = sums[:, k + 1 :].reshape(-1, k, k) - location[:, :, None] * location[:, None, :] + _TINY * np.eye(k)
    return location, scatter, np.linalg.det(scatter)


def find_sauter_poon_outliers(columns: np.ndarray) -> np.ndarray:
    """Find residuals (n, 2) of a still, in px, that are longer than a Rayleigh distribution allows, bool (n,).

    The width of the good ones is taken from the lower quartile of the squared lengths, which outliers do not reach. The
    limit is the length that one of n good residuals is expected to exceed.

    References
    ----------
    Sauter & Poon (2010) J. Appl. Cryst. 43, 611.
    """
    squared = np.sum((columns - np.median(columns, axis=0)) ** 2, axis=1)
    # squared lengths of variance v for each coordinate are exponential: a fraction exp(-x / 2v) exceeds x
    variance = np.quantile(squared, 0.25) / (-2.0 * np.log(0.75))
    return squared > -2.0 * variance * np.log(1.0 / max(len(columns), 2))
