"""The levels of the detector's tree, one after the other: shots and reflections chosen, groups held, groups refined."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment.detector import Detector
from xdp.refinement.parameters.fix_list import split_words
from xdp.serial.metrology._kernels_spot import N_GROUP, PanelSums
from xdp.serial.metrology.fit import Level, LevelFit, ShotSource, Workers, fit_level, predict_chunk
from xdp.serial.metrology.nodes import (
    Motion,
    PanelGroup,
    count_levels,
    find_groups,
    find_panel_centre,
    fit_motion,
    move_groups,
)
from xdp.serial.metrology.options import RefineMetrologyOptions
from xdp.serial.metrology.select import choose_reflections, compute_shot_rmsds, drop_poor_shots, filter_shots
from xdp.serial.metrology.solve import Freedom

logger = logging.getLogger(__name__)

NAMES = ("Dist", "Shift1", "Shift2", "Tau1", "Tau2", "Tau3")
"""The parameters of a group: shifts along its normal, fast and slow axis, and turns about them."""

# Cauchy's function has 95 % of the efficiency of least squares on normal residuals with this cutoff (Huber 1981,
# "Robust statistics"); the median of squares of two normal coordinates is 2 ln 2 variances.
_CAUCHY, _MEDIAN = 2.385, 2.0 * np.log(2.0)


@dataclass
class MetrologyState:
    """Where the refinement stands.

    Attributes
    ----------
    detector : Detector
        The panels.
    settings : list of (n, 3, 3) arrays
        The crystals, pack by pack.
    scale : float
        The factor of all wavenumbers.
    shots : list of (n,) arrays of bool
        The shots that are in.
    use : list of (n,) arrays of bool
        The reflections that were used last.
    """

    detector: Detector
    settings: list[np.ndarray]
    scale: float
    shots: list[np.ndarray]
    use: list[np.ndarray]


@dataclass(frozen=True)
class RefinedLevel:
    """What became of a level.

    Attributes
    ----------
    name : str
        ``level0``, or ``step1_level2``.
    level : int
        Of the tree.
    before, after : Detector
        The panels.
    groups : list of PanelGroup
        Those of the level, where they were before.
    held : tuple of str
        Groups with too few reflections, which moved with their neighbours.
    fit : LevelFit
        The minimisation.
    n_shots, n_filtered, n_poor : int
        Shots that were used, that the RMSD filter left out at this level, and that had too few reflections.
    covariances : (n_panels, 6, 6)
        Of shifts (mm) and turns (rad) of each panel about its middle, in the laboratory.
    """

    name: str
    level: int
    before: Detector
    after: Detector
    groups: list[PanelGroup]
    held: tuple[str, ...]
    fit: LevelFit
    n_shots: int
    n_filtered: int
    n_poor: int
    covariances: np.ndarray = field(repr=False)

    @property
    def rmsds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """RMSDs of x, y (mm) and delta psi (rad) of the reflections that were used, before and after."""
        return compute_sum_rmsds(self.fit.start), compute_sum_rmsds(self.fit.sums)


def compute_sum_rmsds(sums: PanelSums) -> tuple[float, float, float]:
    """Compute the RMSDs of x, y (mm) and delta psi (rad) that sums hold."""
    x, y, psi = np.sqrt(sums.loss[1:4] / max(float(sums.loss[4]), 1.0))
    return float(x), float(y), float(psi)


@dataclass(frozen=True)
class MetrologyStage:
    """A level to refine: its name, its number, and the panels whose reflections are used; None: all."""

    name: str
    level: int
    panels: np.ndarray | None


def plan_stages(detector: Detector, options: RefineMetrologyOptions, beam: np.ndarray) -> list[MetrologyStage]:
    """Plan the levels.

    Parameters
    ----------
    detector : Detector
        The panels.
    options : RefineMetrologyOptions
        The method, and first and last level.
    beam : (3,)
        The beam's direction.

    Returns
    -------
    list of MetrologyStage

    Raises
    ------
    OptionError
        If the tree has no such level, or a panel is named that there is not.
    """
    levels, n = options.find_levels(), count_levels(detector)
    if levels[-1] >= n:
        raise OptionError(f"refine_to_hierarchy_level={levels[-1]}: the tree of this detector has the levels 0 to "
                          f"{n - 1} (the panels); give one of these")
    given = options.panel_filter
    if given is not None and max(given) >= len(detector):
        raise OptionError(f"panel_filter names panel {max(given)}, but the detector has {len(detector)}, counted "
                          "from 0")
    allowed = None if given is None else np.array(sorted(given))
    if options.method == "hierarchical":
        return [MetrologyStage(f"level{level}", level, allowed) for level in levels]
    stages = []
    inside = np.zeros(0, dtype=np.int64)
    for number, ring in enumerate(find_rings(find_groups(detector, levels[-1]), beam)):
        inside = np.concatenate([inside, *(group.panels for group in ring)])
        panels = inside if allowed is None else np.intersect1d(inside, allowed)
        stages += [MetrologyStage(f"step{number}_level{level}", level, panels.copy())
                   for level in (levels if number == 0 else levels[-1:])]
    return stages


def find_rings(groups: list[PanelGroup], beam: np.ndarray) -> list[list[PanelGroup]]:
    """Divide groups into rings about the beam: the nearest one of each branch, then the next one, and so on.

    Parameters
    ----------
    groups : list of PanelGroup
        Of one level.
    beam : (3,)
        The beam's direction.
    """
    branches: dict[int, list[PanelGroup]] = {}
    for group in sorted(groups, key=lambda g: float(np.linalg.norm(np.cross(beam, g.pivot)))):
        branches.setdefault(group.parent, []).append(group)
    return [[branch[i] for branch in branches.values() if i < len(branch)]
            for i in range(max(map(len, branches.values())))]


def make_freedom(groups: list[PanelGroup], moves: np.ndarray, level: int, options: RefineMetrologyOptions,
                 beam: np.ndarray) -> Freedom:
    """Make what may move at a level, and its gauge.

    The mean turn of all groups about the beam is held, since the crystals' orientations take it up. So is the mean
    shift along the beam with ``refine_distance=False``.

    Parameters
    ----------
    groups : list of PanelGroup
        Of the level.
    moves : (n_groups,) of bool
        Whether each has enough reflections.
    level : int
        Of the tree.
    options : RefineMetrologyOptions
        What is free.
    beam : (3,)
        The beam's direction.

    Raises
    ------
    OptionError
        If nothing is free, or fix_list names what there is not.
    """
    m = N_GROUP * len(groups) + 1
    names = [f"Detector1Group{g + 1}{name}" for g in range(len(groups)) for name in NAMES]
    fixed = np.repeat(~moves, N_GROUP)
    # groups without enough reflections are fixed already
    if options.flat_refinement:
        fixed |= np.tile([level > 0, False, False, False, True, True], len(groups))
    # words may be joined by commas, as PHIL's strings are
    for word in split_words(options.refinement.parameterisation.detector.fix_list):
        found = np.array([word in name for name in names])
        if not found.any():
            raise OptionError(f"detector.fix_list names {word}; there are Detector1Group1 to {len(groups)}, each with "
                              f"{', '.join(NAMES)}")
        fixed |= found
    # the last shared parameter is the wavenumber, which has a column of its own below
    columns = [np.eye(m)[k] for k in np.flatnonzero(~fixed)]
    if options.flat_refinement_with_distance and level > 0:
        together = np.zeros(m)
        together[:-1:N_GROUP] = moves
        columns.append(together)
    if options.refine_energy and level == 0:
        columns.append(np.eye(m)[-1])
    if not columns:
        raise OptionError("refine_metrology: nothing is left to refine; look at detector.fix_list")
    # as motions of the groups; fit_level weighs them by the reflections
    held = np.zeros((2, m))
    for g, group in enumerate(groups):
        at = N_GROUP * g
        held[0, at : at + 3] = group.axes @ np.cross(beam, group.pivot)
        held[0, at + 3 : at + 6] = group.axes @ beam
        held[1, at : at + 3] = group.axes @ beam
    return Freedom(np.column_stack(columns), held[: 1 if options.refine_distance else 2])


def predict_all(source: ShotSource, state: MetrologyState, workers: Workers) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predict all reflections of all packs as the state has them: positions with delta psi (n, 3), and s1 (n, 3)."""
    groups = find_groups(state.detector, 0)
    level = Level(get_frames(state.detector), groups, np.ones(1, bool), Freedom(np.zeros((7, 0)), np.zeros((0, 7))))
    shared = level.make_shared(replace(level.begin(), scale=state.scale), source.kinds)
    tasks = [(i, settings) for i, settings in enumerate(state.settings)]
    return list(workers.run(predict_chunk, (source, shared), tasks))


def get_frames(detector: Detector) -> np.ndarray:
    """Get the d matrices (n_panels, 3, 3) of a detector's panels."""
    return np.array([detector.d_matrix(i) for i in range(len(detector))])


def refine_stage(source: ShotSource, state: MetrologyState, stage: MetrologyStage, options: RefineMetrologyOptions,
                 workers: Workers) -> tuple[MetrologyState, RefinedLevel]:
    """Refine one level.

    Parameters
    ----------
    source : ShotSource
        The shots.
    state : MetrologyState
        Where things stand.
    stage : MetrologyStage
        The level.
    options : RefineMetrologyOptions
        What is done.
    workers : Workers
        Who does it.

    Returns
    -------
    MetrologyState, RefinedLevel

    Raises
    ------
    XdpError
        If too few shots or reflections are left.
    """
    # all packs at once, for the outliers of panels; they go before the fit reads them one by one
    packs = [source.load(i) for i in range(len(source.names))]
    predicted = [p for p, _ in predict_all(source, state, workers)]
    state, n_filtered = _filter(packs, predicted, state, stage, options)
    allowed = _allow(packs, state, stage)
    refinement = options.refinement
    use = choose_reflections(packs, predicted, allowed, state.detector, refinement.reflections.outlier,
                             refinement.reflections.random_seed)
    least = refinement.parameterisation.auto_reduction.min_nref_per_parameter
    groups = find_groups(state.detector, stage.level)
    moves = _find_rich_groups(packs, use, groups, least, len(state.detector))
    is_held = np.zeros(len(state.detector), dtype=bool)
    for group in (g for g, ok in zip(groups, moves, strict=True) if not ok):
        is_held[group.panels] = True
    if refinement.parameterisation.auto_reduction.action == "fail" and is_held.any():
        raise XdpError(f"refine_metrology: {np.count_nonzero(~moves)} of {len(groups)} groups have too few reflections "
                       "(auto_reduction.action=fail); fix holds them")
    # where a held panel lies is not known well enough to tell the crystals by
    use = [u & ~is_held[pack.spots.panel] for pack, u in zip(packs, use, strict=True)]
    n_poor = drop_poor_shots(packs, use, [3 + n for n in source.kinds.counts], least)
    cutoff = _find_cutoff(packs, predicted, use) if options.robust_weights else 0.0
    del predicted
    n_shots = sum(int(np.count_nonzero(np.add.reduceat(u, pack.spots.start[:-1]))) for pack, u in zip(
        packs, use, strict=True))
    if n_shots == 1:
        raise XdpError(f"refine_metrology: {stage.name}: a single shot is left, whose crystal cannot be told from the "
                       "panels' places; give more shots")
    if not n_shots or not moves.any():
        raise XdpError(f"refine_metrology: {stage.name}: no shot and no group of panels has enough reflections "
                       f"({sum(map(np.count_nonzero, use))} are left); index more shots, or lower "
                       "refinement.parameterisation.auto_reduction.min_nref_per_parameter")
    level = Level(get_frames(state.detector), groups, moves,
                  make_freedom(groups, moves, stage.level, options, packs[0].spots.beam[0, :3]), cutoff, state.scale)
    del packs
    fit = fit_level(source, level, state.settings, use, workers)
    motions = _carry_held(state.detector, level, fit)
    # from here on the detector of the result, whose tree has the new frames
    after = move_groups(state.detector, groups, motions)
    held = tuple(group.name for group, ok in zip(groups, moves, strict=True) if not ok)
    done = RefinedLevel(stage.name, stage.level, state.detector, after, groups, held, fit, n_shots, n_filtered, n_poor,
                        spread_covariance(after, groups, fit))
    return MetrologyState(after, fit.settings, fit.pose.scale, state.shots, use), done


def _filter(packs: Sequence, predicted: list[np.ndarray], state: MetrologyState, stage: MetrologyStage,
            options: RefineMetrologyOptions) -> tuple[MetrologyState, int]:
    """The state without shots whose RMSD is too large, and how many these are."""
    allowed = _allow(packs, state, stage)
    rmsds = np.concatenate([compute_shot_rmsds(pack, at, a) for pack, at, a in zip(
        packs, predicted, allowed, strict=True)])
    # shots that have no reflections on these panels may have some on the next ring's
    good = filter_shots(rmsds, options.rmsd_filter) | ~np.isfinite(rmsds)
    was = np.concatenate(state.shots)
    ends = np.cumsum([len(pack.shots) for pack in packs])[:-1]
    return replace(state, shots=np.split(was & good, ends)), int(np.count_nonzero(was & ~good))


def _allow(packs: Sequence, state: MetrologyState, stage: MetrologyStage) -> list[np.ndarray]:
    """The reflections of shots that are in, on the stage's panels."""
    result = []
    for pack, shots in zip(packs, state.shots, strict=True):
        allowed = np.repeat(shots, np.diff(pack.spots.start))
        result.append(allowed if stage.panels is None else allowed & np.isin(pack.spots.panel, stage.panels))
    return result


def _find_rich_groups(packs: Sequence, use: list[np.ndarray], groups: list[PanelGroup], least: int,
                      n_panels: int) -> np.ndarray:
    """Whether each group has enough reflections: `least` coordinates for each of six parameters."""
    n = np.zeros(n_panels, dtype=np.int64)
    for pack, u in zip(packs, use, strict=True):
        n += np.bincount(pack.spots.panel[u], minlength=n_panels)
    return np.array([2 * n[group.panels].sum() >= least * N_GROUP for group in groups])


def _find_cutoff(packs: Sequence, predicted: list[np.ndarray], use: list[np.ndarray]) -> float:
    """Cauchy's cutoff, in standard deviations of unit weight."""
    squares = np.concatenate([np.sum(((at[:, :2] - pack.spots.xy) ** 2 * pack.spots.weight[:, :2])[u], axis=1)
                              for pack, at, u in zip(packs, predicted, use, strict=True)])
    return float(_CAUCHY * np.sqrt(np.median(squares) / _MEDIAN)) if len(squares) else 0.0


def _carry_held(detector: Detector, level: Level, fit: LevelFit) -> list[Motion]:
    """How all groups have moved; those that are held with the others of their branch, or with all others."""
    motions = level.make_motions(fit.pose)
    result = list(motions)
    for g in np.flatnonzero(~level.moves):
        free = [i for i in np.flatnonzero(level.moves) if level.groups[i].parent == level.groups[g].parent]
        # a branch of which no group moved goes with the whole detector
        free = free or list(np.flatnonzero(level.moves))
        before = np.concatenate([_list_corners(detector, level.groups[i]) for i in free])
        after = np.concatenate([(_list_corners(detector, level.groups[i]) - motions[i].start) @ motions[i].turn.T
                                + motions[i].pivot for i in free])
        result[g] = fit_motion(before, after, level.groups[g].pivot)
    return result


def _list_corners(detector: Detector, group: PanelGroup) -> np.ndarray:
    """The corners (4 n, 3) of a group's panels, mm."""
    corners = []
    for panel in group.panels:
        width, height = detector[int(panel)].image_size_mm
        frame = detector.d_matrix(int(panel))
        corners += [frame @ np.array([x, y, 1.0]) for x in (0.0, width) for y in (0.0, height)]
    return np.array(corners)


def spread_covariance(detector: Detector, groups: list[PanelGroup], fit: LevelFit) -> np.ndarray:
    """Work out the covariances (n_panels, 6, 6) of each panel's shift (mm) and turn (rad) about its middle.

    Parameters
    ----------
    detector : Detector
        The panels.
    groups : list of PanelGroup
        Of the level.
    fit : LevelFit
        Its minimisation.
    """
    result = np.zeros((len(detector), 6, 6))
    for g, group in enumerate(groups):
        at = slice(N_GROUP * g, N_GROUP * (g + 1))
        for panel in group.panels:
            jacobian = make_panel_jacobian(group, find_panel_centre(detector, int(panel)), fit.pose.pivots[g])
            result[panel] = jacobian @ fit.covariance[at, at] @ jacobian.T
    return result


def make_panel_jacobian(group: PanelGroup, centre: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """Make the matrix (6, 6) from a group's parameters to shift and turn of a point `centre`, in the laboratory."""
    jacobian = np.zeros((6, 6))
    jacobian[:3, :3] = group.axes.T
    jacobian[3:, 3:] = group.axes.T
    jacobian[:3, 3:] = np.cross(group.axes, centre - pivot).T
    return jacobian
