"""Where the beam really meets the detector, lattice by lattice: cells that fit about any origin, then the origin.

Over a narrow wedge a wrong beam centre is one shift of all points. The peaks of the Fourier transform stay where they
are, only their phases turn. Cells are therefore chosen with the phases taken off, and then the shift of the detector is
sought that brings the lattice's origin to zero. With several lattices or many spurious spots each cell looks at its own
spots only; a sum over all vectors would see none.

References
----------
Sauter, Grosse-Kunstleve & Adams (2004) J. Appl. Cryst. 37, 399.
"""

from __future__ import annotations

import itertools

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.indexing.search.beam_search import (
    Shift,
    choose_step,
    differentiate_by_shift,
    make_shift_grid,
    pick_starts,
    refine_shift,
    sample_rows,
    score_periodicity,
)
from xdp.indexing.search.cells import Cell, CellLimits, score_cell
from xdp.indexing.search.combine import find_best_cells
from xdp.indexing.search.fft3d import Candidates
from xdp.indexing.spots import ReciprocalSpots

# The numbers below are choices, tried on the random crystals of benchmarks/indexing_stress.py (docs/indexing.md).
_WEDGE = 10.0     # degrees: within them a wrong beam centre is the same shift for all spots, nearly
_CELLS = 4        # lattices that are looked at
_SAMPLE = 400     # spots of a lattice that are scored on the grid
_JUDGES = 1500    # spots that judge a shift
_APART = 0.25     # mm between shifts that are different ones: less than a lattice spacing
_FEW = 20         # spots that a lattice must have
_LIKELY = 0.5     # of the best score: less likely shifts are not given
# the edges of a cell and the diagonals of its faces: vectors that are short and point everywhere
_VECTORS = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), *itertools.product((1,), (1, -1), (0,)), (1, 0, 1), (1, 0, -1),
                     (0, 1, 1)], dtype=np.float64)


def find_lattice_shifts(sweeps: ExperimentList, spots: ReciprocalSpots, candidates: Candidates, limits: CellLimits, *,
                        scope: float = 4.0, n_best: int = 3) -> list[Shift]:
    """Find shifts of the detector under which one lattice explains the spots best.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    spots : ReciprocalSpots
        The spots, mapped with it.
    candidates : Candidates
        Vectors of the direct lattices of `spots`.
    limits : CellLimits
        What cells are sought.
    scope : float
        Largest shift along each axis, mm.
    n_best : int
        How many shifts to give at most.

    Returns
    -------
    list of Shift
        The likeliest first. Their scores are log likelihood ratios against chance.
    """
    rows = select_densest_wedge(spots)
    part = spots.points[rows]
    cells = find_best_cells(candidates, part, limits, phases=_measure_phases(candidates.vectors, part))[:_CELLS]
    slope = differentiate_by_shift(sweeps, spots)
    found = [shift for cell in cells
             for shift in _find_cell_shifts(cell, spots.points, slope, rows, scope, limits.tolerance)]
    return _drop_similar_shifts(found)[:n_best]


def select_densest_wedge(spots: ReciprocalSpots) -> np.ndarray:
    """Select the ten degrees with most spots: row numbers (n,).

    All rows are selected if no sweep is twice as wide.
    """
    degrees = np.degrees(spots.phi) + 1e5 * spots.sweep  # far apart where sweeps differ
    if np.ptp(degrees) <= 2.0 * _WEDGE:
        return np.arange(len(degrees))
    block = np.floor((degrees - degrees.min()) / _WEDGE)
    names, counts = np.unique(block, return_counts=True)
    return np.flatnonzero(block == names[np.argmax(counts)])


def _measure_phases(vectors: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The fraction of a period by which most points are off, for each vector."""
    return np.angle(np.exp(2j * np.pi * (vectors @ points.T)).sum(axis=1)) / (2.0 * np.pi)


def _find_cell_shifts(cell: Cell, points: np.ndarray, slope: np.ndarray, rows: np.ndarray, scope: float,
                      tolerance: float) -> list[Shift]:
    """Shifts that bring the cell's origin to zero, with the likelihood of the lattice for all points."""
    index = (points[rows] - cell.origin) @ cell.basis.T
    mine = rows[np.abs(index - np.round(index)).max(axis=1) < 0.5 * tolerance]
    if len(mine) < _FEW:
        return []
    mine, judges = mine[sample_rows(len(mine), _SAMPLE)], sample_rows(len(points), _JUDGES)
    vectors = _VECTORS @ cell.basis
    step = choose_step(vectors[:3], slope[mine], scope)
    grid = make_shift_grid(scope, step)
    scores = score_periodicity(vectors, points[mine], slope[mine], grid)
    found = []
    for k in pick_starts(grid, scores, 1.5 * step):
        shift = refine_shift(vectors, points[mine], slope[mine], grid[k], scope)
        moved = points[judges] + slope[judges] @ np.array(shift.mm)
        found.append(Shift(shift.mm, score_cell(cell.basis, moved, tolerance).score))
    return found


def _drop_similar_shifts(found: list[Shift]) -> list[Shift]:
    """Different shifts, best first, none much less likely than the best."""
    kept: list[Shift] = []
    for shift in sorted(found, key=lambda s: -s.score):
        if all(np.hypot(shift.mm[0] - k.mm[0], shift.mm[1] - k.mm[1]) > _APART for k in kept):
            kept.append(shift)
    return [shift for shift in kept if shift.score > _LIKELY * kept[0].score]
