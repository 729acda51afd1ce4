"""Estimate the resolution limit of scaled data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.mtz import check_exportable, median_cell, spacings
from xdp.merging.average import ScaledObservations, average, gather_scaled
from xdp.merging.diagnostics.normalise import normalise
from xdp.merging.merge import list_possible
from xdp.merging.resolution.curves import FittedCurve, fit_correlation, fit_smooth
from xdp.merging.resolution.options import ResolutionMeasures, ResolutionOptions
from xdp.merging.statistics import ShellStatistics, compute_merging_statistics, correlate
from xdp.merging.unique import UniqueReflections, find_unique, list_rotations
from xdp.options.named import make_options
from xdp.reflections.merged_file import choose_intensities_of_file, read_merged_file
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client

    from xdp.space_groups import AnySpaceGroup

logger = logging.getLogger(__name__)

_CONE = 30.0
"""Degrees about a reciprocal axis within which reflections tell the limit along it; a choice: cones of 20 degrees as in
Aimless hold too few reflections of small data sets."""


@dataclass(frozen=True, repr=False)
class ResolutionEstimate(Displayed):
    """What :func:`estimate_resolution` gives.

    Attributes
    ----------
    experiments, reflections
        Those that were given.
    curves : dict of str to FittedCurve
        By the names of the measures: ``cc_half``, ``misigma`` ...
    along : dict of str to FittedCurve
        CC1/2 near ``a*``, ``b*`` and ``c*``.
    d_min : float
        Å: the coarsest of the limits.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    curves: dict[str, FittedCurve]
    along: dict[str, FittedCurve]
    d_min: float

    @property
    def report(self) -> Report:
        """The limits, and the curves as arrays."""
        rows = tuple((name, f"{c.limit:.2f}", "the data end before" if c.is_beyond else "")
                     for name, c in [*self.curves.items(), *((f"CC1/2 along {n}", c) for n, c in self.along.items())]
                     if np.isfinite(c.limit))
        table = Table("limits", "Resolution limits", {"measure": "measure", "limit": "limit (Å)", "note": ""}, rows)
        arrays = {name: (f"1/d^2, {name}, curve", np.stack([1.0 / np.square(c.d), c.values, c.fitted]))
                  for name, c in self.curves.items()}
        facts = {"d_min": None if not np.isfinite(self.d_min) else self.d_min,
                 **{name: c.limit if np.isfinite(c.limit) else None for name, c in self.curves.items()}}
        return Report((table,), arrays, facts)

    def _facts(self) -> list[tuple[str, Any]]:
        return list(self.report.facts.items())


def estimate_resolution(experiments: ExperimentList, reflections: ReflectionTable,
                        options: ResolutionOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
                        progress: Progress | None = None, **named: Any) -> ResolutionEstimate:
    """Estimate how far scaled data reach.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals of one space group.
    reflections : ReflectionTable
        As scaled by `xdp.scale` or by dials.scale.
    options : ResolutionOptions or dict, optional
        The parameters of ``xdp estimate_resolution``. No file is written.
    client : distributed.Client, optional
        One of its workers does the work; by default this process.
    progress : callable, optional
        Shows when the work is done.
    **named
        Parameters by name, laid over `options`: ``cc_half=0.5, misigma=2.0``.

    Returns
    -------
    ResolutionEstimate
        With ``d_min``, ``curves`` and ``report``.

    Raises
    ------
    XdpError
        If the reflections are not scaled, or the reference has no intensities.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_integrated
    >>> scaled = xdp.scale(*make_integrated())
    >>> found = xdp.estimate_resolution(scaled.experiments, scaled.reflections)
    >>> found.curves["cc_half"].limit == found.d_min
    True
    """
    chosen = make_options(ResolutionOptions, options, named)
    return run_as_one_task(_estimate, experiments, reflections, chosen, label="resolution", client=client,
                           progress=progress)


def _estimate(experiments: ExperimentList, table: ReflectionTable, options: ResolutionOptions) -> ResolutionEstimate:
    """The work of :func:`estimate_resolution`."""
    check_exportable(experiments, table)
    own, cell = options.resolution, median_cell(experiments)
    group = _choose_group(experiments, own)
    seen = gather_scaled(group, table, (table["id"] >= 0) & np.any(table["miller_index"] != 0, axis=1))
    seen = _drop_improbable(seen, cell, own)
    d = spacings(cell, seen.unique.hkl)
    borders = _make_borders(d[~seen.unique.is_absent], own)
    shells = compute_merging_statistics(seen, d, list_possible(group, cell, float(d.min())), borders,
                                        anomalous=own.anomalous)[:-1]
    curves = _fit_measures(shells, seen, d, borders, own)
    if own.reference is not None and own.cc_ref is not None:
        curves["cc_ref"] = _fit_reference(own.reference, group, seen, d, borders, own)
    limits = [curve.limit for curve in curves.values() if np.isfinite(curve.limit)]
    if not limits:
        logger.warning("No limit could be estimated: %d unique reflections in %d shells are too few", len(d),
                       len(shells))
    along = {} if own.cc_half is None else _fit_along_axes(seen, group, cell, d, own)
    return ResolutionEstimate(experiments, table, curves, along, max(limits) if limits else float("nan"))


def _choose_group(experiments: ExperimentList, own: ResolutionMeasures) -> AnySpaceGroup:
    """The group to merge in."""
    from xdp.indexing.lattice.symmetry import find_space_group

    if own.space_group is None:
        return experiments[0].known.crystal.space_group
    return find_space_group(own.space_group)


def _drop_improbable(seen: ScaledObservations, cell: Sequence[float], own: ResolutionMeasures) -> ScaledObservations:
    """Without reflections so strong that they are errors."""
    if own.emax is None:
        return seen
    means, unique = average(seen), seen.unique
    d = spacings(cell, unique.hkl)
    known = np.isfinite(means.intensity) & (means.sigma > 0.0)
    data = normalise(unique.hkl, means.intensity, means.sigma, d, unique.epsilon, unique.is_centric)
    strong = np.zeros(len(unique), bool)
    strong[np.flatnonzero(known)] = data.e2 > own.emax**2
    if not strong.any():
        return seen
    logger.info("%d reflections with |E| above %g are left out", int(strong.sum()), own.emax)
    rows = ~strong[unique.group]
    number = np.cumsum(~strong) - 1
    kept = UniqueReflections(unique.hkl[~strong], number[unique.group[rows]], unique.is_minus[rows],
                             unique.is_centric[~strong], unique.epsilon[~strong], unique.is_absent[~strong])
    return ScaledObservations(kept, seen.intensity[rows], seen.variance[rows], seen.shared[rows], seen.half[rows])


def _make_borders(d: np.ndarray, own: ResolutionMeasures) -> np.ndarray:
    """Borders of the shells in 1/d³."""
    n_bins = max(1, min(own.nbins, len(d) // own.reflections_per_bin))
    x = np.sort(d) [::-1] ** -3.0
    if own.binning_method == "volume":
        return np.linspace(x[0], x[-1], n_bins + 1)
    return np.interp(np.linspace(0.0, len(x) - 1.0, n_bins + 1), np.arange(len(x)), x)


def _fit_measures(shells: Sequence[ShellStatistics], seen: ScaledObservations, d: np.ndarray, borders: np.ndarray,
                  own: ResolutionMeasures) -> dict[str, FittedCurve]:
    """The curves of all measures that are asked for."""
    middle = np.array([((s.d_max**-3 + s.d_min**-3) / 2.0) ** (-1.0 / 3.0) for s in shells])
    n = np.array([s.n_unique for s in shells])
    curves = {}
    if own.cc_half is not None:
        name = "cc_half" if own.cc_half_method == "half_dataset" else "cc_half_sigma_tau"
        cc = np.array([getattr(s, name) for s in shells])
        curves["cc_half"] = _fit_cc(middle, cc, n, own.cc_half, own, np.array([s.cc_half_p for s in shells]))
    simple: tuple[tuple[str, float | None, Callable[[], np.ndarray], bool], ...] = (
        ("rmerge", own.rmerge, lambda: np.array([s.r_merge for s in shells]), True),
        ("completeness", own.completeness, lambda: np.array([s.completeness / 100.0 for s in shells]), False),
        ("misigma", own.misigma, lambda: np.array([s.mean_i_over_sigma for s in shells]), False),
        ("isigma", own.isigma, lambda: _mean_over_observations(seen, d, borders), False),
        ("i_mean_over_sigma_mean", own.i_mean_over_sigma_mean, lambda: _ratio_of_means(seen, d, borders), False))
    for name, limit, compute, rises in simple:
        if limit is not None:
            values = np.nan_to_num(compute(), nan=-1.0)
            curves[name] = fit_smooth(middle, values, n, limit, rises=rises)
    return curves


def _fit_cc(middle: np.ndarray, cc: np.ndarray, n: np.ndarray, limit: float, own: ResolutionMeasures,
            p: np.ndarray | None = None) -> FittedCurve:
    """The curve of a correlation; the limit is not beyond the last shell that is significant."""
    known = np.isfinite(cc)
    found = fit_correlation(middle[known], cc[known], n[known], limit, own.cc_half_fit)
    if p is None or own.cc_half_significance_level is None or not np.isfinite(found.limit):
        return found
    significant = known & (p < own.cc_half_significance_level)
    finest = float(middle[significant].min()) if significant.any() else float(middle.max())
    if found.limit >= finest:
        return found
    return FittedCurve(found.d, found.values, found.fitted, finest, False)


def _find_shells(d: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """The shell of each spacing."""
    return np.clip(np.searchsorted(borders, d**-3.0, side="right") - 1, 0, len(borders) - 2)


def _mean_over_observations(seen: ScaledObservations, d: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Mean I/sigma of single observations in each shell that has any."""
    shell = _find_shells(d, borders)[seen.unique.group]
    count = np.bincount(shell, minlength=len(borders) - 1)
    total = np.bincount(shell, seen.intensity / np.sqrt(seen.variance), len(borders) - 1)
    return (total / np.maximum(count, 1))[_is_occupied(seen, d, borders)]


def _ratio_of_means(seen: ScaledObservations, d: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Mean merged intensity over mean sigma."""
    means, shell, size = average(seen), _find_shells(d, borders), len(borders) - 1
    intensity, sigma = np.bincount(shell, means.intensity, size), np.bincount(shell, means.sigma, size)
    return (intensity / np.maximum(sigma, 1e-300))[_is_occupied(seen, d, borders)]


def _is_occupied(seen: ScaledObservations, d: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """The shells for which there are statistics."""
    return np.bincount(_find_shells(d[~seen.unique.is_absent], borders), minlength=len(borders) - 1) > 0


def _fit_reference(path: str, group: AnySpaceGroup, seen: ScaledObservations, d: np.ndarray, borders: np.ndarray,
                   own: ResolutionMeasures) -> FittedCurve:
    """The correlation with the intensities of a file."""
    mtz = read_merged_file(path)
    hkl, (values, _) = np.array(mtz.make_miller_array()), choose_intensities_of_file(mtz, path)
    both = find_unique(group, np.concatenate([seen.unique.hkl, hkl]))
    mine, theirs = both.group[:len(d)], both.group[len(d):]
    known = np.full(len(both), np.nan)
    known[theirs] = values
    means, shell = average(seen), _find_shells(d, borders)
    rows = [shell == k for k in range(len(borders) - 1)]
    cc = np.array([correlate(means.intensity[r], known[mine[r]]) for r in rows])
    n = np.array([int(np.count_nonzero(np.isfinite(known[mine[r]]))) for r in rows])
    middle = (0.5 * (borders[1:] + borders[:-1])) ** (-1.0 / 3.0)
    return _fit_cc(middle, cc, n, float(own.cc_ref or 0.0), own)


def _fit_along_axes(seen: ScaledObservations, group: AnySpaceGroup, cell: Sequence[float], d: np.ndarray,
                    own: ResolutionMeasures) -> dict[str, FittedCurve]:
    """CC1/2 of the reflections near each reciprocal axis."""
    import gemmi

    to_reciprocal = np.array(gemmi.UnitCell(*cell).frac.mat.tolist())
    length = np.linalg.norm(seen.unique.hkl @ to_reciprocal, axis=1)
    halves = [average(seen, seen.half == k).intensity for k in (0, 1)]
    # a unique reflection stands for all its equivalents: one of them may be near the axis
    equivalents = [seen.unique.hkl @ rotation @ to_reciprocal for rotation in list_rotations(group)]
    found = {}
    for axis, name in enumerate(("a*", "b*", "c*")):
        direction = to_reciprocal[axis] / np.linalg.norm(to_reciprocal[axis])
        cosine = np.max([np.abs(q @ direction) for q in equivalents], axis=0) / np.maximum(length, 1e-300)
        inside = (cosine > np.cos(np.deg2rad(_CONE))) & np.isfinite(halves[0]) & np.isfinite(halves[1])
        if np.count_nonzero(inside) < 10 * own.reflections_per_bin:
            continue
        borders = _make_borders(d[inside], own.model_copy(update={"nbins": 20}))
        shell = np.where(inside, _find_shells(d, borders), -1)
        cc = np.array([correlate(halves[0][shell == k], halves[1][shell == k]) for k in range(len(borders) - 1)])
        n = np.bincount(shell[inside], minlength=len(borders) - 1)
        middle = (0.5 * (borders[1:] + borders[:-1])) ** (-1.0 / 3.0)
        found[name] = _fit_cc(middle, cc, n, float(own.cc_half or 0.0), own)
    return found
