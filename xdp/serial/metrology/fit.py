"""Levenberg-Marquardt on the groups of panels of one level, over shots that are read chunk by chunk.

In each step every chunk is read once: the shots' own shifts for the step before are worked out by substitution, then
their own parameters are eliminated at the new place. Sums of chunks are added in pairs, in the order of the chunks, so
that the result does not depend on who computed them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import XdpError
from xdp.serial.metrology._kernels import eliminate_shots, predict_shots, substitute_shots
from xdp.serial.metrology._kernels_spot import N_GROUP, PanelSums, Shared
from xdp.serial.metrology.nodes import Motion, PanelGroup
from xdp.serial.metrology.shots import ShotPack, SymmetryKinds
from xdp.serial.metrology.solve import Freedom, Modes, expand_direct, find_modes
from xdp.work.store import ResultStore
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

# Damping and its changes as in xdp.refinement.equations.engine: Marquardt's factors of ten, first steps nearly full.
_DAMPING, _FALL, _RISE, _MOST_DAMPING = 1e-3, 0.1, 10.0, 1e6
# A step that gains less than parameters cost that are this fraction of their uncertainty off ends the minimisation.
_STEP_ESD = 0.02
_MOST_STEPS = 50     # it stops long before where it converges
_ROUNDING = 1e-12    # a loss higher by this fraction is not higher


@dataclass(frozen=True)
class ShotSource:
    """Where the packs of shots are read.

    Attributes
    ----------
    store : ResultStore
        Holds a pack under each name.
    names : tuple of str
        Of the packs, in order.
    kinds : SymmetryKinds
        What the packs' `kind` refers to.
    """

    store: ResultStore
    names: tuple[str, ...]
    kinds: SymmetryKinds

    def load(self, index: int) -> ShotPack:
        """Load a pack.

        Raises
        ------
        XdpError
            If its file is gone or damaged.
        """
        arrays = self.store.load(self.names[index])
        if arrays is None:
            raise XdpError(f"refine_metrology: {self.store.path(self.names[index])} is gone or damaged; run it again")
        return ShotPack.from_arrays(arrays)


@dataclass(frozen=True)
class Workers:
    """Who does the work: threads of this process, or the workers of a client."""

    client: Client | None = None
    n_threads: int = 1

    def run(self, function: Any, shared: Any, tasks: Sequence[tuple]) -> Iterable[Any]:
        """Run tasks; their results in order."""
        return run_tasks(function, shared, tasks, client=self.client, n_threads=self.n_threads)


@dataclass(frozen=True)
class Pose:
    """Where the groups of a level are.

    Attributes
    ----------
    turns : (n_groups, 3, 3)
        Rotations since the level began.
    pivots : (n_groups, 3)
        Pivots, mm.
    scale : float
        The factor of all wavenumbers.
    """

    turns: np.ndarray
    pivots: np.ndarray
    scale: float = 1.0

    def step(self, x: np.ndarray, axes: np.ndarray) -> Pose:
        """Move by the shared parameters `x` (m,), along and about `axes` (n_groups, 3, 3)."""
        moves = x[:-1].reshape(-1, N_GROUP)
        turns, pivots = self.turns.copy(), self.pivots.copy()
        for g, move in enumerate(moves):
            pivots[g] += move[:3] @ axes[g]
            turns[g] = make_turn(move[3:] @ axes[g]) @ turns[g]
        return Pose(turns, pivots, self.scale * (1.0 + float(x[-1])))


def make_turn(vector: np.ndarray) -> np.ndarray:
    """Make the rotation (3, 3) about a vector (3,), by its length in radians.

    Examples
    --------
    >>> make_turn(np.array([0.0, 0.0, np.pi / 2])).round(9).tolist()
    [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    angle = float(np.linalg.norm(vector))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)


@dataclass(frozen=True)
class Level:
    """A level of the tree as it is refined.

    Attributes
    ----------
    frames : (n_panels, 3, 3)
        The panels' d matrices before.
    groups : list of PanelGroup
        The groups that move.
    moves : (n_groups,) of bool
        False for those that are held, for want of reflections.
    freedom : Freedom
        What may move.
    cutoff : float
        See :class:`~xdp.serial.metrology._kernels_spot.Shared`.
    scale : float
        The factor of all wavenumbers to begin with.
    """

    frames: np.ndarray
    groups: list[PanelGroup]
    moves: np.ndarray
    freedom: Freedom
    cutoff: float = 0.0
    scale: float = 1.0

    @property
    def axes(self) -> np.ndarray:
        """The groups' axes (n_groups, 3, 3)."""
        return np.stack([group.axes for group in self.groups])

    def begin(self) -> Pose:
        """Where the groups are before."""
        n = len(self.groups)
        return Pose(np.tile(np.eye(3), (n, 1, 1)), np.stack([group.pivot for group in self.groups]), self.scale)

    def make_motions(self, pose: Pose) -> list[Motion]:
        """How the groups have moved."""
        return [Motion(turn, group.pivot, pivot)
                for group, turn, pivot in zip(self.groups, pose.turns, pose.pivots, strict=True)]

    def make_shared(self, pose: Pose, kinds: SymmetryKinds) -> Shared:
        """What the kernels are told of the detector."""
        frames, group = self.frames.copy(), np.full(len(self.frames), -1)
        for g, motion in enumerate(self.make_motions(pose)):
            for panel in self.groups[g].panels:
                frames[panel] = motion.move(frames[panel])
                group[panel] = g if self.moves[g] else -1
        return Shared(np.linalg.inv(frames), group.astype(np.int64), self.axes, pose.pivots.copy(),
                      np.stack(kinds.bases), np.array(kinds.counts, dtype=np.int64), float(pose.scale),
                      float(self.cutoff))


@dataclass(frozen=True)
class LevelFit:
    """The result of :func:`fit_level`.

    Attributes
    ----------
    pose : Pose
        Where the groups are.
    settings : list of (n, 3, 3) arrays
        The crystals' settings, pack by pack.
    sums, start : PanelSums
        At the end, and at the beginning.
    modes : Modes
        The directions that moved, at the end.
    variance : float
        Of a position of unit weight.
    covariance : (m, m)
        Of the shared parameters (mm, rad).
    n_steps : int
        Steps that were taken.
    reason : str
        Why it stopped.
    """

    pose: Pose
    settings: list[np.ndarray]
    sums: PanelSums
    start: PanelSums
    modes: Modes
    variance: float
    covariance: np.ndarray
    n_steps: int
    reason: str


def make_sums(n_groups: int, with_outer: bool = False) -> PanelSums:
    """Make empty sums for so many groups, with or without the products of gradients."""
    m = N_GROUP * n_groups + 1
    return PanelSums(np.zeros((m, m)), np.zeros(m), np.zeros((n_groups + 1, N_GROUP, N_GROUP)), np.zeros(n_groups + 1),
                np.zeros(7), np.zeros((m, m) if with_outer else (0, 0)))


def add_in_pairs(parts: Iterable[PanelSums]) -> PanelSums:
    """Add sums in pairs, pairs of pairs, and so on: the same bits wherever each was computed.

    Examples
    --------
    >>> add_in_pairs([make_sums(1), make_sums(1), make_sums(1)]).loss.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    heights: list[tuple[int, PanelSums]] = []
    # two sums of the same height become one of the next
    for part in parts:
        height = 0
        while heights and heights[-1][0] == height:
            part = PanelSums(*(a + b for a, b in zip(heights.pop()[1], part, strict=True)))
            height += 1
        heights.append((height, part))
    total = heights.pop()[1]
    while heights:
        total = PanelSums(*(a + b for a, b in zip(heights.pop()[1], total, strict=True)))
    return total


def sum_chunk(shared: tuple[ShotSource, Shared, Shared], index: int, settings: np.ndarray, use: np.ndarray,
              step: np.ndarray | None, with_outer: bool = False) -> tuple[PanelSums, np.ndarray]:
    """Read a pack, move its shots by a step, and eliminate their own parameters there: a task.

    Parameters
    ----------
    shared : tuple of ShotSource, Shared, Shared
        Where packs are; the detector before and after the step.
    index : int
        The pack.
    settings : (n_shots, 3, 3)
        The crystals before the step.
    use : (n,) of bool
        The reflections that count.
    step : (m,) or None
        The step; None: the crystals stay.
    with_outer : bool
        Whether the products of the shots' gradients are wanted.

    Returns
    -------
    PanelSums, (n_shots, 3, 3)
        The pack's sums, and its settings after the step.
    """
    source, before, after = shared
    spots = source.load(index).spots
    moved = settings
    if step is not None:
        moved = np.empty_like(settings)
        substitute_shots(spots, use, before, settings, step, moved)
    sums = make_sums(len(after.axes), with_outer)
    eliminate_shots(spots, use, after, moved, sums)
    return sums, moved


def predict_chunk(shared: tuple[ShotSource, Shared], index: int, settings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predict the reflections of a pack: a task; positions with delta psi (n, 3) and s1 (n, 3)."""
    spots = shared[0].load(index).spots
    predicted, rays = np.empty((len(spots.panel), 3)), np.empty((len(spots.panel), 3))
    predict_shots(spots, shared[1], settings, predicted, rays)
    return predicted, rays


def _evaluate(source: ShotSource, workers: Workers, shared: tuple[Shared, Shared], settings: list[np.ndarray],
              use: list[np.ndarray], step: np.ndarray | None, with_outer: bool = False
              ) -> tuple[PanelSums, list[np.ndarray]]:
    """The sums of all packs after a step, and the settings there."""
    moved: list[np.ndarray] = []

    def parts() -> Iterable[PanelSums]:
        tasks = [(i, settings[i], use[i], step, with_outer) for i in range(len(source.names))]
        for sums, after in workers.run(sum_chunk, (source, *shared), tasks):
            moved.append(after)
            yield sums

    return add_in_pairs(parts()), moved


def fit_level(source: ShotSource, level: Level, settings: list[np.ndarray], use: list[np.ndarray],
              workers: Workers | None = None) -> LevelFit:
    """Refine the groups of a level, and all shots with them.

    Parameters
    ----------
    source : ShotSource
        The shots.
    level : Level
        What moves.
    settings : list of (n, 3, 3) arrays
        The crystals' settings to begin with, pack by pack.
    use : list of (n,) arrays of bool
        The reflections that count.
    workers : Workers, optional
        By default one thread.

    Returns
    -------
    LevelFit

    Raises
    ------
    XdpError
        If there are too few reflections.
    """
    workers = workers or Workers()
    pose = level.begin()
    here = level.make_shared(pose, source.kinds)
    # before and after are the same here, so that nothing moves
    start, _ = _evaluate(source, workers, (here, here), settings, use, None)
    _check_count(start, level)
    level = replace(level, freedom=hold_gauge(level.freedom, start))
    now, damping, n_steps = start, _DAMPING, 0
    reason = "maximum number of steps reached"
    for _ in range(_MOST_STEPS):
        modes = find_modes(now, level.freedom)
        x = modes.solve(now.vector, damping)
        # the crystals follow by substitution within the same pass, undamped: their equations are well determined
        trial = pose.step(x, level.axes)
        there = level.make_shared(trial, source.kinds)
        after, moved = _evaluate(source, workers, (here, there), settings, use, x)
        if after.loss[4] >= now.loss[4] and after.loss[0] <= now.loss[0] * (1.0 + _ROUNDING):
            # a prediction that fails takes its residual out of the loss: fewer reflections are never an improvement
            gain = float(now.loss[0] - after.loss[0])
            pose, here, now, settings = trial, there, after, moved
            n_steps += 1
            damping *= _FALL
            if gain < _STEP_ESD**2 * max(len(modes.values), 1) * estimate_variance(now, len(modes.values)):
                reason = "steps are small against the uncertainties"
                break
        else:
            damping = max(damping, _DAMPING * _FALL) * _RISE
            if damping > _MOST_DAMPING:
                reason = "no step lowers the residuals further"
                break
    # once more, for the scatter of gradients, which the steps do not need
    now, _ = _evaluate(source, workers, (here, here), settings, use, None, with_outer=True)
    modes = find_modes(now, level.freedom)
    variance = estimate_variance(now, len(modes.values))
    return LevelFit(pose, settings, now, start, modes, variance, compute_shared_covariance(now, modes), n_steps, reason)


def hold_gauge(freedom: Freedom, sums: PanelSums) -> Freedom:
    """Weigh the gauge's conditions by the reflections: what they say is held is zero on average over all of these.

    Parameters
    ----------
    freedom : Freedom
        Whose `held` are motions of all groups (c, m).
    sums : PanelSums
        With the matrix of each group.
    """
    return Freedom(freedom.free, freedom.held @ expand_direct(sums))


def compute_shared_covariance(sums: PanelSums, modes: Modes) -> np.ndarray:
    """Compute the covariances (m, m) of the shared parameters, mm and rad.

    The scatter of the shots' gradients says how certain their sum is, whatever the errors of single reflections are:
    they differ between panels, and those of a shot have causes in common. With V the inverse of the matrix along the
    directions that move, the covariance is V (sum of g g^T) V, times n / (n - p) for the p parameters that the n
    coordinates were fitted by.

    Parameters
    ----------
    sums : PanelSums
        With the products of gradients.
    modes : Modes
        The directions that moved.

    References
    ----------
    White (1980) Econometrica 48, 817; Liang & Zeger (1986) Biometrika 73, 13 (observations in clusters).
    """
    n = 2.0 * float(sums.loss[4])
    inverse = modes.compute_covariance()
    share = n / max(n - len(modes.values) - float(sums.loss[6]), 1.0)
    return inverse @ sums.outer @ inverse * share


def estimate_variance(sums: PanelSums, n_shared: int) -> float:
    """Estimate the variance of a position of unit weight.

    Parameters
    ----------
    sums : PanelSums
        At the minimum.
    n_shared : int
        Shared parameters. Of the shots' own ones those count that positions determine.
    """
    freedom = 2.0 * sums.loss[4] - n_shared - sums.loss[6]
    return float(sums.loss[5] / max(freedom, 1.0))


def _check_count(sums: PanelSums, level: Level) -> None:
    """Stop where there are no more observations than parameters."""
    n_free = level.freedom.free.shape[1]
    if 2.0 * sums.loss[4] <= n_free + sums.loss[6]:
        raise XdpError(f"refine_metrology: {int(sums.loss[4])} reflections are too few for {n_free} parameters of the "
                       f"detector and {sums.loss[6]:.0f} of the crystals; index more shots, or refine to a lower level "
                       "(refine_to_hierarchy_level=)")
