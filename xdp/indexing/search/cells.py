"""Cells and how well they explain the spots: a likelihood against chance that needs no further weights.

A cell of volume V puts one lattice point in each 1/V of reciprocal space. For a spot at distance e from its lattice
point the likelihood that the cell explains it, against chance, is (1 - f) N(e; s) / V + f. N is the normal density of
width s, f the fraction of spots that belong to nothing; s and f are those of the largest likelihood. A doubled cell
thus loses log 2 for each spot, a halved one loses all spots that it leaves out. No further weights are needed to choose
between cells of different volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.indexing.lattice.basis import reduce_basis, span_same_lattice

# The numbers below are choices. All were tried on the 204 random crystals of benchmarks/indexing_stress.py
# (docs/indexing.md), whose lattices are all found.
_OUTLIERS = (0.1, 0.4, 0.75, 0.9)  # trial fractions of spots that belong to nothing
# Widths of the residuals in units of the reciprocal cell's edge, about a factor 1.5 apart: a width between two of them
# loses little. At the largest a spot is hardly closer to its lattice point than by chance. Few of them serve for a
# first choice among many.
_WIDTHS = (0.002, 0.003, 0.0045, 0.006, 0.009, 0.013, 0.02, 0.03, 0.045, 0.065, 0.09, 0.12)
_COARSE = (0.005, 0.013, 0.03, 0.065, 0.12)
# Logarithms that are taken at once. Of few points the calls take longer than the numbers (165 us for 107 points one
# width and fraction at a time, 31 us at once); arrays of more than this are slower, as they leave the cache.
_AT_ONCE = 8192
_SHORTEST = 2.0    # Å: an axis shorter than this has no room for an atom and its neighbour
_FEWEST = 0.05     # of the spots, that a lattice has at least
_LEAST = 25.0      # log likelihood ratio that chance does not reach in one trial (test_noise_has_no_likely_cell)
# Least squares of a cell: it needs spots for nine numbers with some to spare, and it may not change the volume by more
# than twofold, for it would run away into a plane of points.
_NEEDED, _GROWTH = 6, 2.0


@dataclass(frozen=True)
class CellLimits:
    """What cells are sought.

    Attributes
    ----------
    min_volume : float
        Smallest volume, Å^3.
    max_cell : float
        Longest axis, Å.
    tolerance : float
        A spot is indexed if no index is further than this from a whole number.
    """

    min_volume: float = 25.0
    max_cell: float = 2000.0
    tolerance: float = 0.3


@dataclass(frozen=True)
class Cell:
    """A primitive cell: rows a, b, c in Å (right-handed, reduced), its score and what it indexes."""

    basis: np.ndarray
    score: float    # log likelihood ratio against chance
    n_indexed: int
    n_spots: int
    rms: float  # of the index residuals' distance, 1/Å
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)  # where the lattice has its index 0, 1/Å

    def is_convincing(self, least: float) -> bool:
        """Whether the log likelihood ratio is above `least` for each indexed spot, and above chance.

        It is high where the spots lie close to the lattice points for the cell's size. Spots that are indexed by chance
        lower it. Perfect data have 7 to 10, with half of the spots spurious 5.
        """
        return self.score > max(least * self.n_indexed, _LEAST)

    def likelihood_per_spot(self, tolerance: float) -> float:
        """Log likelihood ratio for each spot that belongs to the lattice: those it indexes by chance are not counted.

        It is about 9.6 where residuals have a hundredth of the reciprocal cell's edge, 6.3 with three hundredths.
        """
        chance = (2.0 * tolerance) ** 3  # of a random point to lie within the tolerance of a lattice point
        mine = (self.n_indexed - chance * self.n_spots) / max(1.0 - chance, 0.1)
        return self.score / max(mine, _FEWEST * self.n_spots, 1.0)  # where none are left over it was all chance

    @property
    def fraction(self) -> float:
        """The fraction of the spots that it indexes."""
        return self.n_indexed / max(self.n_spots, 1)


@dataclass(frozen=True)
class LikelihoodFit:
    """How lattices explain points: for each the log likelihood ratio against chance at the best width and fraction."""

    score: np.ndarray     # (t,)
    sigma: np.ndarray     # (t,) width of the residuals, 1/Å
    outliers: np.ndarray  # (t,) fraction of points that belong to nothing


def fit_likelihood(distance2: np.ndarray, volume: np.ndarray, *, fine: bool = True) -> LikelihoodFit:
    """Maximise the likelihood over the residuals' width and the fraction of outliers, on a grid of both.

    Parameters
    ----------
    distance2 : (t, n)
        Squared distances of n points to the nearest points of t lattices, 1/Å^2.
    volume : (t,)
        The cells' volumes, Å^3.
    fine : bool
        False: a coarse grid, to choose among very many.

    Examples
    --------
    A hundred points that lie on a lattice are likelier than chance, a hundred that are anywhere are not:

    >>> import numpy as np
    >>> anywhere = np.random.default_rng(0).uniform(-0.5, 0.5, (100, 3)) / 50.0  # about a lattice point; cube of 50 Å
    >>> distance2 = np.sum(np.stack([0.02 * anywhere, anywhere]) ** 2, axis=2)
    >>> fit_likelihood(distance2, np.full(2, 50.0**3)).score.round().tolist()
    [1098.0, -6.0]
    """
    edge = np.power(volume, -1.0 / 3.0)  # of the reciprocal cell, 1/Å
    scaled = distance2 / np.square(edge)[:, None].astype(distance2.dtype)
    widths, outliers = np.array(_WIDTHS if fine else _COARSE), np.array(_OUTLIERS)
    scores = np.empty((len(widths), len(outliers), len(edge)))
    some, few = (max(_AT_ONCE // max(n * scaled.size, 1), 1) for n in (1, len(outliers)))
    for i in range(0, len(widths), few):
        # N(e; s) / V with distances and widths in units of the edge: the volume is one
        width = widths[i : i + few, None, None, None]
        norm = ((2.0 * np.pi) ** 1.5 * width**3).astype(scaled.dtype)
        density = np.exp(scaled * (-0.5 / width**2).astype(scaled.dtype)) / norm
        for j in range(0, len(outliers), some):
            f = outliers[j : j + some, None, None]
            mixture = (1.0 - f).astype(scaled.dtype) * density + f.astype(scaled.dtype)
            scores[i : i + few, j : j + some] = np.log(mixture).sum(axis=-1, dtype=np.float64)
    rows = np.where(np.isnan(scores), -np.inf, scores).reshape(-1, len(edge))
    best = np.argmax(rows, axis=0)
    return LikelihoodFit(rows[best, np.arange(len(edge))], widths.astype(edge.dtype)[best // len(outliers)] * edge,
                         outliers[best % len(outliers)])


def is_possible(basis: np.ndarray, min_volume: float) -> bool:
    """Whether a cell has room for atoms: more than `min_volume` (Å^3), and no axis below 2 Å.

    Refinement on few points can run into a plane of points, and gives a very thin cell then.
    """
    return abs(float(np.linalg.det(basis))) > min_volume and float(np.linalg.norm(basis, axis=1).min()) > _SHORTEST


def drop_repeated_cells(cells: list[Cell]) -> list[Cell]:
    """Drop cells whose lattice an earlier one has; the order stays."""
    kept: list[Cell] = []
    for cell in cells:
        if not any(span_same_lattice(cell.basis[None], other.basis)[0] for other in kept):
            kept.append(cell)
    return kept


def pick_different_bases(bases: np.ndarray, most: int) -> np.ndarray:
    """Pick the first `most` of `bases` (t, 3, 3) that span different lattices."""
    kept: list[int] = []
    is_open = np.ones(len(bases), dtype=bool)
    while is_open.any() and len(kept) < most:
        kept.append(int(np.argmax(is_open)))
        is_open[kept[-1]] = False
        is_open &= ~span_same_lattice(bases, bases[kept[-1]])
    return bases[kept]


def measure_residuals(basis: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure how far points (n, 3) are from the lattice of `basis`.

    Returns
    -------
    distance2 : (n,)
        Squared distances to the nearest lattice points, 1/Å^2.
    delta : (n, 3)
        Differences of the indices from whole numbers.
    """
    index = points @ basis.T
    delta = index - np.round(index)
    return np.sum((delta @ np.linalg.inv(basis).T) ** 2, axis=1), delta


def score_cell(basis: np.ndarray, points: np.ndarray, tolerance: float) -> Cell:
    """Score a cell, rows a, b, c in Å, on all `points` (n, 3), 1/Å; its origin is zero."""
    distance2, delta = measure_residuals(basis, points)
    volume = abs(float(np.linalg.det(basis)))
    score = float(fit_likelihood(distance2[None], np.array([volume])).score[0])
    good = np.abs(delta).max(axis=1) < tolerance
    rms = float(np.sqrt(distance2[good].mean())) if good.any() else np.inf
    return Cell(basis, score, int(good.sum()), len(points), rms)


def refine_basis(basis: np.ndarray, points: np.ndarray, tolerance: float = 0.3, n_cycles: int = 6, *,
                 reduce: bool = True) -> np.ndarray:
    """Refine a cell by least squares on the points that it indexes, low resolution first.

    Each point weighs as much as it is likely to belong to the lattice by the mixture of :func:`fit_likelihood`, whose
    width narrows as the cell improves (expectation maximisation).

    Parameters
    ----------
    basis : (3, 3)
        Rows a, b, c in Å.
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    tolerance : float
        A point is indexed if no index is further than this from a whole number.
    n_cycles : int
        Least squares; the points reach from 40 % of them to all.
    reduce : bool
        Whether the result is a reduced basis; if not, its axes are those of `basis`.

    Returns
    -------
    (3, 3)
    """
    order, volume = np.linalg.norm(points, axis=1), abs(float(np.linalg.det(basis)))
    for cycle in range(n_cycles):
        # indices of points far out are wrong until those further in have corrected the cell
        reach = np.quantile(order, min(1.0, 0.4 + 0.8 * cycle / n_cycles))
        near = points[order <= reach]
        distance2, delta = measure_residuals(basis, near)
        whole = np.round(near @ basis.T)
        good = np.abs(delta).max(axis=1) < tolerance
        if good.sum() < _NEEDED or np.linalg.matrix_rank(whole[good]) < 3:
            break
        weights = np.sqrt(compute_membership(distance2, abs(float(np.linalg.det(basis)))) * good)[:, None]
        a = np.linalg.lstsq(weights * whole, weights * near, rcond=None)[0]  # rows a*, b*, c*
        growth = abs(np.linalg.det(a)) * volume
        if not 1.0 / _GROWTH < growth < _GROWTH:
            break
        basis = np.linalg.inv(a).T
    return reduce_basis(basis) if reduce else basis


def compute_membership(distance2: np.ndarray, volume: float) -> np.ndarray:
    """Compute the probability of each point to belong to the lattice, from the two parts of the mixture.

    Parameters
    ----------
    distance2 : (n,)
        Squared distances to the nearest lattice points, 1/Å^2.
    volume : float
        The cell's volume, Å^3.
    """
    fit = fit_likelihood(distance2[None], np.array([volume]), fine=False)
    sigma, outliers = fit.sigma[0], fit.outliers[0]
    density = (1.0 - outliers) * np.exp(-0.5 * distance2 / sigma**2) / ((2.0 * np.pi) ** 1.5 * sigma**3 * volume)
    return density / (density + outliers)
