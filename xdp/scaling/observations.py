"""Integrated reflections as observations for scaling: intensities, and variances that do not follow their errors.

The variance of an integrated intensity holds its own counts. A reflection that was measured too low by chance then has
too small a variance, and too large a weight: weighted means come out too low. So the variance is taken apart, into what
comes from the background and what is proportional to the intensity, and the latter is computed from the mean of the
reflection's observations.

References
----------
Evans (2006). Acta Cryst. D62, 72-82, doi:10.1107/S0907444905036693, for corrections and parts of reflections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.mtz import median_cell, spacings
from xdp.exporting.selection import correction_factor
from xdp.merging.unique import UniqueReflections, find_unique
from xdp.reflections.flags import Flag
from xdp.reflections.sound import keep_sound_rows
from xdp.reflections.table import ReflectionTable
from xdp.scaling.options import ScaleOptions

_BINS = 20
"""Bins of intensity, and of resolution. A choice: thousands of reflections have hundreds in each."""
_LEAST = 0.1
"""A background variance is not below this part of the median at its resolution. A choice: it keeps weights finite where
counting statistics leave nothing, as in images without background."""


@dataclass(frozen=True)
class ObservationGroups:
    """ObservationGroups in the order of their reflections, those of I(+) before those of I(-).

    Attributes
    ----------
    row : (n,) int64
        Rows of the table they are from.
    unique : UniqueReflections
        Their reflections; `group` in the order of the observations here.
    start, start_apart : (n_groups + 1,) int64
        The first observation of each reflection, and their number: with mates together and apart.
    intensity : (n,) float64
        Corrected for Lorentz factor, polarisation, detector efficiency and (sums) partiality.
    background_variance, counting : (n,) float64
        The variance of an observation is ``background_variance + counting I``, with I its expected intensity.
    d : (n,) float64
        Å.
    sweep : (n,) int64
        The experiment.
    """

    row: np.ndarray
    unique: UniqueReflections
    start: np.ndarray
    start_apart: np.ndarray
    intensity: np.ndarray
    background_variance: np.ndarray
    counting: np.ndarray
    d: np.ndarray
    sweep: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


def gather_observations(experiments: ExperimentList, table: ReflectionTable, options: ScaleOptions
                        ) -> tuple[ObservationGroups, np.ndarray]:
    """Choose the reflections that are scaled, and work out what scaling needs of them.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals of one space group.
    table : ReflectionTable
        Integrated reflections.
    options : ScaleOptions
        The choice of intensities, and limits.

    Returns
    -------
    ObservationGroups
    excluded : (n_rows,) int64
        Flags for the rows of the table that were left out: by the user's limits, or as not well measured.

    Raises
    ------
    XdpError
        If no reflection is left.
    """
    intensity, variance = choose_intensities(table, options.reflection_selection.intensity_choice)
    cell = median_cell(experiments)
    d = spacings(cell, table["miller_index"])
    cuts = options.cut_data
    by_user = (d < (cuts.d_min or 0.0)) | (d > (cuts.d_max or np.inf))
    with np.errstate(invalid="ignore", divide="ignore"):
        sound = (variance > 0.0) & np.isfinite(variance) & np.isfinite(intensity) & (
            intensity > cuts.min_isigi * np.sqrt(variance))
    sound &= np.any(table["miller_index"] != 0, axis=1) & (table["id"] >= 0)
    sound &= table.get("partiality", np.ones(len(table))) >= cuts.partiality_cutoff
    factor = correction_factor(table)
    with np.errstate(all="ignore"):
        # Damaged values may be so large that the corrected ones, or their squares, are no numbers.
        sound &= (factor > 0.0) & np.isfinite(np.square(intensity * factor)) & np.isfinite(
            np.square(variance * np.square(factor)))
    excluded = np.where(by_user, int(Flag.USER_EXCLUDED_IN_SCALING), 0) | np.where(
        ~sound & ~by_user, int(Flag.EXCLUDED_FOR_SCALING), 0)
    rows = np.flatnonzero(excluded == 0)
    if not len(rows):
        raise XdpError(f"scale: none of {len(table)} reflections can be scaled: they are not integrated, or cut_data "
                       "leaves none")
    unique = find_unique(experiments[0].known.crystal.space_group, table["miller_index"][rows])
    # sums depend on their order to the last bit: the order is the same whatever that of the table
    z = table["xyzcal.px"][rows, 2]
    order = np.lexsort((intensity[rows], z, table["id"][rows], unique.is_minus, unique.group))
    unique = UniqueReflections(unique.hkl, unique.group[order], unique.is_minus[order], unique.is_centric,
                               unique.epsilon, unique.is_absent)
    rows = rows[order]
    background, counting = split_variance(intensity[rows], variance[rows], d[rows])
    f = factor[rows]
    apart = 2 * unique.group + unique.is_minus
    return ObservationGroups(
        rows, unique, np.searchsorted(unique.group, np.arange(len(unique) + 1)),
        np.append(np.flatnonzero(np.diff(apart, prepend=-1)), len(rows)), intensity[rows] * f, background * f * f,
        counting * f, d[rows], table["id"][rows].astype(np.int64)), excluded


def choose_intensities(table: ReflectionTable, choice: str) -> tuple[np.ndarray, np.ndarray]:
    """Choose between fitted and summed intensities, before any correction but that of sums for partiality.

    Parameters
    ----------
    table : ReflectionTable
        Integrated reflections.
    choice : {"profile", "sum"}
        profile: the fitted ones, where the fit succeeded, else the summed ones.

    Returns
    -------
    intensity, variance : (n,) float64
        NaN and 0 where there is none.

    Raises
    ------
    XdpError
        If the table has no intensities.
    """
    intensity, variance = np.full(len(table), np.nan), np.zeros(len(table))
    kinds = [("sum", Flag.INTEGRATED_SUM)] + [("prf", Flag.INTEGRATED_PRF)] * (choice == "profile")
    kinds = [(kind, flag) for kind, flag in kinds if f"intensity.{kind}.value" in table]
    if not kinds:
        raise XdpError("the reflections have no intensities: scale needs integrated.refl (run xdp integrate)")
    for kind, flag in kinds:
        chosen = table.flags(flag) & (table[f"intensity.{kind}.variance"] > 0.0)
        # a fit is of the whole reflection, a sum of the part that was recorded
        part = table["partiality"][chosen] if kind == "sum" and "partiality" in table else 1.0
        # What overflows is infinite, and is left out as not measured.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            intensity[chosen] = table[f"intensity.{kind}.value"][chosen] / part
            variance[chosen] = table[f"intensity.{kind}.variance"][chosen] / np.square(part)
    return intensity, variance


def split_variance(intensity: np.ndarray, variance: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take variances apart: what comes with the background, and what counting the reflection itself adds.

    The variance for a count (the gain) is the slope of the variances of stronger reflections against their intensities,
    beside a term with the square, which profile fits have.

    Parameters
    ----------
    intensity, variance : (n,) float64
        As integrated: counts.
    d : (n,) float64
        Å; backgrounds depend on it.

    Returns
    -------
    background, gain : (n,) float64
        ``variance = background + gain * intensity``, with the background above 0.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.arange(1000.0)
    >>> background, gain = split_variance(counts, 50.0 + 2.0 * counts, np.full(1000, 2.0))
    >>> background.round(3)[[0, -1]].tolist(), gain.round(6)[0].tolist()
    ([50.0, 50.0], 2.0)
    """
    gain = _estimate_gain(intensity, variance)
    background = variance - gain * np.maximum(intensity, 0.0)
    shell = _number_bins(-d, _BINS)
    typical = np.array([np.median(background[shell == k]) if np.any(shell == k) else 0.0 for k in range(_BINS)])
    # no background may be known better than backgrounds there are
    least = np.maximum(_LEAST * typical[shell], 1e-6 * variance)
    return np.maximum(background, least), np.full(len(variance), gain)


def _estimate_gain(intensity: np.ndarray, variance: np.ndarray) -> float:
    """The slope of variances against intensities; 1 where too few reflections are strong."""
    strong = intensity > 3.0 * np.sqrt(variance)
    if np.count_nonzero(strong) < 5 * _BINS:
        return 1.0
    bins = _number_bins(intensity[strong], _BINS)
    x, y = (np.array([np.median(v[strong][bins == k]) for k in range(_BINS)]) for v in (intensity, variance))
    # relative residuals: the variances span orders of magnitude
    columns = np.stack([np.ones(_BINS), x, x * x], axis=1) / y[:, None]
    size = np.abs(columns).max(axis=0)
    return float(nnls(columns / size, np.ones(_BINS))[0][1] / size[1])


def _number_bins(values: np.ndarray, n: int) -> np.ndarray:
    """Bins with equally many values, numbered in ascending order."""
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(len(values))
    return rank * n // max(len(values), 1)


def drop_unsound_rows(table: ReflectionTable) -> ReflectionTable:
    """Leave out rows whose intensities or indices are no numbers, with a warning.

    Parameters
    ----------
    table : ReflectionTable

    Returns
    -------
    ReflectionTable
    """
    names = [f"intensity.{kind}.{part}" for kind in ("sum", "prf") for part in ("value", "variance")]
    return keep_sound_rows(table, [*names, "xyzcal.px", "s1", "lp", "qe", "partiality"])
