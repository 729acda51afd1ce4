"""Two crystals that are nearly parallel and were indexed as one: the residuals of their spots lie in two heaps.

A lattice point of a small cell takes the spots of both crystals where they are a degree apart, and the setting comes
out between them. Then the residuals d = q - A h are w0 x q + w x q for the spots of the one crystal, and w0 x q - w x q
for those of the other. Signs and turns are found in turn, as the means of two heaps are (Lloyd 1982, IEEE Trans. Inf.
Theory 28, 129), from turns about many axes.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.indexing.cycles import refine_cycles
from xdp.indexing.options import Indexing
from xdp.indexing.search.directions import make_directions
from xdp.indexing.state import IndexingState
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.rotations import make_rotation

logger = logging.getLogger(__name__)

# The numbers below are choices, tried on simulated sweeps of two crystals 0.6 to 1.2 degrees apart, and of one
# (tests/indexing/test_close_pairs.py), with errors in all directions, in angle only, and with many outliers.
_FEWEST = 150     # spots: of 50 in one heap the best of many cuts looks like two (up to 6.7 widths apart)
_MOST = 1000      # spots that are looked at, evenly over the sweep
_APART = 6.0      # of the heaps' centres, in units of their widths. One heap of 200 spots cut in two has at most 5.
_SHARE = 0.15     # of the spots, that the smaller heap has
_LEAST = 0.1      # degrees between crystals: less is what refinement of a varying orientation takes up
_CYCLES = 12      # of signs and turns
_STEP = 0.5       # radians between the axes that are tried first: 26 of them
_KEPT = 0.9       # of the spots, those that fit best: the others' index may be wrong
_MIXED = 0.5      # of the changes of sign from spot to spot that chance gives: a crystal that slipped has one change


class ClosePair(NamedTuple):
    """Two crystals that were indexed as one.

    Attributes
    ----------
    angle : float
        Between them, degrees.
    turns : ((3,), (3,))
        What turns the common setting into theirs: axis times angle, radians.
    """

    angle: float
    turns: tuple[np.ndarray, np.ndarray]


def find_close_pair(points: np.ndarray, hkl: np.ndarray, setting: np.ndarray, frame: np.ndarray) -> ClosePair | None:
    """Find whether the spots of a crystal are those of two that are nearly parallel.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    hkl : (n, 3)
        Their indices.
    setting : (3, 3)
        The crystal's A matrix, 1/Å.
    frame : (n,)
        Their frames: the spots of two crystals are mixed, those of one that slipped are before or after the slip.

    Returns
    -------
    ClosePair or None
    """
    if len(points) < _FEWEST:
        return None
    rows = np.argsort(frame, kind="stable")[np.linspace(0, len(points) - 1, min(len(points), _MOST)).astype(np.int64)]
    q, off = points[rows], points[rows] - hkl[rows] @ setting.T
    fits = [_fit_heaps(q, off, axis) for axis in make_directions(_STEP)]
    apart, sign, common, turn = max(fits, key=lambda fit: fit[0])
    share, angle = float(np.mean(sign > 0)), float(np.degrees(2.0 * np.linalg.norm(turn)))
    changes = float(np.mean(sign[1:] != sign[:-1]))
    is_mixed = changes > _MIXED * 2.0 * share * (1.0 - share)
    if apart < _APART or min(share, 1.0 - share) < _SHARE or angle < _LEAST or not is_mixed:
        return None
    return ClosePair(angle, (common + turn, common - turn))


def _fit_heaps(q: np.ndarray, off: np.ndarray, axis: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """How far apart two heaps of residuals are in units of their widths, the spots' signs, w0 and w."""
    across = np.cross(q, off)
    # normal equations of d = (w0 + s w) x q, where the product of cross products is |q|^2 - q q^T
    product = np.sum(q * q, axis=1)[:, None, None] * np.eye(3) - q[:, :, None] * q[:, None, :]
    sign = np.where(across @ axis > np.median(across @ axis), 1.0, -1.0)
    chosen = np.ones(len(q), dtype=bool)
    common, turn = np.zeros(3), np.zeros(3)
    for _ in range(_CYCLES):
        plain, signed = (np.tensordot(w, product, axes=1) for w in (chosen.astype(np.float64), chosen * sign))
        right = np.concatenate([chosen @ across, (chosen * sign) @ across])
        solved = np.linalg.lstsq(np.block([[plain, signed], [signed, plain]]), right, rcond=1e-9)[0]
        common, turn = solved[:3], solved[3:]
        rest, arm = off - np.cross(common, q), np.cross(turn, q)
        new = np.where(np.sum(rest * arm, axis=1) >= 0.0, 1.0, -1.0)
        left = np.sum((rest - new[:, None] * arm) ** 2, axis=1)
        chosen = left <= np.quantile(left, _KEPT)
        if np.array_equal(new, sign):
            break
        sign = new
    length = np.linalg.norm(arm, axis=1)
    along = np.abs(np.sum(rest * arm, axis=1)) / np.maximum(length, 1e-12)
    width = float(np.sqrt(np.mean((along - length)[chosen] ** 2)))
    return 2.0 * float(length[chosen].mean()) / max(width, 1e-12), sign, common, turn


def split_close_pair(state: IndexingState, options: Indexing, refinement: Refinement) -> IndexingState:
    """Split the last crystal in two where its spots are those of two, as far apart as lattices must be.

    Parameters
    ----------
    state : IndexingState
        Refined, with one crystal or more.
    options : Indexing
        With ``multiple_lattice_search``: how many lattices, and how far apart.
    refinement : Refinement
        Of the models.

    Returns
    -------
    IndexingState
        The same object if nothing is split.
    """
    search, number = options.multiple_lattice_search, len(state.crystals) - 1
    pair = _look_at_crystal(state, number) if number + 1 < search.max_lattices else None
    if pair is None or pair.angle < search.minimum_angular_separation:
        return state
    both = [rotate_crystal(state.crystals[number], turn) for turn in pair.turns]
    try:
        found = refine_cycles(replace(state, crystals=[*state.crystals[:number], *both]), options, refinement)
    except XdpError as error:
        logger.info("Two crystals %.2f degrees apart in place of crystal %d cannot be refined: %s", pair.angle,
                    number + 1, error)
        return state
    if found.rms >= state.rms:
        return state
    logger.info("Crystal %d was two crystals %.2f degrees apart, which are indexed apart now", number + 1, pair.angle)
    return found


def rotate_crystal(crystal: Crystal, turn: np.ndarray) -> Crystal:
    """Turn a crystal: axis times angle in radians.

    Examples
    --------
    >>> crystal = Crystal((10.0, 0.0, 0.0), (0.0, 20.0, 0.0), (0.0, 0.0, 30.0), " P 1")
    >>> turned = rotate_crystal(crystal, np.array([0.0, 0.0, np.pi / 2]))
    >>> [round(v, 6) for v in turned.real_space_a]
    [0.0, 10.0, 0.0]
    """
    angle = float(np.linalg.norm(turn))
    axes = crystal.real_space_matrix @ make_rotation(turn / max(angle, 1e-12), angle).T
    a, b, c = (tuple(float(v) for v in row) for row in axes)
    return Crystal(a, b, c, crystal.space_group_hall_symbol)


def warn_of_close_pairs(state: IndexingState, options: Indexing) -> None:
    """Warn of each crystal whose spots are those of two, and say how both are indexed."""
    for number in range(len(state.crystals)):
        pair = _look_at_crystal(state, number)
        if pair is not None:
            logger.warning(
                "Crystal %d seems to be two crystals %.2f degrees apart: the residuals of its spots lie in two heaps, "
                "and its cell is a compromise of both. To index them apart, give "
                "multiple_lattice_search.max_lattices=%d multiple_lattice_search.minimum_angular_separation=%.2g",
                number + 1, pair.angle, max(options.multiple_lattice_search.max_lattices, len(state.crystals) + 1),
                min(options.multiple_lattice_search.minimum_angular_separation, 0.5 * pair.angle))


def _look_at_crystal(state: IndexingState, number: int) -> ClosePair | None:
    """The two crystals that one of the state is on the sweep with most of its spots; None if it is one, or a still."""
    table = state.spots.table
    mine = np.flatnonzero(table["id"] == number)
    sweep = int(np.argmax(np.bincount(table["imageset_id"][mine], minlength=len(state.sweeps))))
    if state.sweeps[sweep].is_still:
        return None  # where a spot lies across the sphere is not seen
    mine = mine[table["imageset_id"][mine] == sweep]
    return find_close_pair(state.spots.points[mine], table["miller_index"][mine], state.crystals[number].A,
                           table["xyzobs.px.value"][mine, 2])
