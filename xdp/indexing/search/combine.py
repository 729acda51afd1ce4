"""From candidate vectors to a cell: which three explain the spots best, for their volume.

A cell of volume V puts one lattice point in each 1/V of reciprocal space. For a spot at distance e from its lattice
point the likelihood that the cell explains it, against chance, is (1 - f) N(e; s) / V + f with N the normal density of
width s and f the fraction of spots that belong to nothing; s and f are those of the largest likelihood. A doubled cell
thus loses log 2 a spot, a halved one loses all spots it leaves out: no further weights are needed to choose between
cells of different volume.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdp.indexing.lattice.basis import reduced_basis
from xdp.indexing.search.fft3d import Candidates

_FEW, _MORE = 200, 1000  # spots on which all triples are tried, and the best of them
_GOOD = 200        # triples that are tried on more spots
_OUTLIERS = (0.1, 0.4, 0.75, 0.9)  # trial fractions of spots that belong to nothing
_TRIAL = 1500      # spots on which the best triples are refined
_BEST = 10         # triples that are refined
_LAST = 5          # cells that are refined on all spots
_SHORTEST = 2.0    # Å, of an axis
_MARGIN = 1.2      # an axis may be longer than the longest by so much
_FEWEST = 0.05     # of the spots, that a lattice has
_LEAST = 25.0      # log likelihood ratio that chance does not reach
# widths of the residuals in units of the reciprocal cell's edge
_WIDTHS = (0.002, 0.003, 0.0045, 0.006, 0.009, 0.013, 0.02, 0.03, 0.045, 0.065, 0.09, 0.12)
_COARSE = (0.005, 0.013, 0.03, 0.065, 0.12)


@dataclass(frozen=True)
class Cell:
    """A primitive cell: rows a, b, c in Å (right-handed, reduced), its score and what it indexes."""

    basis: np.ndarray
    score: float
    n_indexed: int
    n_spots: int
    rms: float  # of the index residuals' distance, 1/Å
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)  # where the lattice has its index 0, 1/Å

    def is_convincing(self, least: float) -> bool:
        """Whether the log likelihood ratio is above `least` for each indexed spot, and above chance.

        It is high where the spots lie close to the lattice points for the cell's size; spots that are indexed by chance
        lower it. Perfect data have 7 to 10, with half of the spots spurious 5.
        """
        return self.score > max(least * self.n_indexed, _LEAST)

    def explained(self, tolerance: float) -> float:
        """Log likelihood ratio for each spot that belongs to the lattice: those it indexes by chance not counted.

        It is about 9.6 where residuals have a hundredth of the reciprocal cell's edge, 6.3 with three hundredths.
        """
        chance = (2.0 * tolerance) ** 3
        mine = (self.n_indexed - chance * self.n_spots) / max(1.0 - chance, 0.1)
        return self.score / max(mine, _FEWEST * self.n_spots, 1.0)  # where none are left over it was all chance

    @property
    def fraction(self) -> float:
        """The fraction of the spots that it indexes."""
        return self.n_indexed / max(self.n_spots, 1)


@dataclass(frozen=True)
class Fit:
    """How lattices explain points: for each the log likelihood ratio against chance at the best width and fraction."""

    score: np.ndarray     # (t,)
    sigma: np.ndarray     # (t,) 1/Å
    outliers: np.ndarray  # (t,) fraction of points that belong to nothing


def fit_likelihood(distance2: np.ndarray, volume: np.ndarray, *, fine: bool = True) -> Fit:
    """Maximise the likelihood over the residuals' width and the fraction of outliers, on a grid of both.

    Parameters
    ----------
    distance2 : (t, n)
        Squared distances of n points to the nearest points of t lattices, 1/Å^2.
    volume : (t,)
        The cells' volumes, Å^3.
    fine : bool
        False: a coarse grid, to choose among very many.
    """
    edge = np.power(volume, -1.0 / 3.0)
    best = Fit(np.full(len(edge), -np.inf), edge.copy(), np.ones(len(edge)))
    scaled = distance2 / np.square(edge)[:, None].astype(distance2.dtype)
    for width in _WIDTHS if fine else _COARSE:
        density = np.exp(scaled * (-0.5 / width**2)) / ((2.0 * np.pi) ** 1.5 * width**3)
        for outliers in _OUTLIERS:
            score = np.log((1.0 - outliers) * density + outliers).sum(axis=-1, dtype=np.float64)
            better = score > best.score
            best = Fit(np.where(better, score, best.score), np.where(better, width * edge, best.sigma),
                       np.where(better, outliers, best.outliers))
    return best


def best_cells(candidates: Candidates, points: np.ndarray, *, min_volume: float = 25.0, max_cell: float = 2000.0,
               tolerance: float = 0.3, max_vectors: int = 40, phases: np.ndarray | None = None) -> list[Cell]:
    """Cells made of three candidate vectors each, the likeliest first.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    tolerance : float
        A spot is indexed where no index is further than this from a whole number.
    phases : (n,), optional
        For each candidate the fraction of a period by which the points are off: lattices may have any origin then.
    """
    vectors = candidates.vectors[:max_vectors]
    if len(vectors) < 3:
        return []
    phases = np.zeros(len(vectors)) if phases is None else phases[:max_vectors]
    trial = _sample(points, _TRIAL)
    triples = np.array(list(itertools.combinations(range(len(vectors)), 3)))
    bases = vectors[triples]
    volume = np.abs(np.linalg.det(bases))
    lengths = np.linalg.norm(bases, axis=2)
    # three vectors in a plane span no cell
    keep = (volume > min_volume) & (volume > 0.05 * lengths.prod(axis=1))
    triples, scores = _best_triples(vectors, triples[keep], points, phases)
    found: list[Cell] = []
    open_bases, order = vectors[triples], np.argsort(-scores, kind="stable")
    is_open = np.isfinite(scores) & (np.linalg.norm(open_bases, axis=2).max(axis=1) < 2.0 * max_cell)
    for k in order:
        if len(found) >= _BEST:
            break
        if not is_open[k]:
            continue
        basis, origin = reduced_basis(open_bases[k]), np.linalg.solve(open_bases[k], phases[triples[k]])
        is_open &= ~_spans_same(open_bases, basis)
        if np.linalg.norm(basis[2]) <= _MARGIN * max_cell:
            cell = _refined(basis, trial, origin, tolerance)
            if is_possible(cell.basis, min_volume):
                found.append(_moved(without_multiples(cell, trial - cell.origin, min_volume, tolerance), cell.origin))
    best = different_cells(sorted(found, key=lambda cell: -cell.score))[:_LAST]
    final = [_refined(cell.basis, points, np.array(cell.origin), tolerance) for cell in best]
    return sorted((c for c in final if is_possible(c.basis, min_volume)), key=lambda cell: -cell.score)


def is_possible(basis: np.ndarray, min_volume: float) -> bool:
    """Whether a cell has room for atoms: refinement on few points can run into planes of them, all but dense."""
    return abs(float(np.linalg.det(basis))) > min_volume and float(np.linalg.norm(basis, axis=1).min()) > _SHORTEST


def _refined(basis: np.ndarray, points: np.ndarray, origin: np.ndarray, tolerance: float) -> Cell:
    """The cell refined on points about an origin; that follows the points if it is not zero."""
    basis = refine_basis(basis, points - origin, tolerance)
    if origin.any():
        for _ in range(3):
            index = (points - origin) @ basis.T
            delta = index - np.round(index)
            good = np.abs(delta).max(axis=1) < 0.5 * tolerance
            origin = origin + np.linalg.solve(basis, delta[good].mean(axis=0)) if good.any() else origin
        basis = refine_basis(basis, points - origin, tolerance)
    return _moved(evaluate(basis, points - origin, tolerance), origin)


def _moved(cell: Cell, origin: Sequence[float]) -> Cell:
    return replace(cell, origin=(float(origin[0]), float(origin[1]), float(origin[2])))


def different_cells(cells: list[Cell]) -> list[Cell]:
    """The cells without those whose lattice an earlier one has."""
    kept: list[Cell] = []
    for cell in cells:
        if not any(_spans_same(cell.basis[None], other.basis)[0] for other in kept):
            kept.append(cell)
    return kept


def different_bases(bases: np.ndarray, most: int) -> np.ndarray:
    """The first so many of `bases` (t, 3, 3) that span different lattices."""
    kept: list[int] = []
    is_open = np.ones(len(bases), dtype=bool)
    while is_open.any() and len(kept) < most:
        kept.append(int(np.argmax(is_open)))
        is_open[kept[-1]] = False
        is_open &= ~_spans_same(bases, bases[kept[-1]])
    return bases[kept]


def without_multiples(cell: Cell, points: np.ndarray, min_volume: float, tolerance: float) -> Cell:
    """The cell, or one a half or a third as large where that explains the points better.

    The indices of a cell that is a multiple of the true one obey u.h = 0 modulo 2 or 3 for some row u; the vector u / 2
    or u / 3 of the direct lattice is added then.
    """
    while True:
        smaller = [_divided(cell.basis, u, n) for u, n in _divisors(cell.basis, points, tolerance)]
        refined = [refine_basis(b, points, tolerance) for b in smaller if is_possible(b, min_volume)]
        tried = [evaluate(b, points, tolerance) for b in refined if is_possible(b, min_volume)]
        best = max(tried, key=lambda c: c.score, default=cell)
        if best.score <= cell.score:
            return cell
        cell = best


def _divisors(basis: np.ndarray, points: np.ndarray, tolerance: float) -> list[tuple[np.ndarray, int]]:
    """Rows u and moduli n for which u.h = 0 mod n holds far more often than by chance."""
    distance2, delta = residual_distances(basis, points)
    # spots that are indexed by chance obey no rule
    belongs = _membership(distance2, abs(float(np.linalg.det(basis)))) > 0.5
    hkl = np.round(points @ basis.T)[belongs & (np.abs(delta).max(axis=1) < tolerance)].astype(np.int64)
    found = []
    for n in (2, 3):
        rows = np.array([u for u in itertools.product(range(n), repeat=3) if any(u)])
        obeyed = np.mean((hkl @ rows.T) % n == 0, axis=0) if len(hkl) else np.zeros(len(rows))
        order = np.argsort(-obeyed, kind="stable")
        found += [(rows[k], n) for k in order[:1] if obeyed[k] > 0.5 + 0.5 / n]
    return found


def _divided(basis: np.ndarray, u: np.ndarray, n: int) -> np.ndarray:
    """A basis (rows) of the lattice spanned by `basis` and the vector u.basis / n."""
    k = int(np.flatnonzero(u)[0])
    inverse = pow(int(u[k]), -1, n)
    divided = basis.copy()
    divided[k] = ((u * inverse) % n) @ basis / n
    return reduced_basis(divided)


def _sample(points: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the points, always the same."""
    if len(points) <= most:
        return points
    return points[np.random.default_rng(0).choice(len(points), most, replace=False)]


def _best_triples(vectors: np.ndarray, triples: np.ndarray, points: np.ndarray, phases: np.ndarray
                  ) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest triples on a few points, and their scores on more."""
    first = _score_triples(vectors, triples, _sample(points, _FEW), phases)
    chosen = triples[np.argsort(-first, kind="stable")[:_GOOD]]
    return chosen, _score_triples(vectors, chosen, _sample(points, _MORE), phases)


def _score_triples(vectors: np.ndarray, triples: np.ndarray, points: np.ndarray, phases: np.ndarray, chunk: int = 256
                   ) -> np.ndarray:
    """Log likelihood of each triple on a sample of the points, its width from the triple's own residuals."""
    index = vectors @ points.T - phases[:, None]
    residual = (index - np.round(index)).astype(np.float32)
    scores = np.full(len(triples), -np.inf)
    for start in range(0, len(triples), chunk):
        part = triples[start : start + chunk]
        bases = vectors[part]
        inverse = np.linalg.inv(bases).astype(np.float32)  # columns a*, b*, c*
        delta = residual[part]  # (t, 3, n)
        distance2 = np.sum((inverse @ delta) ** 2, axis=1)
        volume = np.abs(np.linalg.det(bases))
        scores[start : start + chunk] = fit_likelihood(distance2, volume.astype(np.float32), fine=False).score
    return scores


def residual_distances(basis: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances (n,) in 1/Å^2 to the lattice points, and the index residuals (n, 3)."""
    index = points @ basis.T
    delta = index - np.round(index)
    return np.sum((delta @ np.linalg.inv(basis).T) ** 2, axis=1), delta


def evaluate(basis: np.ndarray, points: np.ndarray, tolerance: float) -> Cell:
    """Score a cell on all points."""
    distance2, delta = residual_distances(basis, points)
    volume = abs(float(np.linalg.det(basis)))
    score = float(fit_likelihood(distance2[None], np.array([volume])).score[0])
    good = np.abs(delta).max(axis=1) < tolerance
    rms = float(np.sqrt(distance2[good].mean())) if good.any() else np.inf
    return Cell(basis, score, int(good.sum()), len(points), rms)


def refine_basis(basis: np.ndarray, points: np.ndarray, tolerance: float = 0.3, n_cycles: int = 6, *,
                 reduce: bool = True) -> np.ndarray:
    """Least squares of the cell on the points it indexes, low resolution first; reduced again, if asked.

    Each point weighs as much as it is likely to belong to the lattice by the mixture of :func:`fit_likelihood`, whose
    width narrows as the cell improves (expectation maximisation).
    """
    order, volume = np.linalg.norm(points, axis=1), abs(float(np.linalg.det(basis)))
    for cycle in range(n_cycles):
        reach = np.quantile(order, min(1.0, 0.4 + 0.8 * cycle / n_cycles))
        near = points[order <= reach]
        distance2, delta = residual_distances(basis, near)
        whole = np.round(near @ basis.T)
        good = np.abs(delta).max(axis=1) < tolerance
        if good.sum() < 6 or np.linalg.matrix_rank(whole[good]) < 3:
            break
        weights = np.sqrt(_membership(distance2, abs(float(np.linalg.det(basis)))) * good)[:, None]
        a = np.linalg.lstsq(weights * whole, weights * near, rcond=None)[0]  # rows a*, b*, c*
        growth = abs(np.linalg.det(a)) * volume
        if not 0.5 < growth < 2.0:  # it runs away from the cell, into a plane of points
            break
        basis = np.linalg.inv(a).T
    return reduced_basis(basis) if reduce else basis


def _membership(distance2: np.ndarray, volume: float) -> np.ndarray:
    """The probability of each point to belong to the lattice."""
    fit = fit_likelihood(distance2[None], np.array([volume]), fine=False)
    sigma, outliers = fit.sigma[0], fit.outliers[0]
    density = (1.0 - outliers) * np.exp(-0.5 * distance2 / sigma**2) / ((2.0 * np.pi) ** 1.5 * sigma**3 * volume)
    return density / (density + outliers)


def _spans_same(bases: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Which of `bases` (t, 3, 3) span nearly the lattice of `basis`, bool (t,)."""
    transform = bases @ np.linalg.inv(basis)
    whole = np.round(transform)
    return (np.abs(transform - whole).max(axis=(1, 2)) < 0.05) & (np.abs(np.abs(np.linalg.det(whole)) - 1.0) < 1e-6)
