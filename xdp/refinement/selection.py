"""Which observations a refinement uses, how they weigh, and what becomes of too few of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.centroids import centroids_to_mm, compute_diffracted_rays
from xdp.refinement.equations.parts import ObservedCentroids
from xdp.refinement.equations.problem import compute_residuals, predict_part
from xdp.refinement.equations.residuals import is_entering
from xdp.refinement.options import Refinement
from xdp.refinement.outliers import Sample, find_outliers
from xdp.refinement.parameters.setup import Problem
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

_LEAST_VARIANCE = 1e-12  # mm2 or rad2: a centroid stored without a variance does not weigh infinitely
# Pixels by which half of the reflections may be off before the indices are taken for those of another crystal. A
# crystal as indexing leaves it is off by a few; wrong indices predict spots anywhere on the detector.
_FAR = 50.0


@dataclass(frozen=True)
class Choice:
    """Which observations of each experiment are used, and which are outliers; others are neither.

    Attributes
    ----------
    usable, outliers : list of (n,) arrays of bool
        One for each experiment.
    """

    usable: list[np.ndarray]
    outliers: list[np.ndarray]


def add_mm_positions(experiments: ExperimentList, reflections: ReflectionTable) -> ReflectionTable:
    """Add the observed positions in mm and radians, computed with each experiment's geometry.

    Parameters
    ----------
    experiments : ExperimentList
        The geometries.
    reflections : ReflectionTable
        With ``id``, ``panel``, ``xyzobs.px.value`` and ``xyzobs.px.variance``.

    Returns
    -------
    ReflectionTable
        A copy with ``xyzobs.mm.value`` and ``xyzobs.mm.variance``; zero where a row belongs to no experiment.
    """
    ids, panel = reflections["id"], reflections["panel"].astype(np.int64)
    value, variance = np.zeros((len(ids), 3)), np.zeros((len(ids), 3))
    for index, experiment in enumerate(experiments):
        rows = np.flatnonzero(ids == index)
        value[rows], variance[rows] = centroids_to_mm(
            experiment, panel[rows], reflections["xyzobs.px.value"][rows], reflections["xyzobs.px.variance"][rows])
    return reflections.with_columns(**{"xyzobs.mm.value": value, "xyzobs.mm.variance": variance})


def take_observations(experiment: Experiment, table: ReflectionTable, rows: np.ndarray, options: Refinement
                      ) -> ObservedCentroids:
    """Collect the observations of one experiment with their weights.

    Positions and angles weigh 1/variance, or constants if the options say so. Delta psi of stills weighs a constant, or
    nothing with ``override=statistical``, since its variance is not known.

    Parameters
    ----------
    experiment : Experiment
        The one to which the reflections belong.
    table : ReflectionTable
        With positions in mm (:func:`add_mm_positions`).
    rows : (n,) of int
        The reflections of the experiment.
    options : Refinement
        The weights (``reflections.weighting_strategy``).

    Returns
    -------
    ObservedCentroids

    Raises
    ------
    XdpError
        If weights of stills are asked for rotation data.
    """
    observed = table["xyzobs.mm.value"][rows].copy()
    variance = table["xyzobs.mm.variance"][rows]
    weights = 1.0 / np.maximum(variance, _LEAST_VARIANCE)
    strategy = options.reflections.weighting_strategy
    if strategy.override == "constant":
        weights = np.tile(np.asarray(strategy.constants, dtype=np.float64), (len(rows), 1))
    if experiment.is_still:
        observed[:, 2] = 0.0  # the observed delta psi: a spot was seen, so that it lies on the sphere
        if strategy.override in (None, "stills"):
            weights[:, 2] = strategy.delpsi_constant
        elif strategy.override == "statistical":
            weights[:, 2] = 0.0
    elif strategy.override == "stills":
        raise XdpError("weighting_strategy.override=stills: the experiments rotate; take statistical or constant")
    hkl = table["miller_index"][rows]
    panel = table["panel"][rows].astype(np.int64)
    s1 = compute_diffracted_rays(experiment, panel, observed[:, :2])
    axis = np.array([1.0, 0, 0]) if experiment.goniometer is None else experiment.goniometer.rotation_axis_lab
    # a reflection crosses the sphere twice in a turn: the observed ray says which crossing to predict
    entering = is_entering(experiment.known.beam.s0, s1, axis)
    frames = table["xyzobs.px.value"][rows, 2]
    sound = _is_sound(experiment, table, rows, frames)
    return ObservedCentroids(hkl, panel, observed, weights, frames, entering, sound)


def collect_observations(experiments: ExperimentList, table: ReflectionTable, options: Refinement
                         ) -> tuple[list[ObservedCentroids], list[np.ndarray]]:
    """Collect the indexed reflections of each experiment.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    table : ReflectionTable
        With positions in mm (:func:`add_mm_positions`).
    options : Refinement
        The weights (``reflections.weighting_strategy``).

    Returns
    -------
    data : list of ObservedCentroids
        One item for each experiment.
    rows : list of (n,) arrays of int
        Their rows in the table, in increasing order.
    """
    ids, indexed = table["id"], table.flags(Flag.INDEXED)
    # one sort for all experiments: there may be very many
    order = np.argsort(ids, kind="stable")
    order = order[indexed[order]]
    ends = np.searchsorted(ids[order], np.arange(len(experiments) + 1))
    rows = [np.sort(order[ends[i] : ends[i + 1]]) for i in range(len(experiments))]
    return [take_observations(e, table, r, options) for e, r in zip(experiments, rows, strict=True)], rows


def _is_sound(experiment: Experiment, table: ReflectionTable, rows: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Whether reflections may be used: not overloaded, not the direct beam, within the scan. DIALS does the same."""
    # saturated pixels pull a centroid towards the flat top of the spot
    sound = (table["flags"][rows] & np.uint64(Flag.OVERLOADED)) == 0
    sound &= np.any(table["miller_index"][rows] != 0, axis=1)
    if not experiment.is_still:
        start, stop = experiment.known.scan.array_range
        sound &= (frames >= start) & (frames <= stop)
    return sound


def choose_observations(experiments: ExperimentList, problem: Problem, options: Refinement
                        ) -> Choice:
    """Choose which observations are used.

    Parameters
    ----------
    experiments : ExperimentList
        The models as they are.
    problem : Problem
        Made from them and all observations.
    options : Refinement
        The choice of reflections, and outlier rejection.

    Returns
    -------
    Choice
    """
    settings = options.reflections
    rng = np.random.default_rng(settings.random_seed)
    good, looks = [], []
    for experiment, part in zip(experiments, problem.parts, strict=True):
        state, at = predict_part(part, np.zeros(problem.size))
        keep = at.ok & part.data.sound & _is_informative(experiment, part.data, at.s1.T, state.s0.T, options)
        rows = np.flatnonzero(keep)
        angles = np.zeros(len(rows)) if experiment.is_still else np.rad2deg(part.data.observed[rows, 2])
        good.append(keep)
        looks.append(Sample(compute_residuals(part, at)[rows], angles, part.data.panel[rows], experiment.is_still,
                            tuple(experiment.known.detector[0].pixel_size)))
    usable, outliers = [], []
    for experiment, keep, found in zip(experiments, good, find_outliers(looks, settings.outlier, settings.random_seed),
                                       strict=True):
        bad = np.zeros(len(keep), dtype=bool)
        bad[np.flatnonzero(keep)[found]] = True
        outliers.append(bad)
        usable.append(_draw_sample(keep & ~bad, experiment, options, rng))
    return Choice(usable, outliers)


def _is_informative(experiment: Experiment, data: ObservedCentroids, s1: np.ndarray, s0: np.ndarray, options: Refinement
                    ) -> np.ndarray:
    """Whether reflections lie away from the spindle and from the ends of the scan, (n,)."""
    if experiment.is_still:
        return np.ones(len(data), dtype=bool)
    # the volume spanned by spindle, beam and ray is small next to the spindle, and at low angles, where phi is
    # uncertain; with electrons, whose s0 and s1 are long, zeta is smaller
    normal = np.cross(s1, s0)
    volume = np.abs(normal @ experiment.known.goniometer.rotation_axis_lab)
    good = volume / np.maximum(np.linalg.norm(normal, axis=1), 1.0) > options.reflections.close_to_spindle_cutoff
    margin = options.reflections.scan_margin
    if margin > 0.0:
        scan = experiment.known.scan
        start, stop = (scan.angle(z) for z in scan.array_range)
        phi = np.rad2deg(data.observed[:, 2])
        # a scan may turn backwards
        good &= (phi >= min(start, stop) + margin) & (phi <= max(start, stop) - margin)
    return good


def _draw_sample(use: np.ndarray, experiment: Experiment, options: Refinement, rng: np.random.Generator
                 ) -> np.ndarray:
    """`use` with no more reflections left than the options allow, drawn at random."""
    settings = options.reflections
    limit = len(use)
    if not experiment.is_still and isinstance(settings.reflections_per_degree, float):
        scan = experiment.known.scan
        width = abs(scan.oscillation[1]) * scan.n_frames
        limit = max(int(settings.reflections_per_degree * width), settings.minimum_sample_size)
    if settings.maximum_sample_size:
        limit = min(limit, settings.maximum_sample_size)
    rows = np.flatnonzero(use)
    if len(rows) <= limit:
        return use
    chosen = np.zeros(len(use), dtype=bool)
    chosen[np.sort(rng.choice(rows, limit, replace=False))] = True
    return chosen


def check_indices(experiments: ExperimentList, problem: Problem) -> None:
    """Stop if the indices do not belong to the models, so that most predictions are millimetres away.

    Parameters
    ----------
    experiments : ExperimentList
        The models as they are.
    problem : Problem
        Made from them and all observations.

    Raises
    ------
    XdpError
        If half of the reflections of an experiment are predicted more than 50 pixels from where they were observed.
    """
    for number, (experiment, part) in enumerate(zip(experiments, problem.parts, strict=True)):
        if not len(part.data):
            continue
        _, at = predict_part(part, np.zeros(problem.size))
        distance = np.hypot(*compute_residuals(part, at)[:, :2].T)
        distance[~at.ok] = np.inf
        far = _FAR * max(experiment.known.detector[0].pixel_size)
        if np.median(distance) > far:
            raise XdpError(f"refinement: half of the reflections of experiment {number} are predicted more than "
                           f"{far:.0f} mm from where they were observed: their Miller indices do not belong to this "
                           "crystal (was only one of the two files reindexed?)")
