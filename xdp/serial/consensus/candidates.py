"""Candidate cells of single shots, quickly found and not chosen between: the choice is made for all shots together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.lattice.basis import reduce_bases
from xdp.indexing.options import Fft3d, ReciprocalSpaceGrid
from xdp.indexing.search.cells import is_possible, pick_different_bases, refine_basis, score_cell
from xdp.indexing.search.combine import rank_triples
from xdp.indexing.search.fft3d import PERIOD, Candidates, find_candidates_fft3d, use_threads
from xdp.indexing.spots import load_spots
from xdp.reflections.table import ReflectionTable
from xdp.serial.consensus.options import ConsensusOptions

_GRID = (64, 256)    # fewest and most points along an edge of the transform; 256 take 70 MB and 0.1 s
_REFINED = 12        # cells of a shot that are refined, which takes some 3 ms each; the others are pooled as they are
_WIDE, _NARROW = 0.3, 0.15  # tolerances of indices, of refinement and of what counts as explained
# A shot is well explained with so much log likelihood for each indexed spot and so many of its spots indexed: then no
# longer axes are tried. A cell that lacks a long axis indexes a small part only.
_CONVINCING, _NEARLY_ALL = 4.0, 0.8


@dataclass(frozen=True)
class ShotCandidates:
    """What one shot gives to the pool.

    Attributes
    ----------
    key : str
        The shot's name, which orders the pool.
    points : (n, 3)
        Reciprocal lattice points of its spots, 1/Å.
    rays : (n, 3)
        Unit vectors along the diffracted rays: the direction in which a spot says nothing of its lattice point.
    bases : (k, 3, 3)
        Candidate cells, rows a, b, c in Å, reduced, in the laboratory's frame.
    scores : (k,)
        Their log likelihood ratios against chance, highest first.
    """

    key: str
    points: np.ndarray
    rays: np.ndarray
    bases: np.ndarray
    scores: np.ndarray


def pool_shot(spots: ReflectionTable, experiment: Experiment, options: ConsensusOptions | None = None, *,
              key: str) -> ShotCandidates:
    """Find the candidate cells of one shot.

    1. Map the spots to reciprocal space.
    2. Take the peaks of their three-dimensional Fourier transform as candidate vectors, for longer and longer axes.
    3. Rank the cells that three of them span by how well they explain the spots, refine the best, and keep many.

    Parameters
    ----------
    spots : ReflectionTable
        The strong spots of the shot, in pixels.
    experiment : Experiment
        Its beam and detector.
    options : ConsensusOptions, optional
        What cells are sought, and how many are kept.
    key : str
        A name of the shot that is the same in each run, such as file and number. It orders the pool.

    Returns
    -------
    ShotCandidates
        Without cells where there are fewer spots than ``min_spots``, or nothing is periodic.

    Examples
    --------
    >>> from xdp.simulation.still_spots import make_still_spots
    >>> experiment, spots = make_still_spots()
    >>> found = pool_shot(spots, experiment, key="shot 1")
    >>> len(found.points), bool(found.scores[0] > 100)
    (60, True)
    """
    options = options or ConsensusOptions()
    shot = map_shot(spots, experiment, key=key, max_spots=options.max_spots)
    if len(shot.points) < options.min_spots:
        return replace(shot, points=np.zeros((0, 3)), rays=np.zeros((0, 3)))
    bases, scores = find_candidate_cells(shot.points, options)
    return replace(shot, bases=bases, scores=scores)


def map_shot(spots: ReflectionTable, experiment: Experiment, *, key: str, max_spots: int = 500) -> ShotCandidates:
    """Map the spots of a shot to reciprocal space, without a search for cells.

    Parameters
    ----------
    spots : ReflectionTable
        The strong spots of the shot, in pixels.
    experiment : Experiment
        Its beam and detector.
    key : str
        The shot's name.
    max_spots : int
        Spots that are used at most, always the same random choice.

    Returns
    -------
    ShotCandidates
        Without cells.
    """
    none = ShotCandidates(key, np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros(0))
    if not len(spots):
        return none
    one = np.zeros(len(spots), dtype=np.int32)
    table = load_spots(ExperimentList([experiment]), spots.with_columns(id=one, imageset_id=one)).table
    rows = _choose_rows(len(table), max_spots)
    points, s1 = table["rlp"][rows], table["s1"][rows]
    return replace(none, points=points, rays=s1 / np.linalg.norm(s1, axis=1)[:, None])


def _choose_rows(n: int, most: int) -> np.ndarray:
    """At most so many rows, always the same."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def find_candidate_cells(points: np.ndarray, options: ConsensusOptions) -> tuple[np.ndarray, np.ndarray]:
    """Find different lattices that may explain the points of one shot.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    options : ConsensusOptions
        What cells are sought.

    Returns
    -------
    bases : (k, 3, 3)
        Reduced, rows in Å; the best ones are refined.
    scores : (k,)
        Log likelihood ratios against chance, highest first.
    """
    triples, ranks = np.zeros((0, 3, 3)), np.zeros(0)
    for max_cell in options.max_cell:
        more, their = rank_triples(_find_vectors(points, max_cell, options), points, options.min_cell_volume)
        order = np.argsort(-np.concatenate([ranks, their]), kind="stable")
        triples, ranks = np.concatenate([triples, more])[order], np.concatenate([ranks, their])[order]
        if len(more) and _is_well_explained(refine_basis(more[0], points, _WIDE), points):
            break
    if not len(triples):
        return triples, ranks
    bases = pick_different_bases(reduce_bases(triples), options.max_candidates)
    for k in range(min(_REFINED, len(bases))):
        refined = refine_basis(bases[k], points, _WIDE)
        # refinement on few points can run away
        bases[k] = refined if is_possible(refined, options.min_cell_volume) else bases[k]
    scores = np.array([score_cell(basis, points, _WIDE).score for basis in bases])
    order = np.argsort(-scores, kind="stable")
    return bases[order], scores[order]


def _find_vectors(points: np.ndarray, max_cell: float, options: ConsensusOptions) -> Candidates:
    """Candidate vectors up to about twice `max_cell` (Å)."""
    finest = 1.0 / float(np.linalg.norm(points, axis=1).max())
    # a grid that reaches beyond the finest spot only takes longer
    n = int(np.clip(np.ceil(2.0 * PERIOD * max_cell / finest), *_GRID))
    search = Fft3d(reciprocal_space_grid=ReciprocalSpaceGrid(n_points=n))
    # shots, not transforms, are shared out over cores
    with use_threads(1):
        return find_candidates_fft3d(points, max_cell, search, min_cell=options.min_cell)


def _is_well_explained(basis: np.ndarray, points: np.ndarray) -> bool:
    """Whether a cell explains so much of a shot that no other need be sought."""
    cell = score_cell(basis, points, _NARROW)
    return cell.is_convincing(_CONVINCING) and cell.fraction >= _NEARLY_ALL
