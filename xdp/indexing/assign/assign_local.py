"""Miller indices from differences between neighbouring spots, for lattices that are curved or of unknown origin.

The difference of two neighbouring spots is a short reciprocal lattice vector, whose index hardly depends on errors of
the geometry. Edges join neighbours. An edge is the better, the nearer the index of the difference is to whole numbers
and the smaller it is. Along the best tree of edges the indices of all spots follow from that of one.

References
----------
Kabsch (1993) J. Appl. Cryst. 26, 795; Kabsch (2010) Acta Cryst. D66, 125 (XDS: local indexing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from xdp.errors import XdpError
from xdp.indexing.assign.assign import Assignment, drop_duplicates
from xdp.indexing.options import Local

# The fraction of a tree's spots, those of lowest resolution, that tell where its origin is: there errors of the
# geometry move points by less than half an index. A choice; DIALS asks one spot.
_VOTERS = 0.1
_SEVERAL = -2  # spots that two lattices claim


@dataclass(frozen=True)
class _Edges:
    """Pairs of neighbouring spots, the index of their difference (second minus first), and how bad it is, 0 to 1."""

    first: np.ndarray   # (m,)
    second: np.ndarray  # (m,)
    hkl: np.ndarray     # (m, 3)
    badness: np.ndarray  # (m,)


def assign_local(points: np.ndarray, phi: np.ndarray, settings: Sequence[np.ndarray], options: Local,
                 block: np.ndarray | None = None) -> Assignment:
    """Give indices to the largest set of spots that good differences between neighbours join, for each crystal.

    The origin of the tree is where most of its innermost spots have it. A spot that two crystals claim goes to none.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points, 1/Å.
    phi : (n,)
        Rotation angles, radians.
    settings : sequence of (3, 3)
        The crystals' A matrices, 1/Å.
    options : Local
        What makes a good difference, and how many neighbours a spot has.
    block : (n,) of int, optional
        Sweeps: each has its own tree.

    Returns
    -------
    Assignment

    Raises
    ------
    XdpError
        If a sweep has no more spots than ``nearest_neighbours``.
    """
    n = len(points)
    sweep = np.zeros(n, dtype=np.int64) if block is None else np.asarray(block)
    crystal, hkl = np.full(n, -1, dtype=np.int32), np.zeros((n, 3), dtype=np.int32)
    for name in np.unique(sweep):
        rows = np.flatnonzero(sweep == name)
        if len(rows) <= options.nearest_neighbours:
            raise XdpError(f"indexing: index_assignment.local.nearest_neighbours={options.nearest_neighbours} must be "
                           f"smaller than the number of spots, {len(rows)}")
        first, second = _find_neighbours(points[rows], phi[rows], options.nearest_neighbours)
        for number, a in enumerate(settings):
            edges = _make_edges(points[rows], a, first, second, options)
            inside, index = _grow_tree(edges, len(rows), points[rows], a, options.l_min)
            claimed, here = rows[inside], index[inside]
            free = crystal[claimed] == -1
            crystal[claimed] = np.where(free & here.any(axis=1), number, _SEVERAL)
            hkl[claimed] = here
    hkl[crystal < 0] = 0
    crystal[crystal < 0] = -1
    return drop_duplicates(Assignment(crystal, hkl), points, phi, settings, block)


def _find_neighbours(points: np.ndarray, phi: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (m,), (m,) of each spot and its nearest ones in reciprocal space (1/Å) and angle (radians)."""
    _, near = cKDTree(np.column_stack([points, phi])).query(np.column_stack([points, phi]), k=count + 1)
    pairs = np.column_stack([np.repeat(np.arange(len(points)), count), near[:, 1:].ravel()])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]  # of spots at one place a spot itself may come second
    return pairs[:, 0], pairs[:, 1]


def _make_edges(points: np.ndarray, a: np.ndarray, first: np.ndarray, second: np.ndarray, options: Local) -> _Edges:
    """Kabsch's quality: 1 - exp(-2 sum (max(|dh| - epsilon, 0) / epsilon)^2 + max(|h| - delta, 0)^2)."""
    index = (points[second] - points[first]) @ np.linalg.inv(a).T
    whole = np.round(index)
    off = np.maximum(np.abs(index - whole) - options.epsilon, 0.0) / options.epsilon
    far = np.maximum(np.abs(whole) - options.delta, 0.0)
    badness = 1.0 - np.exp(-2.0 * np.sum(off**2 + far**2, axis=1))
    return _Edges(first, second, whole.astype(np.int64), badness)


def _grow_tree(edges: _Edges, n: int, points: np.ndarray, a: np.ndarray, worst: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the largest tree of edges better than `worst`, and indices (n, 3) of its spots."""
    # no edge may weigh nothing: it would count as missing
    graph = csr_array((1.0 + edges.badness, (edges.first, edges.second)), shape=(n, n))
    tree = minimum_spanning_tree(graph).tocoo()
    good = tree.data < 1.0 + worst
    tree = csr_array((tree.data[good], (tree.row[good], tree.col[good])), shape=(n, n))
    _, label = connected_components(tree, directed=False)
    largest = int(np.argmax(np.bincount(label)))
    rows = np.flatnonzero(label == largest)
    order, before = (v.astype(np.int64) for v in breadth_first_order(tree, int(rows[0]), directed=False))
    child, parent = order[1:], before[order[1:]]
    # where each edge of the tree stands in the list: edges are in order of (first, second), first below second
    edge = np.searchsorted(edges.first * n + edges.second, np.minimum(child, parent) * n + np.maximum(child, parent))
    change = np.where((child > parent)[:, None], edges.hkl[edge], -edges.hkl[edge])
    # breadth first, so that a parent has its index before its children
    index = np.zeros((n, 3), dtype=np.int64)
    for spot, origin, difference in zip(child, parent, change, strict=True):
        index[spot] = index[origin] + difference
    return rows, index + _vote_origin(index[rows], points[rows], a)


def _vote_origin(index: np.ndarray, points: np.ndarray, a: np.ndarray) -> np.ndarray:
    """What most of the innermost spots add to their indices to be at their nearest lattice points, (3,)."""
    inner = np.argsort(np.linalg.norm(points, axis=1), kind="stable")[: max(1, int(_VOTERS * len(points)))]
    votes = np.round(points[inner] @ np.linalg.inv(a).T).astype(np.int64) - index[inner]
    values, counts = np.unique(votes, axis=0, return_counts=True)
    return values[np.argmax(counts)]
