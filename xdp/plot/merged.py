"""Plots of scaled observations: statistics by resolution and over frames, pulls, Wilson's plot, tests of the "
"distribution."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.merging.merge import Merged, merge
from xdp.merging.unique import find_unique
from xdp.plot.binning import average_bins, count_histogram, make_scatter
from xdp.plot.data import Axis, Plot, Series
from xdp.plot.spots import FRAME, make_resolution_axis
from xdp.plot.tables import bin_frames, find_frames
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


class _Key:
    """Stands for a table and its experiments in a cache: equal where they are the same objects."""

    def __init__(self, table: ReflectionTable, experiments: ExperimentList) -> None:
        self.table, self.experiments = table, experiments

    def __hash__(self) -> int:
        return hash((id(self.table), id(self.experiments)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.table is self.table and other.experiments is self.experiments


# Ten plots are made of one table: it is merged once, and kept for the last table alone.
@lru_cache(maxsize=1)
def _merge_once(key: _Key) -> Merged | None:
    try:
        return merge(key.experiments, key.table)
    except XdpError:
        return None


@lru_cache(maxsize=1)
def _compute_pulls(key: _Key) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of scaled observations with partners, their deviations in sigmas, and the numbers of partners."""
    table, crystal = key.table, key.experiments[0].crystal
    scale, variance = table["inverse_scale_factor"], table["intensity.scale.variance"]
    with np.errstate(all="ignore"):
        intensity = table["intensity.scale.value"] / scale
        spread = variance / scale**2
    bad = table.any_flags(Flag.BAD_FOR_SCALING)
    rows = np.flatnonzero(~bad & (scale > 0) & np.isfinite(intensity) & (spread > 0))
    if crystal is None or not len(rows):
        return rows[:0], np.zeros(0), np.zeros(0)
    unique = find_unique(crystal.space_group, table["miller_index"][rows])
    index, weight, value = unique.group, 1.0 / spread[rows], intensity[rows]
    n = int(index.max()) + 1
    total, mean = np.bincount(index, weight, n), np.bincount(index, weight * value, n)
    number = np.bincount(index, minlength=n)[index]
    # Against the mean of the others: a deviation from a mean that holds the value itself is too small.
    rest = total[index] - weight
    partners = (number > 1) & (rest > 0)
    with np.errstate(all="ignore"):
        others = (mean[index] - weight * value) / rest
        pull = (value - others) / np.sqrt(spread[rows] + 1.0 / rest)
    return rows[partners], pull[partners], number[partners].astype(np.float64)


def _find_key(table: ReflectionTable | None, experiments: ExperimentList | None) -> _Key | None:
    """The key of a scaled table; None for others."""
    if table is None or experiments is None or not len(experiments) or not len(table):
        return None
    if not {"inverse_scale_factor", "intensity.scale.value", "intensity.scale.variance", "miller_index",
            "flags"} <= set(table):
        return None
    return _Key(table, experiments)


def _plot_shells(name: str, title: str, caption: str, label: str, get: dict[str, Callable], table, experiments
                 ) -> Plot | None:
    """A statistic of merging by resolution."""
    key = _find_key(table, experiments)
    merged = _merge_once(key) if key is not None else None
    if merged is None or len(merged.shells) < 3:
        return None
    shells = merged.shells[:-1]  # the last one is of all data
    middles = np.array([(s.d_max**-2 + s.d_min**-2) / 2 for s in shells])
    series = tuple(Series(word, middles, np.array([function(s) for s in shells], np.float64))
                   for word, function in get.items())
    return Plot(name, title, caption, make_resolution_axis(float(shells[-1].d_min**-2)), Axis(label), series)


def cc_half_by_resolution(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Show CC1/2 and the anomalous correlation in shells.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _plot_shells("cc_half_by_resolution", "CC½ by resolution", "Good: near 1 inside; 0.3 is where data end "
                        "for most "
                        "uses. A dip in the middle is ice. Anomalous above 0.3: a signal.", "correlation",
                        {"CC½": lambda s: s.cc_half, "anomalous": lambda s: s.cc_anomalous}, table, experiments)


def merged_i_over_sigma_by_resolution(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Show the mean I/sigma of merged intensities in shells.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _plot_shells("merged_i_over_sigma_by_resolution", "Merged I/σ by resolution", "Good: a smooth fall to 1 "
                        "or 2 at "
                        "the edge.", "mean I/σ", {"I/σ": lambda s: s.mean_i_over_sigma}, table, experiments)


def completeness_by_resolution(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Show completeness, anomalous too, in shells.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _plot_shells("completeness_by_resolution", "Completeness by resolution", "Good: above 0.95 up to the "
                        "edge. Low at "
                        "low resolution: overloads or the beamstop; low at the edge: the detector's corners.",
                        "completeness", {"all": lambda s: s.completeness,
                                         "anomalous": lambda s: s.anomalous_completeness}, table, experiments)


def multiplicity_by_resolution(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Show the number of observations of a unique reflection in shells.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _plot_shells("multiplicity_by_resolution", "Multiplicity by resolution", "Good: level up to the edge.",
                        "observations per reflection", {"all": lambda s: s.multiplicity}, table, experiments)


def r_factors_by_resolution(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Show R(merge), R(meas) and R(p.i.m.) in shells.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _plot_shells("r_factors_by_resolution", "R values by resolution", "Good: a few per cent inside. High at low "
                        "resolution: absorption, or the wrong symmetry.", "R", {
                            "R(merge)": lambda s: s.r_merge, "R(meas)": lambda s: s.r_meas,
                            "R(p.i.m.)": lambda s: s.r_pim}, table, experiments)


def wilson_plot(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Show the logarithm of the mean merged intensity over 1/d².

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    key = _find_key(table, experiments)
    merged = _merge_once(key) if key is not None else None
    if merged is None:
        return None
    squared, intensity = merged.d**-2.0, merged.columns["IMEAN"]
    largest, n = float(squared.max()), 40
    index = np.minimum((squared / largest * n).astype(np.int64), n - 1)
    means = average_bins(index, intensity, n)
    with np.errstate(all="ignore"):
        logs = np.log(np.where(means > 0, means, np.nan))
    middles = (np.arange(n) + 0.5) * largest / n
    return Plot("wilson_plot", "Wilson plot", "Good: a straight line beyond 3.5 Å. Peaks are ice; a line that turns "
                                              "up at "
                "the edge, noise taken for signal.", make_resolution_axis(largest), Axis("ln of mean intensity"),
                (Series("data", middles, logs),))


def cumulative_intensities(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Show the distribution of intensities over their local mean, with what theory says of acentric data and twins.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    key = _find_key(table, experiments)
    merged = _merge_once(key) if key is not None else None
    if merged is None:
        return None
    order = np.argsort(merged.d)[::-1]
    # Blocks of 200 reflections of neighbouring resolution: their mean is known to 7 %.
    block = np.arange(len(order)) // 200
    intensity = merged.columns["IMEAN"][order]
    mean = average_bins(block, intensity, int(block.max()) + 1)[block]
    with np.errstate(all="ignore"):
        z = np.sort((intensity / mean)[mean > 0])
    at = np.linspace(0.0, 1.0, 21)
    part = np.searchsorted(z, at, side="right") / max(1, len(z))
    return Plot("cumulative_intensities", "Cumulative intensities", "Good: on the line of theory (acentric). An "
                "S-shape "
                "below it, as of the twin, is twinning; above it at 0, noise or a translation.", Axis("I / mean I"),
                Axis("fraction of reflections"),
                (Series("data", at, part, "line"), Series("theory", at, 1.0 - np.exp(-at)),
                 Series("perfect twin", at, 1.0 - (1.0 + 2.0 * at) * np.exp(-2.0 * at))))


def scales_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the scales of observations over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if _find_key(table, experiments) is None or "xyzcal.px" not in table:
        return None
    values = np.where(table.any_flags(Flag.BAD_FOR_SCALING), np.nan, table["inverse_scale_factor"])
    _, middles, index = bin_frames(table, experiments, "xyzcal.px")
    return Plot("scales_by_frame", "Scales by frame", "Good: slow waves. A steady fall is damage; a step, a change "
                "of the beam.", FRAME, Axis("mean scale"),
                (Series("scale", middles, average_bins(index, values, len(middles))),))


def r_merge_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the squared pulls over frames: how observations agree with those of other frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    key = _find_key(table, experiments)
    if key is None or "xyzcal.px" not in table:
        return None
    # Deviations in sigmas times sigma: an R value that each observation enters against its partners.
    rows, pull, _ = _compute_pulls(key)
    if not len(rows):
        return None
    _, middles, index = bin_frames(table, experiments, "xyzcal.px")
    index = index[rows]
    value = table["intensity.scale.value"][rows] / table["inverse_scale_factor"][rows]
    sigma = np.sqrt(table["intensity.scale.variance"][rows]) / table["inverse_scale_factor"][rows]
    top = average_bins(index, np.abs(pull) * sigma, len(middles))
    with np.errstate(all="ignore"):
        r = top / average_bins(index, value, len(middles))
    return Plot("r_merge_by_frame", "Disagreement by frame", "Good: level. A rise at the end is damage; single high "
                "frames "
                "should be looked at, and perhaps left out.", FRAME, Axis("mean deviation / mean intensity"),
                (Series("deviation", middles, np.where(r > 0, r, np.nan)),))


def pull_histogram(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count the pulls: deviations from the mean of the other observations, in sigmas.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    key = _find_key(table, experiments)
    if key is None or not len(pull := _compute_pulls(key)[1]):
        return None
    # Beyond six sigmas there are outliers, which the histogram of a sound set would not show.
    bars = count_histogram(pull, "observed", (-6.0, 6.0))
    normal = np.exp(-(bars.x**2) / 2) / np.sqrt(2 * np.pi) * len(pull) * (bars.x[1] - bars.x[0])
    return Plot("pull_histogram", "Pulls", "Good: the normal curve. Wider: the errors are too small; tails: outliers.",
                Axis("deviation from the others", "σ"), Axis("observations"), (bars, Series("normal", bars.x, normal)))


def pull_probability(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the quantiles of the pulls over those of a normal distribution.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    key = _find_key(table, experiments)
    if key is None or len(pull := np.sort(_compute_pulls(key)[1])) < 10:
        return None
    # 199 quantiles draw the line; the tails beyond them are single observations.
    part = (np.arange(1, 200) - 0.5) / 199
    normal = np.array([NormalDist().inv_cdf(p) for p in part])
    found = np.quantile(pull, part)
    return Plot("pull_probability", "Normal probability of the pulls", "Good: on the line. Steeper: the errors are too "
                "small.", Axis("normal quantile"), Axis("pull"),
                (Series("pulls", normal, found, "points"), Series("normal", normal, normal)))


def _scatter_pulls(table, experiments, name: str, title: str, axis: Axis, compute: Callable) -> Plot | None:
    """Pulls over something else."""
    key = _find_key(table, experiments)
    if key is None or not len((found := _compute_pulls(key))[0]):
        return None
    with np.errstate(all="ignore"):
        series, grid = make_scatter(compute(table, *found), found[1], "observations")
    return Plot(name, title, "Good: one band about 0 of equal width everywhere.", axis, Axis("pull", "σ"), series, grid)


def pull_by_multiplicity(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the pulls over the number of observations of the reflection.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _scatter_pulls(table, experiments, "pull_by_multiplicity", "Pulls by multiplicity", Axis("observations"),
                          lambda table, rows, pull, number: number)


def pull_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the pulls over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if table is None or "xyzcal.px" not in table:
        return None
    return _scatter_pulls(table, experiments, "pull_by_frame", "Pulls by frame", FRAME,
                          lambda table, rows, pull, number: find_frames(table, "xyzcal.px")[rows])


def pull_by_intensity(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the pulls over log10 of the scaled intensity.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    def compute(table, rows, pull, number):
        value = table["intensity.scale.value"][rows] / table["inverse_scale_factor"][rows]
        return np.log10(np.where(value > 0, value, np.nan))

    return _scatter_pulls(table, experiments, "pull_by_intensity", "Pulls by intensity", Axis("log10(I)"), compute)


def pull_by_strength(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the pulls over log10(I/sigma).

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    def compute(table, rows, pull, number):
        ratio = table["intensity.scale.value"][rows] / np.sqrt(table["intensity.scale.variance"][rows])
        return np.log10(np.where(ratio > 0, ratio, np.nan))

    return _scatter_pulls(table, experiments, "pull_by_strength", "Pulls by I/σ", Axis("log10(I/σ)"), compute)
