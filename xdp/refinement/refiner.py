"""Refine all models of a list of experiments against their indexed reflections.

References
----------
Waterman et al. (2016) "Diffraction-geometry refinement in the DIALS framework", Acta Cryst. D72, 558.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.options.model import Auto
from xdp.prediction.centroids import centroids_to_mm, centroids_to_px, diffracted_rays
from xdp.refinement import engine
from xdp.refinement.options import Parameterisation, Refinement
from xdp.refinement.outliers import find_outliers
from xdp.refinement.problem import Data, Part, normal_equations, predict, residuals
from xdp.refinement.residuals import is_entering
from xdp.refinement.setup import Problem, apply, build_problem
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

_CHANGED = Flag.USED_IN_REFINEMENT | Flag.CENTROID_OUTLIER | Flag.EXCLUDED_FOR_REFINEMENT | Flag.PREDICTED


@dataclass(frozen=True)
class Refined:
    """What refinement gives.

    Attributes
    ----------
    experiments : ExperimentList
        With the refined models.
    reflections : ReflectionTable
        With new ``xyzcal.*``, ``s1``, ``entering`` and flags.
    steps : tuple of Step
        The path of the last minimisation.
    rmsds : (n_experiments, 3)
        In mm, mm and radians, of the reflections used.
    names, values, esds : list of str, arrays
        The parameters of the last minimisation: their shifts and standard uncertainties.
    reason : str
        Why it stopped.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    steps: tuple[engine.Step, ...]
    rmsds: np.ndarray
    names: list[str]
    values: np.ndarray
    esds: np.ndarray
    reason: str


def refine(experiments: ExperimentList, reflections: ReflectionTable, options: Refinement | None = None) -> Refined:
    """Refine beam, detector, goniometer and crystals so that predicted centroids fall on observed ones.

    Reflections that cannot say anything are set aside (unindexed, next to the spindle, at the ends of the scan), then
    outliers; all parameters are refined together, once with crystals that stand still in their frame and, where the
    scan is wide enough, again with crystals that change smoothly over it.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    reflections : ReflectionTable
        Columns ``id``, ``panel``, ``miller_index``, ``xyzobs.px.value``, ``xyzobs.px.variance`` and ``flags``.

    Raises
    ------
    XdpError
        If there are too few reflections, or nothing to refine.
    """
    options = options or Refinement()
    if any(e.crystal is None for e in experiments):
        raise XdpError("refinement needs a crystal in every experiment: index first")
    table = _with_mm(experiments, reflections)
    result = _stage(experiments, table, options, scan_varying=False)
    if _wants_scan_varying(experiments, options.parameterisation):
        result = _stage(result.experiments, result.reflections, options, scan_varying=True)
    return result


def _wants_scan_varying(experiments: ExperimentList, options: Parameterisation) -> bool:
    if not isinstance(options.scan_varying, Auto):
        return bool(options.scan_varying)
    return any(not e.is_still and e.scan.n_frames > 1 for e in experiments)


def _with_mm(experiments: ExperimentList, reflections: ReflectionTable) -> ReflectionTable:
    """A copy with observed positions in mm, computed with each experiment's geometry."""
    ids, panel = reflections["id"], reflections["panel"].astype(np.int64)
    value, variance = np.zeros((len(ids), 3)), np.zeros((len(ids), 3))
    for index, experiment in enumerate(experiments):
        rows = np.flatnonzero(ids == index)
        value[rows], variance[rows] = centroids_to_mm(
            experiment, panel[rows], reflections["xyzobs.px.value"][rows], reflections["xyzobs.px.variance"][rows])
    return reflections.with_columns(**{"xyzobs.mm.value": value, "xyzobs.mm.variance": variance})


def observations(experiment: Experiment, table: ReflectionTable, rows: np.ndarray, options: Refinement) -> Data:
    """The observations of one experiment with their weights, 1/variance (constants for stills' delta psi)."""
    observed = table["xyzobs.mm.value"][rows].copy()
    variance = table["xyzobs.mm.variance"][rows]
    weights = 1.0 / np.maximum(variance, 1e-12)
    strategy = options.reflections.weighting_strategy
    if strategy.override == "constant":
        weights = np.tile(np.asarray(strategy.constants, dtype=np.float64), (len(rows), 1))
    if experiment.is_still:
        observed[:, 2] = 0.0
        weights[:, 2] = strategy.delpsi_constant
    hkl = table["miller_index"][rows]
    panel = table["panel"][rows].astype(np.int64)
    s1 = diffracted_rays(experiment, panel, observed[:, :2])
    axis = np.array([1.0, 0, 0]) if experiment.goniometer is None else experiment.goniometer.rotation_axis_lab
    entering = is_entering(experiment.beam.s0, s1, axis)
    return Data(hkl, panel, observed, weights, table["xyzobs.px.value"][rows, 2], entering)


def _stage(experiments: ExperimentList, table: ReflectionTable, options: Refinement, *, scan_varying: bool
           ) -> Refined:
    """One minimisation, static or scan-varying, with selection of reflections before and predictions after it."""
    ids = table["id"]
    rows = [np.flatnonzero((ids == i) & table.flags(Flag.INDEXED)) for i in range(len(experiments))]
    data = [observations(e, table, r, options) for e, r in zip(experiments, rows, strict=True)]
    everything = build_problem(experiments, data, options.parameterisation, scan_varying=scan_varying)
    _check_fit(experiments, everything)
    usable, outliers = _choose(experiments, everything, options)
    chosen = [data_i.select(np.flatnonzero(u)) for data_i, u in zip(data, usable, strict=True)]
    problem = build_problem(experiments, chosen, options.parameterisation, scan_varying=scan_varying)
    _check_counts(problem, chosen, options)
    minimum = engine.minimise(lambda p: [normal_equations(part, p) for part in problem.parts], np.zeros(problem.size),
                              max_iterations=options.refinery.max_iterations or 100,
                              targets=_targets(experiments, options), damped=options.refinery.engine == "LevMar")
    refined = apply(problem, minimum.parameters, experiments)
    updated = _update(refined, everything, minimum.parameters, table, rows, usable, outliers)
    covariance = engine.covariance(minimum.normals, problem.size, 3 * sum(len(c) for c in chosen))
    rmsds = np.array([np.sqrt(n.sums / max(n.count, 1)) for n in minimum.normals])
    return Refined(refined, updated, minimum.steps, rmsds, problem.names(), minimum.parameters,
                   np.sqrt(np.maximum(np.diag(covariance), 0.0)), minimum.reason)


def _check_fit(experiments: ExperimentList, problem: Problem) -> None:
    """Stop where the indices do not belong to the models: most predictions are millimetres away."""
    for number, (experiment, part) in enumerate(zip(experiments, problem.parts, strict=True)):
        if not len(part.data):
            continue
        _, at = predict(part, np.zeros(problem.size))
        distance = np.hypot(*residuals(part, at)[:, :2].T)
        distance[~at.ok] = np.inf
        far = 50.0 * max(experiment.detector[0].pixel_size)
        if np.median(distance) > far:
            raise XdpError(f"refinement: half of the reflections of experiment {number} are predicted more than "
                           f"{far:.0f} mm from where they were observed: their Miller indices do not belong to this "
                           "crystal (was only one of the two files reindexed?)")


def _targets(experiments: ExperimentList, options: Refinement) -> Sequence[float]:
    target = options.target
    if target.rmsd_cutoff == "absolute" and target.absolute_cutoffs:
        return target.absolute_cutoffs
    pixel = experiments[0].detector[0].pixel_size
    width = 0.0 if experiments[0].is_still else np.deg2rad(abs(experiments[0].scan.oscillation[1]))
    return tuple(target.bin_size_fraction * size for size in (*pixel, width))


def _choose(experiments: ExperimentList, problem: Problem, options: Refinement
            ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each experiment which observations are used, and which are outliers, bool (n,) each."""
    rng = np.random.default_rng(options.reflections.random_seed)
    usable, outliers = [], []
    for experiment, part in zip(experiments, problem.parts, strict=True):
        state, at = predict(part, np.zeros(problem.size))
        good = at.ok & _is_informative(experiment, part, at.s1.T, state.s0.T, options)
        angles = np.zeros(len(part.data)) if experiment.is_still else np.rad2deg(part.data.observed[:, 2])
        bad = np.zeros(len(good), dtype=bool)
        candidates = np.flatnonzero(good)
        bad[candidates] = find_outliers(residuals(part, at)[candidates], angles[candidates],
                                        part.data.panel[candidates], options.reflections.outlier,
                                        is_still=experiment.is_still)
        use = good & ~bad
        outliers.append(bad)
        usable.append(_sample(use, experiment, options, rng))
    return usable, outliers


def _is_informative(experiment: Experiment, part: Part, s1: np.ndarray, s0: np.ndarray, options: Refinement
                    ) -> np.ndarray:
    """Away from the spindle, and from the ends of the scan."""
    if experiment.is_still:
        return np.ones(len(part.data), dtype=bool)
    axis = experiment.goniometer.rotation_axis_lab
    normal = np.cross(s1, s0)
    length = np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    zeta = np.abs(normal @ axis) / length
    good = zeta > options.reflections.close_to_spindle_cutoff
    margin = options.reflections.scan_margin
    if margin > 0.0:
        start, stop = (experiment.scan.angle(z) for z in experiment.scan.array_range)
        phi = np.rad2deg(part.data.observed[:, 2])
        good &= (phi >= min(start, stop) + margin) & (phi <= max(start, stop) - margin)
    return good


def _sample(use: np.ndarray, experiment: Experiment, options: Refinement, rng: np.random.Generator) -> np.ndarray:
    """At most so many reflections for each degree: more no longer improve the models."""
    settings = options.reflections
    limit = len(use)
    if not experiment.is_still and isinstance(settings.reflections_per_degree, float):
        width = abs(experiment.scan.oscillation[1]) * experiment.scan.n_frames
        limit = max(int(settings.reflections_per_degree * width), settings.minimum_sample_size)
    if settings.maximum_sample_size:
        limit = min(limit, settings.maximum_sample_size)
    rows = np.flatnonzero(use)
    if len(rows) <= limit:
        return use
    chosen = np.zeros(len(use), dtype=bool)
    chosen[np.sort(rng.choice(rows, limit, replace=False))] = True
    return chosen


def _check_counts(problem: Problem, data: Sequence[Data], options: Refinement) -> None:
    """Stop, where asked, if there are too few reflections for the parameters."""
    count, least = sum(len(d) for d in data), options.parameterisation.auto_reduction.min_nref_per_parameter
    if problem.size == 0:
        raise XdpError("refinement: every parameter is fixed; there is nothing to refine")
    if 3 * count < problem.size:
        raise XdpError(f"refinement: {count} reflections are too few for {problem.size} parameters; fix some "
                       "(refinement.parameterisation.*.fix) or index more reflections")
    if options.parameterisation.auto_reduction.action == "fail" and count < least * problem.size:
        raise XdpError(f"refinement: {count} reflections for {problem.size} parameters are fewer than "
                       f"auto_reduction.min_nref_per_parameter={least} for each")


def _update(experiments: ExperimentList, problem: Problem, p: np.ndarray, table: ReflectionTable,
            rows: Sequence[np.ndarray], usable: Sequence[np.ndarray], outliers: Sequence[np.ndarray]
            ) -> ReflectionTable:
    """The table with predictions by the refined models, and with the flags of this refinement."""
    n = len(table)
    columns = {name: table[name].copy() if name in table else np.zeros((n, 3))
               for name in ("xyzcal.mm", "xyzcal.px", "s1")}
    entering = table["entering"].copy() if "entering" in table else np.zeros(n, dtype=bool)
    flags = table["flags"] & ~np.uint64(_CHANGED)
    delta = table["delpsical.rad"].copy() if "delpsical.rad" in table else np.zeros(n)
    for experiment, part, r, use, bad in zip(experiments, problem.parts, rows, usable, outliers, strict=True):
        _, at = predict(part, p)
        columns["s1"][r] = at.s1.T
        third = np.zeros(len(r)) if experiment.is_still else at.third
        columns["xyzcal.mm"][r] = np.column_stack([at.x, at.y, third])
        columns["xyzcal.px"][r] = centroids_to_px(experiment, part.data.panel, columns["xyzcal.mm"][r])
        entering[r] = part.data.entering
        if experiment.is_still:
            delta[r] = at.third
        flags[r[use]] |= np.uint64(Flag.USED_IN_REFINEMENT)
        flags[r[bad]] |= np.uint64(Flag.CENTROID_OUTLIER)
        flags[r[at.ok]] |= np.uint64(Flag.PREDICTED)
    columns |= {"entering": entering, "flags": flags}
    if any(e.is_still for e in experiments):
        columns["delpsical.rad"] = delta
    return table.with_columns(**columns)


def replace_crystals(experiments: ExperimentList, crystals: Sequence) -> ExperimentList:
    """The experiments with other crystals, one each."""
    return ExperimentList([replace(e, crystal=c) for e, c in zip(experiments, crystals, strict=True)],
                          experiments.extra)
