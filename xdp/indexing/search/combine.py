"""From candidate vectors to a cell: which three explain the spots best, for their volume.

All triples of candidates are ranked by the likelihood of :mod:`xdp.indexing.search.cells`, and the best are refined.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from xdp.indexing.lattice.basis import reduce_basis, span_same_lattice
from xdp.indexing.search.cells import (
    Cell,
    CellLimits,
    compute_membership,
    drop_repeated_cells,
    fit_likelihood,
    is_possible,
    measure_residuals,
    refine_basis,
    score_cell,
)
from xdp.indexing.search.fft3d import Candidates

# The numbers below are choices that make the search quick. All of them were tried on the 204 random crystals of
# benchmarks/indexing_stress.py (docs/indexing.md), whose lattices are all found.
_FEW, _MORE = 200, 1000  # spots on which all triples are tried, and the best of them
_GOOD = 200        # triples that are tried on more spots
_TRIAL = 1500      # spots on which the best triples are refined
_BEST = 10         # triples that are refined
_LAST = 5          # cells that are refined on all spots
_CHUNK = 256       # triples that are scored at a time: their residuals stay in the processor's cache
_FLAT = 0.05       # of the box of their lengths, the volume below which three vectors lie in a plane
_MARGIN = 1.2      # an axis may be longer than the longest by so much, which is an estimate
# Moduli of the rules by which multiples of the true cell are found. Cells with one very long axis come out as multiples
# of up to 31 volumes (benchmarks/indexing_axial.py); a larger prime was never seen.
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)
_SMALL = 3         # primes up to it are sought on all spots, larger ones, which have many rows, on a sample:
_SCREEN = 400      # spots, of which a rule that all obey stands out from chance (1/n obey) by ten errors and more
_OBEYING = 0.05    # of the spots, that obey a rule of a large prime other than by lying in a plane through the origin


def find_best_cells(candidates: Candidates, points: np.ndarray, limits: CellLimits | None = None, *,
                    max_vectors: int = 40, phases: np.ndarray | None = None,
                    agrees: Callable[[np.ndarray], np.ndarray] | None = None) -> list[Cell]:
    """Combine candidate vectors to cells, three to each, the likeliest first.

    All triples are ranked on few points, the best of them on more; ten are refined, and the five best of these on all
    points. Cells that are multiples of a smaller one are divided.

    Parameters
    ----------
    candidates : Candidates
        Vectors of the direct lattice, the most periodic first.
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    limits : CellLimits, optional
        What cells are sought.
    max_vectors : int
        Candidates that are combined, the first ones.
    phases : (n,), optional
        For each candidate the fraction of a period by which the points are off: lattices may have any origin then.
    agrees : callable, optional
        Says of triples' bases (t, 3, 3) which may be the lattice's, (t,) of bool, before any is ranked.

    Returns
    -------
    list of Cell
        At most five different lattices; empty if there are too few candidates or none spans a cell.
    """
    limits = limits or CellLimits()
    vectors = candidates.vectors[:max_vectors]
    if len(vectors) < 3:
        return []
    phases = np.zeros(len(vectors)) if phases is None else phases[:max_vectors]
    triples = _list_triples(vectors, limits.min_volume)
    if agrees is not None:
        triples = triples[agrees(vectors[triples])]
    triples, scores = _choose_triples(vectors, triples, points, phases)
    best = drop_repeated_cells(_refine_triples(vectors, triples, scores, points, phases, limits))[:_LAST]
    final = [_refine_cell(cell.basis, points, np.array(cell.origin), limits.tolerance) for cell in best]
    final = sorted((c for c in final if is_possible(c.basis, limits.min_volume)), key=lambda cell: -cell.score)
    # On a sample the long axis of a multiple may come out too far off for its indices to obey a rule; on all points
    # they do (seed 59 of the benchmark: four times c, 222.1 Å on the sample, 224.6 Å on all points).
    whole = [_divide_about_origin(cell, points, limits) for cell in final[:1]]
    return sorted(drop_repeated_cells([*whole, *final[1:]]), key=lambda cell: -cell.score)


def rank_triples(candidates: Candidates, points: np.ndarray, min_volume: float = 25.0, *, max_vectors: int = 40,
                 most: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Rank all cells that three candidate vectors span, without refining any: a quick first look at few spots.

    Parameters
    ----------
    candidates : Candidates
        Vectors of the direct lattice, the most periodic first.
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    min_volume : float
        Smallest volume, Å^3.
    max_vectors : int
        Candidates that are combined, the first ones.
    most : int
        Cells that are given at most.

    Returns
    -------
    bases : (t, 3, 3)
        Rows a, b, c in Å, the likeliest first; they are not reduced, and many span the same lattice.
    scores : (t,)
        Log likelihood ratios against chance.
    """
    vectors = candidates.vectors[:max_vectors]
    if len(vectors) < 3:
        return np.zeros((0, 3, 3)), np.zeros(0)
    triples = _list_triples(vectors, min_volume)
    scores = _score_triples(vectors, triples, _sample_points(points, _FEW), np.zeros(len(vectors)))
    best = np.argsort(-scores, kind="stable")[:most]
    return vectors[triples[best]], scores[best]


def _list_triples(vectors: np.ndarray, min_volume: float) -> np.ndarray:
    """All triples (t, 3) of the vectors' numbers that span a cell."""
    triples = np.array(list(itertools.combinations(range(len(vectors)), 3)))
    bases = vectors[triples]
    volume = np.abs(np.linalg.det(bases))
    lengths = np.linalg.norm(bases, axis=2)
    # three vectors in a plane span no cell
    return triples[(volume > min_volume) & (volume > _FLAT * lengths.prod(axis=1))]


def _refine_triples(vectors: np.ndarray, triples: np.ndarray, scores: np.ndarray, points: np.ndarray,
                    phases: np.ndarray, limits: CellLimits) -> list[Cell]:
    """Up to ten different lattices of the triples, refined on a sample of the points, the likeliest first."""
    trial = _sample_points(points, _TRIAL)
    found: list[Cell] = []
    bases = vectors[triples]
    is_open = np.isfinite(scores) & (np.linalg.norm(bases, axis=2).max(axis=1) < 2.0 * limits.max_cell)
    for k in np.argsort(-scores, kind="stable"):
        if len(found) >= _BEST:
            break
        if not is_open[k]:
            continue
        basis, origin = reduce_basis(bases[k]), np.linalg.solve(bases[k], phases[triples[k]])
        # other triples of this lattice would only give it again
        is_open &= ~span_same_lattice(bases, basis)
        if np.linalg.norm(basis[2]) <= _MARGIN * limits.max_cell:
            cell = _refine_cell(basis, trial, origin, limits.tolerance)
            if is_possible(cell.basis, limits.min_volume):
                found.append(_divide_about_origin(cell, trial, limits))
    return sorted(found, key=lambda cell: -cell.score)


def _refine_cell(basis: np.ndarray, points: np.ndarray, origin: np.ndarray, tolerance: float) -> Cell:
    """The cell refined on points about an origin, which follows the points unless it is zero."""
    basis = refine_basis(basis, points - origin, tolerance)
    if origin.any():
        for _ in range(3):
            index = (points - origin) @ basis.T
            delta = index - np.round(index)
            good = np.abs(delta).max(axis=1) < 0.5 * tolerance
            origin = origin + np.linalg.solve(basis, delta[good].mean(axis=0)) if good.any() else origin
        basis = refine_basis(basis, points - origin, tolerance)
    return _set_origin(score_cell(basis, points - origin, tolerance), origin)


def _set_origin(cell: Cell, origin: Sequence[float] | np.ndarray) -> Cell:
    return replace(cell, origin=(float(origin[0]), float(origin[1]), float(origin[2])))


def _divide_about_origin(cell: Cell, points: np.ndarray, limits: CellLimits) -> Cell:
    """The cell divided where it is a multiple, with its own origin."""
    return _set_origin(divide_multiple(cell, points - cell.origin, limits), cell.origin)


def divide_multiple(cell: Cell, points: np.ndarray, limits: CellLimits) -> Cell:
    """Divide a cell that is a multiple of a smaller one that explains the points better.

    The indices of a multiple of the true cell obey u.h = 0 modulo a prime n for some row u. The vector u / n of the
    direct lattice is added then, and the cell becomes an n-th as large; and so on.

    Parameters
    ----------
    cell : Cell
        Any cell.
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    limits : CellLimits
        What cells are sought.

    Returns
    -------
    Cell
        The same object if no division is better.
    """
    while True:
        smaller = [_divide_basis(cell.basis, u, n) for u, n in _find_divisors(cell.basis, points, limits.tolerance)]
        refined = [refine_basis(b, points, limits.tolerance) for b in smaller if is_possible(b, limits.min_volume)]
        tried = [score_cell(b, points, limits.tolerance) for b in refined if is_possible(b, limits.min_volume)]
        best = max(tried, key=lambda c: c.score, default=cell)
        if best.score <= cell.score:
            return cell
        cell = best


def _find_divisors(basis: np.ndarray, points: np.ndarray, tolerance: float) -> list[tuple[np.ndarray, int]]:
    """Rows u and moduli n for which u.h = 0 mod n holds far more often than by chance."""
    distance2, delta = measure_residuals(basis, points)
    # spots that are indexed by chance obey no rule
    belongs = compute_membership(distance2, abs(float(np.linalg.det(basis)))) > 0.5
    hkl = np.round(points @ basis.T)[belongs & (np.abs(delta).max(axis=1) < tolerance)]
    found: list[tuple[np.ndarray, int]] = []
    for n in _PRIMES if len(hkl) else ():
        rows, obeyed = _measure_obedience(hkl, n) if n <= _SMALL else _measure_obedience_off_plane(hkl, n)
        best = int(np.argmax(obeyed))
        # by chance a fraction 1/n obeys, of a multiple cell all do: half way between
        least = 0.5 + 0.5 / n
        if obeyed[best] > least and (n > _SMALL or _measure_off_plane(hkl, rows[best : best + 1], n)[0][0] > least):
            found.append((rows[best], n))
    return found


@cache
def _list_rows(n: int) -> np.ndarray:
    """Rows u (m, 3) of whole numbers modulo n, one of each set of multiples: the first that is not 0 is 1."""
    every = range(n)
    rows = [(0, 0, 1), *((0, 1, k) for k in every), *((1, j, k) for j in every for k in every)]
    return np.array(rows, dtype=np.int64)


def _measure_obedience(hkl: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """All rows for the modulus n, and the fraction of the indices that obeys each."""
    rows = _list_rows(n)
    return rows, np.mean(_is_multiple(hkl @ rows.T, n), axis=0)


def _is_multiple(values: np.ndarray, n: int) -> np.ndarray:
    """Which whole numbers n divides; the remainder of floats costs several times as much."""
    quotient = values / n
    return quotient == np.rint(quotient)


def _measure_obedience_off_plane(hkl: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The same on a sample, among indices with u.h other than 0; 0 for a row that few indices obey so."""
    rows, sample = _list_rows(n), _sample_points(hkl, _SCREEN)
    fraction, count = _measure_off_plane(sample, rows, n)
    return rows, np.where(count > _OBEYING * len(sample), fraction, 0.0)


def _measure_off_plane(hkl: np.ndarray, rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The fraction of the indices with u.h other than 0 that obeys each row, and their number.

    A layer of spots, u.h = 0, would obey with any modulus. Rows have their smallest numbers, -n / 2 to n / 2.
    """
    product = hkl @ np.where(rows > n // 2, rows - n, rows).T
    away = product != 0
    obeying = np.sum(away & _is_multiple(product, n), axis=0)
    return obeying / np.maximum(away.sum(axis=0), 1), obeying


def _divide_basis(basis: np.ndarray, u: np.ndarray, n: int) -> np.ndarray:
    """A basis (rows) of the lattice spanned by `basis` and the vector u.basis / n."""
    k = int(np.flatnonzero(u)[0])
    # u times the inverse of its element k modulo n is 1 there: that vector takes the place of axis k
    inverse = pow(int(u[k]), -1, n)
    divided = basis.copy()
    divided[k] = ((u * inverse) % n) @ basis / n
    return reduce_basis(divided)


def _sample_points(points: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the points, always the same."""
    if len(points) <= most:
        return points
    return points[np.random.default_rng(0).choice(len(points), most, replace=False)]


def _choose_triples(vectors: np.ndarray, triples: np.ndarray, points: np.ndarray, phases: np.ndarray
                    ) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest triples on a few points, and their scores on more."""
    first = _score_triples(vectors, triples, _sample_points(points, _FEW), phases)
    chosen = triples[np.argsort(-first, kind="stable")[:_GOOD]]
    return chosen, _score_triples(vectors, chosen, _sample_points(points, _MORE), phases)


def _score_triples(vectors: np.ndarray, triples: np.ndarray, points: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Log likelihood of each triple on a sample of the points, its width from the triple's own residuals."""
    index = vectors @ points.T - phases[:, None]
    # single precision is enough to rank and halves the time
    residual = (index - np.round(index)).astype(np.float32)
    scores = np.full(len(triples), -np.inf)
    for start in range(0, len(triples), _CHUNK):
        part = triples[start : start + _CHUNK]
        bases = vectors[part]
        inverse = np.linalg.inv(bases).astype(np.float32)  # columns a*, b*, c*
        delta = residual[part]  # (t, 3, n)
        distance2 = np.sum((inverse @ delta) ** 2, axis=1)
        volume = np.abs(np.linalg.det(bases))
        scores[start : start + _CHUNK] = fit_likelihood(distance2, volume.astype(np.float32), fine=False).score
    return scores
