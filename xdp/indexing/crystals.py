"""Crystals of the spots that no lattice has yet: search, known symmetry, and whether a crystal is a new one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal, cell_of
from xdp.indexing.known_orientation import check_known_crystal, make_known_crystal
from xdp.indexing.lattice.basis import measure_misorientation
from xdp.indexing.lattice.symmetry import match_known_symmetry
from xdp.indexing.options import Indexing, KnownSymmetry
from xdp.indexing.search.cells import Cell
from xdp.indexing.search.lattice_search import search_lattice
from xdp.indexing.search.noise import exceeds_structured_noise
from xdp.indexing.search.trial import CONVINCING, Trial, get_tolerance, try_geometry
from xdp.indexing.state import FEWEST_SPOTS, IndexingState
from xdp.indexing.stills import has_stills

logger = logging.getLogger(__name__)

_NEARLY = 0.5  # of the best score: a cell this likely is taken if a likelier one cannot have the known symmetry
_MOST = 4      # orientations of a known cell that are refined where the likeliest is not clear: a choice


class NoFurtherLattice(Exception):
    """No lattice was found, but one was found before; the message says why."""


def find_crystals(state: IndexingState, max_cell: float, options: Indexing
                  ) -> tuple[IndexingState, list[Crystal]]:
    """Find the likeliest crystals of the spots that no lattice has yet, and the geometry with which they were found.

    Only for the first crystal is the geometry changed. If its orientation is known (``known_symmetry.A_matrix``), there
    is no search for it. There is one crystal. With a known cell there are several where
    a still, or few spots, do not tell it clearly from its other orientations: refinement must choose one of them.

    Parameters
    ----------
    state : IndexingState
        With the crystals that were found before.
    max_cell : float
        Longest axis to look for, Å.
    options : Indexing
        The search, and the known symmetry.

    Returns
    -------
    state : IndexingState
        With the geometry changed, if that was needed.
    crystals : list of Crystal
        The likeliest first; the state has none of them yet.

    Raises
    ------
    XdpError
        If there is none, and it would be the first.
    NoFurtherLattice
        If there is none, and others were found before.
    """
    is_first = not state.crystals
    n_free = state.count_spots(-1)
    if n_free < FEWEST_SPOTS:
        raise make_failure(f"{n_free} spots are too few to find a lattice, at least {FEWEST_SPOTS} are needed",
                           is_first)
    if is_first and options.known_symmetry.A_matrix is not None:
        crystal = make_known_crystal(options.known_symmetry)
        check_known_crystal(crystal, state.spots.points, get_tolerance(options))
        return state, [crystal]
    found = search_lattice(state.sweeps, state.spots, max_cell, options, may_change=is_first)
    if not found.is_likely:
        raise make_failure(_describe_disagreement(state, max_cell, options) or
                           _describe_failure(found, n_free, options), is_first)
    is_clear = found.is_convincing(CONVINCING, get_tolerance(options))
    if not (is_clear and is_first) and not exceeds_structured_noise(found, max_cell, options):
        raise make_failure(_describe_failure(found, n_free, options), is_first)
    crystals = _impose_known_symmetry(found.cells, options, is_first=is_first)
    # One still tells the cell along the beam badly: a wrong orientation may fit all its spots with a distorted cell.
    is_sure = is_clear and not has_stills(state.sweeps, options)
    if options.known_symmetry.unit_cell is None or is_sure:
        crystals = crystals[:1]
    return replace(state, sweeps=found.sweeps, spots=found.spots), crystals[:_MOST]


def make_failure(message: str, is_first: bool) -> XdpError | NoFurtherLattice:
    """Make the exception that says why there is no lattice: an error only for the first one."""
    return XdpError(f"indexing: {message}") if is_first else NoFurtherLattice(message)


def _describe_failure(found: Trial, n: int, options: Indexing) -> str:
    tried = "" if options.mm_search_scope == 0.0 else (
        f", also with beam centres up to {options.mm_search_scope:g} mm away and the opposite sense of rotation")
    return (f"no lattice fits: {found.n_vectors} candidate vectors, {len(found.cells)} cells tried{tried}; the best "
            f"indexes {found.fraction:.0%} of {n} spots. Try indexing.max_cell=..., a known unit cell "
            "(indexing.known_symmetry.unit_cell=...), another spot finding, or look at the distance and the rotation "
            "axis of the headers (xdp show)")


def _impose_known_symmetry(cells: Sequence[Cell], options: Indexing, *, is_first: bool) -> list[Crystal]:
    """The best cells in the known symmetry; a cell that cannot have it is passed over for one nearly as likely."""
    known, possible = options.known_symmetry, list[Crystal]()
    for cell in cells:
        if cell.score < _NEARLY * cells[0].score:
            break
        possible += match_known_symmetry(cell.basis, known)[:1]
    if possible:
        return possible
    raise make_failure(_describe_other_cell(cells[0], options), is_first)


def _describe_disagreement(state: IndexingState, max_cell: float, options: Indexing) -> str:
    """What lattice the spots have, where none agrees with the known cell; empty if none is known or theirs is none."""
    if options.known_symmetry.unit_cell is None:
        return ""
    anything = options.model_copy(update={"known_symmetry": KnownSymmetry(), "method": "fft3d"})
    found = try_geometry(state.sweeps, state.spots, max_cell, anything, "")
    return _describe_other_cell(found.cells[0], options) if found.is_likely else ""


def _describe_other_cell(cell: Cell, options: Indexing) -> str:
    known = options.known_symmetry
    text = " ".join(f"{v:.2f}" for v in cell_of(cell.basis))
    wanted = ", ".join(str(v) for v in (known.space_group, known.unit_cell) if v is not None)
    return (f"the spots' lattice (primitive cell {text}) does not agree with the known symmetry {wanted}; leave "
            "known_symmetry out to see what it is, or widen its tolerances")


def make_basis_crystal(basis: np.ndarray, hall: str = " P 1") -> Crystal:
    """Make a crystal with the axes that are the rows of `basis` (3, 3), Å, and a Hall symbol.

    Examples
    --------
    >>> import numpy as np
    >>> make_basis_crystal(np.diag([10.0, 20.0, 30.0])).unit_cell
    (10.0, 20.0, 30.0, 90.0, 90.0, 90.0)
    """
    a, b, c = (tuple(float(x) for x in row) for row in basis)
    return Crystal(a, b, c, hall)


def has_spots_left(state: IndexingState, options: Indexing, factor: float = 1.0) -> bool:
    """Whether enough spots within the resolution of the indexed ones are left over for another lattice.

    Parameters
    ----------
    state : IndexingState
        The spots.
    options : Indexing
        The fraction that is enough (``recycle_unindexed_reflections_cutoff``).
    factor : float
        On that fraction.
    """
    indexed = state.spots.table["id"] >= 0
    d = state.spots.d
    inside = d >= d[indexed].min(initial=np.inf) if indexed.any() else np.ones(len(d), dtype=bool)
    left = float(np.mean(~indexed[inside])) if inside.any() else 0.0
    return left > factor * options.multiple_lattice_search.recycle_unindexed_reflections_cutoff


def is_known(crystal: Crystal, others: Sequence[Crystal], options: Indexing) -> bool:
    """Whether a crystal is one of the others but for a turn below ``minimum_angular_separation``; a warning says so."""
    for number, other in enumerate(others):
        angle = measure_misorientation(other.A, _choose_similar_axes(crystal, other).A)
        if angle < options.multiple_lattice_search.minimum_angular_separation:
            logger.warning("A further lattice is left out: it is only %.2f degrees from crystal %d. To keep it, give "
                           "multiple_lattice_search.minimum_angular_separation=%.2g (now %g)", angle, number + 1,
                           0.5 * angle, options.multiple_lattice_search.minimum_angular_separation)
            return True
    return False


def _choose_similar_axes(crystal: Crystal, other: Crystal) -> Crystal:
    """`crystal` in the choice of axes nearest to that of `other`."""
    transform = np.round(other.real_space_matrix @ np.linalg.inv(crystal.real_space_matrix))
    if abs(abs(np.linalg.det(transform)) - 1.0) > 1e-6:
        return crystal  # no choice of the same lattice's axes
    return make_basis_crystal(transform @ crystal.real_space_matrix, crystal.space_group_hall_symbol)
