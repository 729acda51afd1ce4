"""Lattices that many shots have among their candidates: the densest places among the pooled cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdp.indexing.lattice.basis import reduce_basis
from xdp.serial.consensus.candidates import ShotCandidates
from xdp.serial.consensus.metric import compute_lengths, match_cell_axes, measure_distances

_CLOSE = 0.008  # of lengths: candidates of one form as stills give them differ by about as much. A choice


@dataclass(frozen=True)
class Cluster:
    """Candidates of different shots that are one lattice.

    Attributes
    ----------
    basis : (3, 3)
        The median cell, reduced, rows in Å, in a frame of its own.
    members : tuple of (int, (3, 3) array)
        The number of each shot and its candidate, on axes that agree with `basis`.
    votes : float
        Sum of the members' scores.
    """

    basis: np.ndarray
    members: tuple[tuple[int, np.ndarray], ...]
    votes: float


def find_clusters(shots: Sequence[ShotCandidates], tolerance: float, most: int = 5) -> list[Cluster]:
    """Find the lattices that the most and the best candidates of different shots agree on.

    Each candidate collects one vote from each shot: the highest score of the shot's candidates within `tolerance`. The
    candidate with the most votes is the middle of the first cluster; its members are taken out, and so on.

    Parameters
    ----------
    shots : sequence of ShotCandidates
        With their candidates.
    tolerance : float
        Largest distance from the middle, relative lengths.
    most : int
        Clusters that are given at most.

    Returns
    -------
    list of Cluster
        Most votes first; a cluster may have one member only.
    """
    shot = np.concatenate([np.full(len(s.bases), k) for k, s in enumerate(shots)] or [np.zeros(0)]).astype(np.int64)
    if not len(shot):
        return []
    bases, scores = (np.concatenate([getattr(s, name) for s in shots]) for name in ("bases", "scores"))
    first, second = _find_neighbours(compute_lengths(bases), tolerance)
    is_open, clusters = scores > 0.0, list[Cluster]()
    while is_open.any() and len(clusters) < most:
        best = _take_best(first, second, np.where(is_open, scores, 0.0), shot)
        votes = _sum_votes(best, np.where(is_open, scores, 0.0), shot, len(bases))
        middle = int(np.argmax(np.where(is_open, votes, -1.0)))
        near = second[(first == middle) & is_open[second]]
        clusters.append(_make_cluster(middle, near, bases, scores, shot, float(votes[middle])))
        is_open[near] = False
        is_open[middle] = False
    return clusters


def _find_neighbours(lengths: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of lattices within the tolerance, both ways and each with itself: two arrays of numbers."""
    from scipy.spatial import cKDTree

    # In the order of their sizes the lengths of two lattices differ by no more than in any other one.
    tree = cKDTree(np.log(np.sort(lengths, axis=1)))
    pairs = tree.query_pairs(np.log1p(tolerance), p=np.inf, output_type="ndarray").astype(np.int64)
    pairs = pairs[measure_distances(lengths[pairs[:, 0]], lengths[pairs[:, 1]]) <= tolerance]
    itself = np.arange(len(lengths))
    return (np.concatenate([pairs[:, 0], pairs[:, 1], itself]), np.concatenate([pairs[:, 1], pairs[:, 0], itself]))


def _take_best(first: np.ndarray, second: np.ndarray, scores: np.ndarray, shot: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray]:
    """Of the neighbours of each candidate the best one of each shot: the numbers of both."""
    order = np.lexsort((second, -scores[second], shot[second], first))
    first, second = first[order], second[order]
    is_new = np.ones(len(first), dtype=bool)
    is_new[1:] = (first[1:] != first[:-1]) | (shot[second][1:] != shot[second][:-1])
    return first[is_new], second[is_new]


def _sum_votes(best: tuple[np.ndarray, np.ndarray], scores: np.ndarray, shot: np.ndarray, n: int) -> np.ndarray:
    """The votes (n,) of each candidate."""
    return np.bincount(best[0], weights=scores[best[1]], minlength=n)


def _make_cluster(middle: int, near: np.ndarray, bases: np.ndarray, scores: np.ndarray, shot: np.ndarray, votes: float
                  ) -> Cluster:
    """The cluster about a candidate: the best member of each shot, on axes that agree."""
    target = reduce_basis(bases[middle])
    near = near[np.lexsort((near, -scores[near], shot[near]))]
    chosen = near[np.unique(shot[near], return_index=True)[1]]
    members = tuple((int(shot[k]), match_cell_axes(reduce_basis(bases[k]), target)) for k in chosen)
    gram = np.median([members[k][1] @ members[k][1].T for k in _choose_densest(bases[chosen])], axis=0)
    try:
        basis = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:  # a median of metrics need be none of a lattice
        basis = target
    return Cluster(basis, members, votes)


def _choose_densest(bases: np.ndarray) -> np.ndarray:
    """Numbers of the bases about the one that has the most others close to it.

    Two forms may lie within one cluster. A median of all would lie between them.
    """
    lengths, n = compute_lengths(bases), len(bases)
    first, second = np.divmod(np.arange(n * n), n)
    is_close = (measure_distances(lengths[first], lengths[second]) < _CLOSE).reshape(n, n)
    return np.flatnonzero(is_close[int(np.argmax(is_close.sum(axis=1)))])
