"""The crystal forms of a run, from the candidates of its shots."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.shots.cell_vectors import CellVectors, make_cell_vectors
from xdp.indexing.shots.orientations import search_orientations
from xdp.serial.consensus.candidates import ShotCandidates
from xdp.serial.consensus.clusters import Cluster, find_clusters
from xdp.serial.consensus.common_cell import CommonCell, guess_widths, place_all, refine_common_cell
from xdp.serial.consensus.metric import compute_lengths, measure_distances
from xdp.serial.consensus.options import ConsensusOptions
from xdp.serial.consensus.placement import Placement, ResidualWidths, place_lattice
from xdp.serial.consensus.pool import CandidatePool
from xdp.serial.consensus.related import change_cell, choose_related_lattice, turn_onto
from xdp.serial.consensus.symmetry import find_cell_symmetry

logger = logging.getLogger(__name__)

# Log likelihood ratio of a lattice of a known cell that chance does not reach in one shot, as for single shots
# (indexing/search/trial.py).
_LIKELY = 25.0
_TRIED = 4         # clusters that are refined before the likeliest is taken
_SEARCHED = 12     # and those that are searched for in all shots, where these fail: half a second each for 30 shots
# A shot is explained poorly if each of its spots tells less than this part of the median of the form's shots: with an
# axis that is 2 % too long it is half. Forms whose lengths differ by less than the second are taken for one. Choices.
_POOR, _SAME_FORM = 0.75, 0.005
_MOST_SHOTS = 0.6  # of the shots, with which a cell that was searched for in all is taken at once: a choice
_ORIENTATIONS = 4  # of a shot, that are refined: the likeliest ones of the search are nearly equal on few spots


@dataclass(frozen=True)
class CrystalForm:
    """A crystal form that several shots have in common.

    Attributes
    ----------
    unit_cell : tuple of six float
        The conventional cell, Å and degrees, as the lattice's symmetry makes it.
    error : tuple of six float
        Its standard errors; 0 where symmetry fixes the number.
    lattice : str
        The Bravais type, such as ``tP``.
    space_group : str
        The lowest chiral space group of that type. The true one may be higher: only intensities tell.
    shots : tuple of str
        Keys of the shots that have it, in alphabetical order.
    n_indexed, n_spots : int
        Spots of these shots that it explains, and all of them.
    """

    unit_cell: tuple[float, ...]
    error: tuple[float, ...]
    lattice: str
    space_group: str
    shots: tuple[str, ...]
    n_indexed: int
    n_spots: int


@dataclass(frozen=True)
class Consensus:
    """The crystal forms of a run.

    Attributes
    ----------
    forms : tuple of CrystalForm
        That of most shots first; empty if the shots agree on none.
    n_shots : int
        Shots of the pool.
    without_form : tuple of str
        Keys of the shots that have none of the forms, in alphabetical order.
    """

    forms: tuple[CrystalForm, ...]
    n_shots: int
    without_form: tuple[str, ...]


def find_consensus(pool: CandidatePool, options: ConsensusOptions | None = None) -> Consensus:
    """Find the cells that the shots of a pool have in common.

    1. Cluster the candidate cells of all shots, by a distance that does not depend on the choice of axes.
    2. Refine one cell with the orientations of the cluster's shots; let the spots choose among its sub- and
       superlattices.
    3. Look for it in the other shots, and refine again with all that have it.
    4. Take the highest symmetry that the cell obeys within its error.
    5. Go on with the shots that are left over or explained poorly. In the end each shot counts for the form that
       explains it best.

    Parameters
    ----------
    pool : CandidatePool
        As :func:`xdp.serial.consensus.pool.merge_pools` makes it.
    options : ConsensusOptions, optional
        What makes lattices alike, and how many shots a form needs.

    Returns
    -------
    Consensus

    Examples
    --------
    >>> from xdp.serial.consensus.candidates import pool_shot
    >>> from xdp.serial.consensus.pool import merge_pools
    >>> from xdp.simulation.still_spots import make_still_spots
    >>> shots = []
    >>> for seed in (1, 2, 3):
    ...     experiment, spots = make_still_spots(seed=seed)
    ...     shots.append(pool_shot(spots, experiment, key=f"shot {seed}"))
    >>> form, = find_consensus(merge_pools(shots)).forms
    >>> form.lattice, [round(v, 1) for v in form.unit_cell[:3]], form.shots
    ('tP', [79.3, 79.3, 37.8], ('shot 1', 'shot 2', 'shot 3'))
    """
    options = options or ConsensusOptions()
    left, cells = list(pool.shots), list[CommonCell]()
    while len(left) >= options.min_shots and len(cells) < options.max_forms:
        cell = _find_form(left, options)
        if cell is None or any(_is_same_form(cell, other) for other in cells):
            break
        cells.append(cell)
        mine = _list_well_explained(cell)
        left = [s for s in left if s.key not in mine]
    cells = _share_out(cells, options)
    forms = sorted((_describe(cell) for cell in cells), key=lambda f: (-len(f.shots), f.shots))
    taken = {key for form in forms for key in form.shots}
    return Consensus(tuple(forms), len(pool), tuple(sorted(s.key for s in pool.shots if s.key not in taken)))


def _is_same_form(cell: CommonCell, other: CommonCell) -> bool:
    """Whether two cells are of one form, found again in shots with several crystals of it."""
    lengths = compute_lengths(np.array([cell.basis, other.basis]))
    return bool(measure_distances(lengths[:1], lengths[1:])[0] < _SAME_FORM)


def _list_well_explained(cell: CommonCell) -> set[str]:
    """Keys of shots for which no other form need be sought; all of them where nearly all are alike.

    Shots of a form with an axis that is a little longer are explained by half. Another form may explain them better.
    """
    scores = np.array([p.score / len(p.shot.points) for p in cell.placements])
    return {p.shot.key for p, good in zip(cell.placements, scores >= _POOR * np.median(scores), strict=True) if good}


def _share_out(cells: list[CommonCell], options: ConsensusOptions) -> list[CommonCell]:
    """The cells with the shots that each explains best, refined again; those that too few shots are left for go."""
    if len(cells) < 2:
        return cells
    best: dict[str, tuple[float, int]] = {}
    for number, cell in enumerate(cells):
        for p in cell.placements:
            best[p.shot.key] = max(best.get(p.shot.key, (0.0, number)), (p.score, number))
    own = [[p for p in cell.placements if best[p.shot.key][1] == number] for number, cell in enumerate(cells)]
    few = [number for number, placements in enumerate(own) if len(placements) < options.min_shots]
    if few:
        # its shots go back to the others before these are judged
        return _share_out([cell for number, cell in enumerate(cells) if number != few[-1]], options)
    return [_refine_with_likely(placements, cell.b, options) or replace(cell, placements=tuple(placements))
            for placements, cell in zip(own, cells, strict=True)]


def _find_form(shots: Sequence[ShotCandidates], options: ConsensusOptions) -> CommonCell | None:
    """The likeliest cell of the shots with all that have it, or None if too few of them agree."""
    clusters = find_clusters(shots, options.length_tolerance, _SEARCHED)
    best: CommonCell | None = None
    for cluster in clusters[:_TRIED]:
        best = _choose_likelier(best, _refine_members(cluster, shots, options))
        if best is not None and len(best.placements) == len(shots):
            return best  # nothing is left for another cluster to explain
    # Of weak shots perhaps one alone has the right cell among its candidates. Searched for in the others, it shows.
    for cluster in clusters if best is None else ():
        best = _choose_likelier(best, _search_all(cluster, shots, options))
        # chance, and cells that share planes with the right one, explain a few shots
        if best is not None and len(best.placements) >= _MOST_SHOTS * len(shots):
            break
    return best if best is None else _extend(best, shots, options)


def _choose_likelier(best: CommonCell | None, other: CommonCell | None) -> CommonCell | None:
    return other if best is None or (other is not None and _sum_scores(other) > _sum_scores(best)) else best


def _sum_scores(cell: CommonCell) -> float:
    """What the shots say for a cell, all together."""
    return sum(p.score for p in cell.placements)


def _refine_members(cluster: Cluster, shots: Sequence[ShotCandidates], options: ConsensusOptions
                    ) -> CommonCell | None:
    """The cell of a cluster or a related one, refined with the cluster's shots; None if too few of them agree."""
    b = np.linalg.inv(reduce_basis(cluster.basis))
    return _refine_related([Placement(shots[k], turn_onto(basis, b)) for k, basis in cluster.members], b, options)


def _search_all(cluster: Cluster, shots: Sequence[ShotCandidates], options: ConsensusOptions) -> CommonCell | None:
    """The same with all shots, in each of which the cluster's cell is searched for."""
    b = np.linalg.inv(reduce_basis(cluster.basis))
    vectors = make_cell_vectors(cluster.basis)
    found = [_search_shot(s, vectors, b, guess_widths(b)) for s in shots]
    return _refine_related([p for p in found if p is not None], b, options)


def _refine_related(starts: Sequence[Placement], b: np.ndarray, options: ConsensusOptions) -> CommonCell | None:
    """A cell refined with shots, or the sub- or superlattice that they say it should be."""
    cell = _refine_with_likely(starts, b, options)
    transform = np.eye(3) if cell is None else choose_related_lattice(cell)
    if cell is None or np.array_equal(transform, np.eye(3)):
        return cell
    return _refine_with_likely(cell.placements, change_cell(cell, transform), options)


def _extend(cell: CommonCell, shots: Sequence[ShotCandidates], options: ConsensusOptions) -> CommonCell:
    """The cell refined with all shots in which its lattice is found."""
    mine, vectors = {p.shot.key for p in cell.placements}, make_cell_vectors(cell.basis)
    more = [p for s in shots if s.key not in mine
            and (p := _search_shot(s, vectors, cell.b, cell.widths)) is not None]
    wider = _refine_with_likely([*cell.placements, *more], cell.b, options) if more else None
    return wider or cell


def _refine_with_likely(placements: Sequence[Placement], b: np.ndarray, options: ConsensusOptions
                        ) -> CommonCell | None:
    """A cell refined with the shots that it explains better than chance; None if these are too few."""
    placed = [place_lattice(p.shot, p.rotation, b, guess_widths(b)) for p in placements]
    cell: CommonCell | None = None
    for _ in range(2):
        likely = [p for p in placed if p.score > _LIKELY]
        if len(likely) < options.min_shots:
            return None
        cell = refine_common_cell(likely, b if cell is None else cell.b)
        placed = place_all(placed, cell)
    if cell is None or sum(p.score > _LIKELY for p in cell.placements) < options.min_shots:
        return None
    return replace(cell, placements=tuple(p for p in cell.placements if p.score > _LIKELY))


def _search_shot(shot: ShotCandidates, cell: CellVectors, b: np.ndarray, widths: ResidualWidths) -> Placement | None:
    """The likeliest orientation of a cell in a shot, or None if it is no better than chance."""
    found = search_orientations(shot.points, cell)
    placed = [place_lattice(shot, turn_onto(reduce_basis(basis), b), b, widths)
              for basis in found.bases[:_ORIENTATIONS]]
    best = max(placed, key=lambda p: p.score, default=None)
    return best if best is not None and best.score > _LIKELY else None


def _describe(cell: CommonCell) -> CrystalForm:
    """A form with the symmetry of its lattice."""
    found = find_cell_symmetry(cell)
    return CrystalForm(
        unit_cell=tuple(found.crystal.unit_cell), error=found.error, lattice=found.setting.lattice,
        space_group=found.crystal.space_group.short_name(), shots=tuple(sorted(p.shot.key for p in cell.placements)),
        n_indexed=sum(p.n_indexed for p in cell.placements), n_spots=sum(len(p.shot.points) for p in cell.placements))
