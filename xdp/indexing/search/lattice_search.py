"""Search for the likeliest lattice of the spots, with the geometry as it is and, if that fails, with a changed one.

The first solution is taken if the spots lie close to its lattice points. Otherwise a longer longest axis, a shifted
beam centre, the opposite sense of rotation and a shorter longest axis are tried in turn. The likeliest cell of all
trials is taken, and what was changed is logged as a warning.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import numpy as np

from xdp.experiment.crystal import cell_of
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.geometry import invert_rotation, shift_sweeps
from xdp.indexing.options import Fft3d, Indexing, ReciprocalSpaceGrid
from xdp.indexing.search.beam_search import Shift, search_beam
from xdp.indexing.search.cells import CellLimits
from xdp.indexing.search.fft3d import find_candidates_fft3d
from xdp.indexing.search.free_origin import find_lattice_shifts, select_densest_wedge
from xdp.indexing.search.trial import (
    CONVINCING,
    NARROW,
    Trial,
    compute_width,
    get_tolerance,
    reject_other_lattice,
    select_free,
    try_geometry,
)
from xdp.indexing.spots import ReciprocalSpots, map_spots
from xdp.options.model import Auto

logger = logging.getLogger(__name__)

# These numbers were tried on the 204 random crystals of benchmarks/indexing_stress.py.
_FAIR = 2.2  # log likelihood ratio for each indexed spot, with which a trial of a changed geometry is the last one
# A changed geometry must be so much likelier, and by so much. A still fits other beam centres nearly as well, with
# another cell and distance.
_CLEARLY, _CLEARLY_STILL, _BY = 1.05, 1.5, 10.0
_LONGER = (1.7, 3.0)  # what the longest axis may be of its estimate
_SHORTER = (2.0, 4.0)  # what its estimate may be of the longest axis
_SPARSE = 1000   # spots: with fewer, of many degrees, the longest axis and the beam centre are changed together
_LEAST_AXES = 3.0  # a longest axis must be so many times the shortest one to be worth a trial
_CUTOFF = 10.0   # peaks of the transform are higher than this multiple of its rms, lower than for lattice vectors
_SAME_SHIFT = 0.02  # mm: shifts that are closer were tried already


def search_lattice(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing, *,
                   may_change: bool = True) -> Trial:
    """Search for the likeliest cells of all spots that have no crystal yet.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    spots : ReciprocalSpots
        The spots, mapped with it; ``id`` is -1 where a spot has no crystal.
    max_cell : float
        Longest axis to look for, Å.
    options : Indexing
        The method, and what may be changed.
    may_change : bool
        Whether the geometry may be changed; if not, only shorter longest axes are tried.

    Returns
    -------
    Trial
        Its cells may be no better than chance (``is_likely``).
    """
    if not may_change:
        return _search_again(sweeps, spots, max_cell, options)
    best, tolerance = reject_other_lattice(try_geometry(sweeps, spots, max_cell, options, "")), get_tolerance(options)
    _log_result(best)
    if best.is_convincing(CONVINCING, tolerance) or best.is_other:
        return best
    factor = _CLEARLY_STILL if all(s.is_still for s in sweeps) else _CLEARLY
    for trials, enough in _list_changes(sweeps, spots, max_cell, options):
        for changed in trials:
            least = max(factor * best.score, best.score + _BY)
            if changed.score > least and not (checked := reject_other_lattice(changed)).is_other:
                best = checked
                _log_result(best)
                if best.is_convincing(CONVINCING, tolerance):
                    break
        if best.is_convincing(enough, tolerance):
            break
    if best.change and best.is_likely:
        logger.warning("The geometry of the headers explains the spots badly; better: %s", best.change)
    return best


def _search_again(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing) -> Trial:
    """The likeliest cells of the spots left over; with several lattices the longest axis is estimated too long."""
    best = reject_other_lattice(try_geometry(sweeps, spots, max_cell, options, ""))
    _log_result(best)
    for divisor in _SHORTER if isinstance(options.max_cell, Auto) else ():
        if best.is_convincing(CONVINCING, get_tolerance(options)):
            break
        found = reject_other_lattice(try_geometry(sweeps, spots, max_cell / divisor, options, ""))
        _log_result(found)
        best = found if found.score > best.score else best
    return best


def _list_changes(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing
                  ) -> Iterator[tuple[Iterator[Trial], float]]:
    """Groups of trials with other geometries and longest axes, the likelier ones first; and what is enough after each.

    A longer axis alone must be fully convincing: with a wrong beam centre a multiple of the cell fits fairly.
    """
    is_estimate = isinstance(options.max_cell, Auto)
    longer, longest = (factor * max_cell for factor in _LONGER)
    # of few spots of many degrees none are neighbours; in a narrow wedge a multiple about a wrong centre convinces
    is_sparse = is_estimate and len(spots) < _SPARSE and max(compute_width(s) for s in sweeps) >= NARROW
    if is_estimate:  # few neighbours, as on a still, make the estimate too short
        yield iter([try_geometry(sweeps, spots, longer, options, "")]), CONVINCING
    yield itertools.chain(_try_shifts(sweeps, spots, max_cell, options, ""),
                          _try_shifts(sweeps, spots, longer, options, "") if is_sparse else ()), _FAIR
    if any(not s.is_still for s in sweeps):
        yield _try_opposite_rotation(sweeps, spots, max_cell, options), _FAIR
    shorter = tuple(max_cell / divisor for divisor in _SHORTER)
    for other in ((longest, *shorter) if is_sparse else shorter) if is_estimate else ():
        if other > _LEAST_AXES * options.min_cell:
            yield itertools.chain([try_geometry(sweeps, spots, other, options, "")],
                                  _try_shifts(sweeps, spots, other, options, "")), _FAIR


def _try_opposite_rotation(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing
                           ) -> Iterator[Trial]:
    """Trials with the opposite sense of rotation, alone and with another beam centre."""
    turned, note = invert_rotation(sweeps), "the opposite sense of rotation"
    other = map_spots(turned, spots.table)
    yield try_geometry(turned, other, max_cell, options, note)
    yield from _try_shifts(turned, other, max_cell, options, note + " and ")


def _try_shifts(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing, note: str
                ) -> Iterator[Trial]:
    """Trials with the beam centre where the spots are most periodic."""
    scope = options.mm_search_scope
    if scope <= 0.0:
        return
    tried = [(0.0, 0.0)]  # the headers' own beam centre was tried before
    for shift in find_likely_shifts(sweeps, select_free(spots), max_cell, options):
        if any(np.hypot(shift.mm[0] - x, shift.mm[1] - y) < _SAME_SHIFT for x, y in tried):
            continue
        tried.append(shift.mm)
        moved = shift_sweeps(sweeps, shift.mm)
        text = f"{note}a beam centre that is off by {-shift.mm[0]:+.2f}, {-shift.mm[1]:+.2f} mm (fast, slow)"
        yield try_geometry(moved, map_spots(moved, spots.table), max_cell, options, text)


def find_likely_shifts(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing
                       ) -> Iterator[Shift]:
    """Find beam centres that suit single lattices, then those that suit all likely vectors.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    spots : ReciprocalSpots
        The spots, mapped with it.
    max_cell : float
        Longest axis to look for, Å.
    options : Indexing
        How far to look, and what cells are sought.

    Yields
    ------
    Shift
        The likelier ones first within each kind; the second kind is searched only when it is asked for.
    """
    scope, n_points = options.mm_search_scope, options.fft3d.reciprocal_space_grid.n_points
    search = Fft3d(rmsd_cutoff=_CUTOFF, reciprocal_space_grid=ReciprocalSpaceGrid(n_points=n_points))
    candidates = find_candidates_fft3d(spots.points[select_densest_wedge(spots)], max_cell, search,
                                       min_cell=options.min_cell)
    limits = CellLimits(options.min_cell_volume, max_cell, get_tolerance(options))
    yield from find_lattice_shifts(sweeps, spots, candidates, limits, scope=scope)
    # wide_search_binning=2 is the usual step
    yield from search_beam(sweeps, spots, max_cell, scope=scope, n_points=n_points,
                           coarseness=options.wide_search_binning / 2.0)


def _log_result(found: Trial) -> None:
    logger.info("%d candidate lattice vectors%s", found.n_vectors, f" with {found.change}" if found.change else "")
    for cell in found.cells[:5]:
        text = " ".join(f"{v:.2f}" for v in cell_of(cell.basis))
        logger.info("cell %s: %d of %d spots (%.1f %%), score %.0f", text, cell.n_indexed, cell.n_spots,
                    100.0 * cell.fraction, cell.score)
