"""Which observations a refinement uses, how they weigh, and what becomes of too few of them."""

from __future__ import annotations

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.centroids import centroids_to_mm, diffracted_rays
from xdp.refinement.equations.problem import Data, Part, predict, residuals
from xdp.refinement.equations.residuals import is_entering
from xdp.refinement.options import Refinement
from xdp.refinement.outliers import Sample, find_outliers
from xdp.refinement.parameters.setup import Problem
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def with_mm(experiments: ExperimentList, reflections: ReflectionTable) -> ReflectionTable:
    """A copy with observed positions in mm, computed with each experiment's geometry."""
    ids, panel = reflections["id"], reflections["panel"].astype(np.int64)
    value, variance = np.zeros((len(ids), 3)), np.zeros((len(ids), 3))
    for index, experiment in enumerate(experiments):
        rows = np.flatnonzero(ids == index)
        value[rows], variance[rows] = centroids_to_mm(
            experiment, panel[rows], reflections["xyzobs.px.value"][rows], reflections["xyzobs.px.variance"][rows])
    return reflections.with_columns(**{"xyzobs.mm.value": value, "xyzobs.mm.variance": variance})


def observations(experiment: Experiment, table: ReflectionTable, rows: np.ndarray, options: Refinement) -> Data:
    """The observations of one experiment with their weights.

    Positions and angles weigh 1/variance, or constants where asked; delta psi of stills weighs a constant, or nothing
    with ``override=statistical``, since its variance is not known.

    Raises
    ------
    XdpError
        If weights of stills are asked for rotation data.
    """
    observed = table["xyzobs.mm.value"][rows].copy()
    variance = table["xyzobs.mm.variance"][rows]
    weights = 1.0 / np.maximum(variance, 1e-12)
    strategy = options.reflections.weighting_strategy
    if strategy.override == "constant":
        weights = np.tile(np.asarray(strategy.constants, dtype=np.float64), (len(rows), 1))
    if experiment.is_still:
        observed[:, 2] = 0.0
        if strategy.override in (None, "stills"):
            weights[:, 2] = strategy.delpsi_constant
        elif strategy.override == "statistical":
            weights[:, 2] = 0.0
    elif strategy.override == "stills":
        raise XdpError("weighting_strategy.override=stills: the experiments rotate; take statistical or constant")
    hkl = table["miller_index"][rows]
    panel = table["panel"][rows].astype(np.int64)
    s1 = diffracted_rays(experiment, panel, observed[:, :2])
    axis = np.array([1.0, 0, 0]) if experiment.goniometer is None else experiment.goniometer.rotation_axis_lab
    entering = is_entering(experiment.beam.s0, s1, axis)
    frames = table["xyzobs.px.value"][rows, 2]
    return Data(hkl, panel, observed, weights, frames, entering, _is_sound(experiment, table, rows, frames))


def _is_sound(experiment: Experiment, table: ReflectionTable, rows: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Not overloaded, whose centroids are worse; not the direct beam; within the scan. As in DIALS."""
    sound = (table["flags"][rows] & np.uint64(Flag.OVERLOADED)) == 0
    sound &= np.any(table["miller_index"][rows] != 0, axis=1)
    if not experiment.is_still:
        start, stop = experiment.scan.array_range
        sound &= (frames >= start) & (frames <= stop)
    return sound


def choose(experiments: ExperimentList, problem: Problem, options: Refinement
            ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each experiment which observations are used, and which are outliers, bool (n,) each."""
    settings = options.reflections
    rng = np.random.default_rng(settings.random_seed)
    good, looks = [], []
    for experiment, part in zip(experiments, problem.parts, strict=True):
        state, at = predict(part, np.zeros(problem.size))
        keep = at.ok & part.data.sound & _is_informative(experiment, part, at.s1.T, state.s0.T, options)
        rows = np.flatnonzero(keep)
        angles = np.zeros(len(rows)) if experiment.is_still else np.rad2deg(part.data.observed[rows, 2])
        good.append(keep)
        looks.append(Sample(residuals(part, at)[rows], angles, part.data.panel[rows], experiment.is_still,
                            tuple(experiment.detector[0].pixel_size)))
    usable, outliers = [], []
    for experiment, keep, found in zip(experiments, good, find_outliers(looks, settings.outlier, settings.random_seed),
                                       strict=True):
        bad = np.zeros(len(keep), dtype=bool)
        bad[np.flatnonzero(keep)[found]] = True
        outliers.append(bad)
        usable.append(_sample(keep & ~bad, experiment, options, rng))
    return usable, outliers


def _is_informative(experiment: Experiment, part: Part, s1: np.ndarray, s0: np.ndarray, options: Refinement
                    ) -> np.ndarray:
    """Away from the spindle, and from the ends of the scan."""
    if experiment.is_still:
        return np.ones(len(part.data), dtype=bool)
    # the volume spanned by spindle, beam and ray: small next to the spindle, and at low angles, where phi is uncertain.
    # With electrons, of long s0 and s1, zeta is smaller.
    normal = np.cross(s1, s0)
    volume = np.abs(normal @ experiment.goniometer.rotation_axis_lab)
    good = volume / np.maximum(np.linalg.norm(normal, axis=1), 1.0) > options.reflections.close_to_spindle_cutoff
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


def check_fit(experiments: ExperimentList, problem: Problem) -> None:
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
