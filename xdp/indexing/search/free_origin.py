"""Where the beam really meets the detector, lattice by lattice: cells that fit about any origin, then the origin.

Over a narrow wedge a wrong beam centre is one shift of all points. The Fourier transform's peaks stay where they are,
only their phases turn; cells are therefore chosen with the phases taken off, and the shift of the detector is sought
that brings the lattice's origin to zero. With several lattices or many spurious spots each cell looks at its own spots
only, where a sum over all vectors would see none.

References
----------
Sauter, Grosse-Kunstleve & Adams (2004) J. Appl. Cryst. 37, 399.
"""

from __future__ import annotations

import itertools

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.indexing.search.beam_search import Shift, climb, periodicity, shift_grid, shift_slopes, step_of, tops
from xdp.indexing.search.combine import Cell, best_cells, evaluate
from xdp.indexing.search.fft3d import Candidates
from xdp.indexing.spots import Spots

_WEDGE = 10.0     # degrees: within them a wrong beam centre is the same shift for all spots, nearly
_CELLS = 4        # lattices that are looked at
_SAMPLE = 400     # spots of a lattice that are scored on the grid
_JUDGES = 1500    # spots that judge a shift
_APART = 0.25     # mm between shifts that are told apart: less than a lattice spacing
_FEW = 20         # spots that a lattice must have


def lattice_shifts(sweeps: ExperimentList, spots: Spots, candidates: Candidates, max_cell: float, *,
                   scope: float = 4.0, min_volume: float = 25.0, tolerance: float = 0.3, n_best: int = 3
                   ) -> list[Shift]:
    """Shifts of the detector under which one lattice explains the spots best, the likeliest first.

    Parameters
    ----------
    candidates : Candidates
        Vectors of the direct lattices of `spots`.
    scope : float
        Largest shift along each axis, mm.

    Returns
    -------
    list of Shift
        Their scores are log likelihood ratios against chance.
    """
    rows = densest_wedge(spots)
    part = spots.points[rows]
    cells = best_cells(candidates, part, min_volume=min_volume, max_cell=max_cell, tolerance=tolerance,
                       phases=_phases(candidates.vectors, part))[:_CELLS]
    slope = shift_slopes(sweeps, spots)
    found = [shift for cell in cells for shift in _shifts_of(cell, spots.points, slope, rows, scope, tolerance)]
    return _distinct(found)[:n_best]


def densest_wedge(spots: Spots) -> np.ndarray:
    """The rows of the ten degrees with most spots; all rows of sweeps that are not twice as wide."""
    degrees = np.degrees(spots.phi) + 1e5 * spots.sweep
    if np.ptp(degrees) <= 2.0 * _WEDGE:
        return np.arange(len(degrees))
    block = np.floor((degrees - degrees.min()) / _WEDGE)
    names, counts = np.unique(block, return_counts=True)
    return np.flatnonzero(block == names[np.argmax(counts)])


def _phases(vectors: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The fraction of a period by which most points are off, for each vector."""
    return np.angle(np.exp(2j * np.pi * (vectors @ points.T)).sum(axis=1)) / (2.0 * np.pi)


def _shifts_of(cell: Cell, points: np.ndarray, slope: np.ndarray, rows: np.ndarray, scope: float, tolerance: float
               ) -> list[Shift]:
    """Shifts that bring the cell's origin to zero, with the likelihood of the lattice for all points."""
    index = (points[rows] - cell.origin) @ cell.basis.T
    mine = rows[np.abs(index - np.round(index)).max(axis=1) < 0.5 * tolerance]
    if len(mine) < _FEW:
        return []
    mine, judges = _some(mine, _SAMPLE), _some(np.arange(len(points)), _JUDGES)
    signs = [(1, 0, 0), (0, 1, 0), (0, 0, 1), *itertools.product((1,), (1, -1), (0,)), (1, 0, 1), (1, 0, -1), (0, 1, 1)]
    vectors = np.array(signs, dtype=np.float64) @ cell.basis
    step = step_of(vectors[:3], slope[mine], scope)
    grid = shift_grid(scope, step)
    scores = periodicity(vectors, points[mine], slope[mine], grid)
    found = []
    for k in tops(grid, scores, 1.5 * step):
        shift = climb(vectors, points[mine], slope[mine], grid[k], scope)
        moved = points[judges] + slope[judges] @ np.array(shift.mm)
        found.append(Shift(shift.mm, evaluate(cell.basis, moved, tolerance).score))
    return found


def _some(rows: np.ndarray, most: int) -> np.ndarray:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def _distinct(found: list[Shift]) -> list[Shift]:
    """Different shifts, best first, none much less likely than the best."""
    kept: list[Shift] = []
    for shift in sorted(found, key=lambda s: -s.score):
        if all(np.hypot(shift.mm[0] - k.mm[0], shift.mm[1] - k.mm[1]) > _APART for k in kept):
            kept.append(shift)
    return [shift for shift in kept if shift.score > 0.5 * kept[0].score]
