"""All lattices of one shot, of whichever crystal form they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from xdp.experiment.crystal import b_matrix
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.lattice.symmetry import find_primitive_change, find_space_group
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.shots.cell_vectors import CellVectors, make_cell_vectors
from xdp.indexing.shots.options import ShotSearch
from xdp.indexing.shots.orientations import search_orientations
from xdp.indexing.shots.shot import ShotLattice, ShotLattices, search_mapped_spots
from xdp.indexing.spots import ReciprocalSpots, load_spots
from xdp.reflections.table import ReflectionTable

# Log likelihood ratio of an orientation of a known cell that chance does not reach in one shot: a form below it is not
# worth the whole search (80 shots of random spots had medians of 12 to 17.5, indexing/shots/false_alarm.py).
_LIKELY = 25.0
_FEWEST = 4  # spots that fix an orientation with one to spare


@dataclass(frozen=True, eq=False)
class FormLattices:
    """The lattices of a shot, and the crystal form of each.

    Attributes
    ----------
    found : ShotLattices
        The lattices, those of the form that explains most spots first.
    forms : tuple of int
        For each lattice the number of its form, as they were given.
    """

    found: ShotLattices
    forms: tuple[int, ...]


def find_form_lattices(experiment: Experiment, spots: ReflectionTable, forms: Sequence[KnownSymmetry],
                       options: ShotSearch | None = None) -> FormLattices:
    """Find the lattices of several crystal forms in the spots of one shot.

    The form whose best orientation is the likeliest is searched for first, with all its lattices. The others follow in
    the spots that it leaves over, where an orientation is better than chance. With one form this is
    :func:`xdp.indexing.shots.shot.find_shot_lattices`, and costs the same.

    Parameters
    ----------
    experiment : Experiment
        A still: beam and detector. Its crystal is not used.
    spots : ReflectionTable
        Its strong spots.
    forms : sequence of KnownSymmetry
        The cell of each form, and its space group.
    options : ShotSearch, optional
        Limits of the search; ``max_lattices`` counts those of all forms.

    Returns
    -------
    FormLattices

    Examples
    --------
    >>> from xdp.simulation.still_spots import make_still_spots
    >>> experiment, spots = make_still_spots()
    >>> known = KnownSymmetry(unit_cell=experiment.crystal.unit_cell, space_group="P43212")
    >>> other = KnownSymmetry(unit_cell=(50, 65, 90, 90, 105, 90), space_group="P21")
    >>> find_form_lattices(experiment, spots, [other, known]).forms
    (1,)
    """
    zero = np.zeros(len(spots), dtype=np.int32)
    table = spots.with_columns(id=zero, imageset_id=zero)
    mapped = load_spots(ExperimentList([replace(experiment, crystal=None)]), table).table
    lattices, numbers, reasons = list[ShotLattice](), list[int](), list[str]()
    ids, index = np.full(len(mapped), -1, dtype=np.int32), np.zeros((len(mapped), 3), dtype=np.int32)
    left = list(range(len(forms)))
    options = options or ShotSearch()
    most = len(mapped) if options.max_lattices is None else options.max_lattices
    while left and np.count_nonzero(ids < 0) and len(lattices) < most:
        rows = np.flatnonzero(ids < 0)
        free = ReciprocalSpots(mapped.select(rows))
        left = _rank_forms(free.points, forms, left)
        # the likeliest form is searched for in any case, which gives the reason where there is none
        limits = options.model_copy(update={"max_lattices": options.max_lattices and most - len(lattices)})
        trial = search_mapped_spots(experiment, free, forms[left[0]], limits)
        reasons.append(trial.reason)
        for lattice in trial.lattices:
            own = rows[lattice.rows]
            ids[own], index[own] = len(lattices), lattice.miller_index
            lattices.append(replace(lattice, rows=own))
            numbers.append(left[0])
        left = [k for k in left[1:] if _score_form(mapped.select(ids < 0)["rlp"], forms[k]) > _LIKELY]
    result = mapped.with_columns(id=ids, miller_index=index)
    return FormLattices(ShotLattices(tuple(lattices), result, reasons[0] if reasons else "no crystal form is known"),
                        tuple(numbers))


def _rank_forms(points: np.ndarray, forms: Sequence[KnownSymmetry], numbers: list[int]) -> list[int]:
    """The numbers of forms in the order of how likely their best orientations are."""
    if len(numbers) < 2:
        return numbers
    scores = {k: _score_form(points, forms[k]) for k in numbers}
    return sorted(numbers, key=lambda k: (-scores[k], k))


def _score_form(points: np.ndarray, form: KnownSymmetry) -> float:
    """The log likelihood ratio of the best orientation of a form, 0 where there is none."""
    if len(points) < _FEWEST or form.unit_cell is None:
        return 0.0
    score = search_orientations(points, _make_vectors(form.unit_cell, form.space_group or "P 1")).score
    return float(score[0]) if len(score) else 0.0


@lru_cache(maxsize=16)
def _make_vectors(cell: tuple[float, ...], group: str) -> CellVectors:
    """The vectors of a form's cell; kept, since all shots of a run have the same few."""
    return make_cell_vectors(find_primitive_change(find_space_group(group)) @ np.linalg.inv(b_matrix(cell)))
