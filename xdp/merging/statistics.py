"""How well observations agree, how many there are, and how strong: merging statistics by resolution.

References
----------
Rmerge: Arndt, Crowther & Mallett (1968). J. Phys. E 1, 510-516, doi:10.1088/0022-3735/1/5/303.
Rmeas: Diederichs & Karplus (1997). Nat. Struct. Biol. 4, 269-275, doi:10.1038/nsb0497-269.
Rpim: Weiss (2001). J. Appl. Cryst. 34, 130-135, doi:10.1107/S0021889800018227.
CC1/2, CC*: Karplus & Diederichs (2012). Science 336, 1030-1033, doi:10.1126/science.1218231.
CC1/2 from variances: Assmann, Brehm & Diederichs (2016). J. Appl. Cryst. 49, 1021-1028, doi:10.1107/S1600576716005471.
Normal probability plots: Howell & Smith (1992). J. Appl. Cryst. 25, 81-86, doi:10.1107/S0021889891010385.
CC of anomalous differences: Evans & Murshudov (2013). Acta Cryst. D69, 1204-1214, doi:10.1107/S0907444913000061.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from xdp.merging.average import Means, ScaledObservations, average
from xdp.report.tables import Table


@dataclass(frozen=True)
class ShellStatistics:
    """The statistics of a shell of resolution, or of all.

    Attributes
    ----------
    d_max, d_min : float
        Å.
    n_observations, n_unique, n_possible : int
    completeness, multiplicity : float
        Completeness in percent.
    mean_i_over_sigma : float
        Mean of the I/sigma of merged intensities.
    r_merge, r_meas, r_pim : float
        Of reflections with two observations or more.
    cc_half : float
        Correlation of the means of two halves of the observations.
    cc_half_p : float
        How likely such a correlation, or a higher one, is by chance (Student's t).
    cc_star : float
        Correlation of all observations' means with the truth, as CC1/2 tells it: ``sqrt(2 CC1/2 / (1 + CC1/2))``.
    cc_half_sigma_tau : float
        The same from the variances of means and of their errors, without halves.
    cc_anomalous : float
        How well both halves agree on the anomalous differences: their correlation.
    anomalous_completeness, anomalous_multiplicity : float
        Of acentric reflections with both mates (percent); observations for each mate.
    anomalous_slope : float
        Slope of the normal probability plot of the anomalous differences, between -0.9 and 0.9: 1 if they are no larger
        than their errors.
    """

    d_max: float
    d_min: float
    n_observations: int
    n_unique: int
    n_possible: int
    completeness: float
    multiplicity: float
    mean_i_over_sigma: float
    r_merge: float
    r_meas: float
    r_pim: float
    cc_half: float
    cc_half_p: float
    cc_star: float
    cc_half_sigma_tau: float
    cc_anomalous: float
    anomalous_completeness: float
    anomalous_multiplicity: float
    anomalous_slope: float

    def to_dict(self) -> dict[str, float | None]:
        """The numbers by their names; None where one is not defined.

        Returns
        -------
        dict
        """
        return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in asdict(self).items()}


def compute_merging_statistics(seen: ScaledObservations, d: np.ndarray, possible: np.ndarray, bins: int | np.ndarray, *,
                               anomalous: bool = False) -> tuple[ShellStatistics, ...]:
    """Compute merging statistics.

    Parameters
    ----------
    seen : ScaledObservations
    d : (m,) float64
        Å, of the unique reflections.
    possible : (k,) float64
        d of all reflections that the crystal can give, in the asymmetric unit.
    bins : int or (n_bins + 1,) float64
        Number of shells of equal volume in reciprocal space, or borders of shells in 1/d³, ascending.
    anomalous : bool
        Friedel mates are different reflections for R factors.

    Returns
    -------
    tuple of ShellStatistics
        Shell by shell from low to high resolution, and all together.
    """
    borders = np.linspace(1.0 / d.max() ** 3, 1.0 / d.min() ** 3, bins + 1) if isinstance(bins, int) else bins
    n_bins = len(borders) - 1
    # the finest and the coarsest reflection belong to a shell
    shells = np.clip(np.searchsorted(borders, 1.0 / d**3, side="right") - 1, 0, n_bins - 1)
    limits = borders ** (-1.0 / 3.0)
    # what the space group extinguishes is neither there nor missing
    present = ~seen.unique.is_absent
    shells[~present] = -1
    tolerance = 1e-6 * d.min()
    inside = possible[(possible > d.min() - tolerance) & (possible < d.max() + tolerance)]
    possible_shells = np.clip(np.searchsorted(borders, 1.0 / inside**3, side="right") - 1, 0, n_bins - 1)
    parts = _Parts.make(seen, anomalous=anomalous)
    rows = [_compute_shell(parts, shells == k, int(np.sum(possible_shells == k)), (limits[k], limits[k + 1]))
            for k in range(n_bins) if np.any(shells == k)]
    return (*rows, _compute_shell(parts, present, len(inside), (d.max(), d.min())))


@dataclass(frozen=True)
class _Parts:
    """What all shells' statistics are made of."""

    seen: ScaledObservations
    all_: Means
    halves: tuple[Means, Means]
    mates: tuple[Means, Means]
    quarters: tuple[np.ndarray, np.ndarray]
    group: np.ndarray
    row: np.ndarray
    deviation: np.ndarray
    n: np.ndarray
    sums: np.ndarray

    @classmethod
    def make(cls, seen: ScaledObservations, *, anomalous: bool) -> _Parts:
        """Merge in all the ways that statistics need."""
        unique = seen.unique
        minus = unique.is_minus
        halves = average(seen, seen.half == 0), average(seen, seen.half == 1)
        mates = average(seen, ~minus), average(seen, minus)
        first, second = (average(seen, ~minus & (seen.half == k)).intensity
                         - average(seen, minus & (seen.half == k)).intensity for k in (0, 1))
        if anomalous:
            group, row = unique.group_mates_apart()
        else:
            group, row = unique.group, np.arange(len(unique))
        weight = 1.0 / seen.variance
        mean = np.bincount(group, weight * seen.intensity) / np.bincount(group, weight)
        return cls(seen, average(seen), halves, mates, (first, second), group, row,
                   np.bincount(group, np.abs(seen.intensity - mean[group])), np.bincount(group),
                   np.bincount(group, seen.intensity))


def _compute_shell(parts: _Parts, inside: np.ndarray, n_possible: int, limits: tuple[float, float]) -> ShellStatistics:
    """The statistics of the reflections that are inside a shell."""
    means, unique = parts.all_, parts.seen.unique
    n_unique, n_observations = int(inside.sum()), int(means.n[inside].sum())
    several = inside[parts.row] & (parts.n > 1)
    n, deviation, total = parts.n[several], parts.deviation[several], parts.sums[several].sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        r_merge, r_meas, r_pim = (float(np.sum(deviation * factor) / total) if total else np.nan
                                  for factor in (1.0, np.sqrt(n / (n - 1.0)), np.sqrt(1.0 / (n - 1.0))))
    acentric = inside & ~unique.is_centric
    both = acentric & (parts.mates[0].n > 0) & (parts.mates[1].n > 0)
    difference = (parts.mates[0].intensity - parts.mates[1].intensity)[both]
    slope = compute_normal_slope(difference / np.hypot(parts.mates[0].sigma, parts.mates[1].sigma)[both])
    first, second = (half.intensity[inside] for half in parts.halves)
    cc_half = correlate(first, second)
    n_mates = parts.mates[0].n[both].sum() + parts.mates[1].n[both].sum()
    return ShellStatistics(
        float(limits[0]), float(limits[1]), n_observations, n_unique, n_possible,
        100.0 * n_unique / n_possible if n_possible else np.nan, n_observations / n_unique if n_unique else np.nan,
        float(np.mean(means.intensity[inside] / means.sigma[inside])) if n_unique else np.nan, r_merge, r_meas, r_pim,
        cc_half, compute_chance(cc_half, int(np.count_nonzero(np.isfinite(first) & np.isfinite(second)))),
        float(np.sqrt(2.0 * cc_half / (1.0 + cc_half))) if cc_half > 0.0 else np.nan,
        compute_cc_half(parts.seen, inside), correlate(*(q[acentric] for q in parts.quarters)),
        100.0 * both.sum() / acentric.sum() if acentric.any() else np.nan,
        float(n_mates / (2.0 * both.sum())) if both.any() else np.nan, slope)


def correlate(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of two columns, where both are known.

    Parameters
    ----------
    x, y : (n,) float64

    Returns
    -------
    float
        NaN with fewer than three pairs.

    Examples
    --------
    >>> import numpy as np
    >>> correlate(np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0, 4.0, 6.0, 1.0])).__round__(6)
    1.0
    """
    known = np.isfinite(x) & np.isfinite(y)
    if np.count_nonzero(known) < 3 or np.ptp(x[known]) == 0.0 or np.ptp(y[known]) == 0.0:
        return float("nan")
    return float(np.corrcoef(x[known], y[known])[0, 1])


def compute_chance(correlation: float, n: int) -> float:
    """How likely a correlation as high as this is where there is none.

    Parameters
    ----------
    correlation : float
    n : int
        Pairs that it was computed from.

    Returns
    -------
    float
        By Student's t with n - 2 degrees of freedom, of one side; NaN with fewer than three pairs.

    Examples
    --------
    >>> round(compute_chance(0.5, 12), 3), round(compute_chance(0.0, 12), 3)
    (0.049, 0.5)
    """
    from scipy.stats import t as student

    if not np.isfinite(correlation) or n < 3:
        return float("nan")
    if correlation >= 1.0:
        return 0.0
    return float(student.sf(correlation * np.sqrt((n - 2) / (1.0 - correlation**2)), n - 2))


def compute_normal_slope(values: np.ndarray) -> float:
    """The slope of a normal probability plot about its middle (Howell & Smith 1992).

    Parameters
    ----------
    values : (n,) float64
        Deviations divided by their standard deviations.

    Returns
    -------
    float
        From the quantiles between -0.9 and 0.9; NaN with fewer than ten values there.

    Examples
    --------
    >>> import numpy as np
    >>> round(compute_normal_slope(2.0 * np.random.default_rng(1).normal(size=4000)), 1)
    2.0
    """
    from scipy.special import ndtri

    ordered = np.sort(values[np.isfinite(values)])
    expected = ndtri((np.arange(len(ordered)) + 0.5) / max(len(ordered), 1))
    middle = np.abs(expected) < 0.9
    if np.count_nonzero(middle) < 10:
        return float("nan")
    return float(np.polyfit(expected[middle], ordered[middle], 1)[0])


def compute_cc_half(seen: ScaledObservations, inside: np.ndarray) -> float:
    """CC1/2 from variances: ``(s_y^2 - s_e^2 / 2) / (s_y^2 + s_e^2 / 2)`` of reflections with two observations or more.

    ``s_y^2`` is the variance of the means, ``s_e^2`` the mean variance of the mean of one half of the observations.
    Observations have equal weights.

    Parameters
    ----------
    seen : ScaledObservations
    inside : (m,) bool
        Unique reflections of the shell.

    Returns
    -------
    float
        NaN with fewer than three such reflections.
    """
    group, m = seen.unique.group, len(seen.unique)
    n = np.bincount(group, minlength=m)
    mean = np.bincount(group, seen.intensity, m) / np.maximum(n, 1)
    squares = np.bincount(group, np.square(seen.intensity - mean[group]), m)
    used = inside & (n > 1)
    if np.count_nonzero(used) < 3:
        return float("nan")
    # of the mean of n / 2 observations
    error = float(np.mean(squares[used] / (n[used] - 1.0) / (n[used] / 2.0)))
    spread = float(np.var(mean[used], ddof=1))
    return (spread - error / 2.0) / (spread + error / 2.0) if spread + error > 0.0 else float("nan")


def make_table(shells: tuple[ShellStatistics, ...]) -> Table:
    """Make the table of shells, the last row being all together.

    Parameters
    ----------
    shells : tuple of ShellStatistics

    Returns
    -------
    Table
    """
    columns = {
        "d_max": "d max", "d_min": "d min", "n_observations": "obser-\nvations", "n_unique": "unique",
        "multiplicity": "multi-\nplicity", "completeness": "complete\n(%)", "mean_i_over_sigma": "mean\nI/sigma",
        "r_merge": "Rmerge", "r_meas": "Rmeas", "r_pim": "Rpim", "cc_half": "CC1/2", "cc_anomalous": "CC\nanom"}
    formats = {"d_max": ".2f", "d_min": ".2f", "multiplicity": ".2f", "completeness": ".1f", "mean_i_over_sigma": ".1f"}
    rows = tuple(tuple(_write(getattr(shell, name), formats.get(name, ".3f")) for name in columns) for shell in shells)
    return Table("shells", "Merging statistics by resolution (the last row: all)", columns, rows)


def _write(value: float, form: str) -> str:
    """A number of the table."""
    if isinstance(value, int):
        return str(value)
    return format(value, form) if np.isfinite(value) else "-"
