"""Search for the likeliest lattice of the spots, with the geometry as it is and, if that fails, with a changed one.

The first solution is taken if the spots lie close to its lattice points. Otherwise a longer longest axis, a shifted
beam centre, the opposite sense of rotation and a shorter longest axis are tried in turn. The likeliest cell of all
trials is taken, and what was changed is logged as a warning.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.crystal import b_matrix, cell_of
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.geometry import invert_rotation, shift_sweeps
from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.lattice.symmetry import find_space_group, make_primitive_axes
from xdp.indexing.options import Fft3d, Indexing, ReciprocalSpaceGrid
from xdp.indexing.search.beam_search import Shift, search_beam
from xdp.indexing.search.cells import Cell, CellLimits
from xdp.indexing.search.combine import find_best_cells
from xdp.indexing.search.directions import find_candidates_by_edges, find_candidates_fft1d
from xdp.indexing.search.fft3d import Candidates, find_candidates_fft3d
from xdp.indexing.search.free_origin import find_lattice_shifts, select_densest_wedge
from xdp.indexing.search.spot_match import match_spots
from xdp.indexing.spots import ReciprocalSpots, map_spots
from xdp.options.model import Auto
from xdp.space_groups import AnySpaceGroup

logger = logging.getLogger(__name__)

# Limits of log likelihood ratios. They were tried on the 204 random crystals of benchmarks/indexing_stress.py, and on
# 60 random spots, whose best score of all trials together is 48 (docs/indexing.md).
_LIKELY, _KNOWN = 55.0, 25.0  # what chance does not reach in all trials, and with a known cell
_CONVINCING, _FAIR = 4.0, 2.2  # for each indexed spot, with which no trial, or no further trial, is needed
_EXPLAINED = 6.0  # for each spot of the lattice, which a narrow wedge needs instead:
_NARROW = 20.0    # degrees: in a wedge less wide another cell fits fairly about another beam centre
# A changed geometry must be so much likelier, and by so much. A still fits other beam centres nearly as well, with
# another cell and distance.
_CLEARLY, _CLEARLY_STILL, _BY = 1.05, 1.5, 10.0
_LONGER = (1.7, 3.0)  # what the longest axis may be of its estimate
_SHORTER = (2.0, 4.0)  # what its estimate may be of the longest axis
_SPARSE = 1000   # spots: with fewer, of many degrees, the longest axis and the beam centre are changed together
_LEAST_AXES = 3.0  # a longest axis must be so many times the shortest one to be worth a trial
_CUTOFF = 10.0   # peaks of the transform are higher than this multiple of its rms, lower than for lattice vectors
_SAME_SHIFT = 0.02  # mm: shifts that are closer were tried already
_STEP = 0.029    # radians between directions of fft1d, by default


@dataclass(frozen=True)
class SearchResult:
    """What a search gives: cells of the spots under a geometry, and how that was changed.

    Attributes
    ----------
    sweeps : ExperimentList
        The geometry.
    spots : ReciprocalSpots
        The spots, mapped with it.
    cells : list of Cell
        The likeliest first.
    n_vectors : int
        Candidate lattice vectors of the search.
    change : str
        What was changed in the geometry, empty if nothing.
    least : float
        The log likelihood ratio that chance does not reach.
    """

    sweeps: ExperimentList
    spots: ReciprocalSpots
    cells: list[Cell]
    n_vectors: int
    change: str = ""
    least: float = _LIKELY

    @property
    def score(self) -> float:
        """The log likelihood ratio of the likeliest cell."""
        return self.cells[0].score if self.cells else 0.0

    @property
    def fraction(self) -> float:
        """The fraction of spots that the likeliest cell indexes."""
        return self.cells[0].fraction if self.cells else 0.0

    def is_convincing(self, least: float, tolerance: float) -> bool:
        """Whether no further trials are needed: the spots are explained well enough by the likeliest cell.

        Parameters
        ----------
        least : float
            Log likelihood ratio for each indexed spot that is enough, but for a narrow wedge, which needs more.
        tolerance : float
            Within which a spot is indexed.
        """
        if not self.cells:
            return False
        rotates = not all(s.is_still for s in self.sweeps)
        if rotates and max(_compute_width(s) for s in self.sweeps) < _NARROW and len(self.sweeps) == 1:
            return self.is_likely and self.cells[0].likelihood_per_spot(tolerance) > _EXPLAINED
        return self.cells[0].is_convincing(least)

    @property
    def is_likely(self) -> bool:
        """Whether the likeliest cell is better than chance."""
        return self.score > self.least


def search_lattice(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing, *,
                   may_change: bool = True) -> SearchResult:
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
    SearchResult
        Its cells may be no better than chance (``is_likely``).
    """
    if not may_change:
        return _search_again(sweeps, spots, max_cell, options)
    best, tolerance = _try_geometry(sweeps, spots, max_cell, options, ""), _get_tolerance(options)
    _log_result(best)
    if best.is_convincing(_CONVINCING, tolerance):
        return best
    factor = _CLEARLY_STILL if all(s.is_still for s in sweeps) else _CLEARLY
    for trials, enough in _list_changes(sweeps, spots, max_cell, options):
        for changed in trials:
            if changed.score > max(factor * best.score, best.score + _BY):
                best = changed
                _log_result(best)
                if best.is_convincing(_CONVINCING, tolerance):
                    break
        if best.is_convincing(enough, tolerance):
            break
    if best.change and best.is_likely:
        logger.warning("The geometry of the headers explains the spots badly; better: %s", best.change)
    return best


def _get_tolerance(options: Indexing) -> float:
    return options.index_assignment.simple.hkl_tolerance


def _search_again(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing) -> SearchResult:
    """The likeliest cells of the spots left over; with several lattices the longest axis is estimated too long."""
    best = _try_geometry(sweeps, spots, max_cell, options, "")
    _log_result(best)
    for divisor in _SHORTER if isinstance(options.max_cell, Auto) else ():
        if best.is_convincing(_CONVINCING, _get_tolerance(options)):
            break
        found = _try_geometry(sweeps, spots, max_cell / divisor, options, "")
        _log_result(found)
        best = found if found.score > best.score else best
    return best


def _list_changes(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing
                  ) -> Iterator[tuple[Iterator[SearchResult], float]]:
    """Groups of trials with other geometries and longest axes, the likelier ones first; and what is enough after each.

    A longer axis alone must be fully convincing: with a wrong beam centre a multiple of the cell fits fairly.
    """
    is_estimate = isinstance(options.max_cell, Auto)
    longer, longest = (factor * max_cell for factor in _LONGER)
    # of few spots of many degrees none are neighbours; in a narrow wedge a multiple about a wrong centre convinces
    is_sparse = is_estimate and len(spots) < _SPARSE and max(_compute_width(s) for s in sweeps) >= _NARROW
    if is_estimate:  # few neighbours, as on a still, make the estimate too short
        yield iter([_try_geometry(sweeps, spots, longer, options, "")]), _CONVINCING
    yield itertools.chain(_try_shifts(sweeps, spots, max_cell, options, ""),
                          _try_shifts(sweeps, spots, longer, options, "") if is_sparse else ()), _FAIR
    if any(not s.is_still for s in sweeps):
        yield _try_opposite_rotation(sweeps, spots, max_cell, options), _FAIR
    shorter = tuple(max_cell / divisor for divisor in _SHORTER)
    for other in ((longest, *shorter) if is_sparse else shorter) if is_estimate else ():
        if other > _LEAST_AXES * options.min_cell:
            yield itertools.chain([_try_geometry(sweeps, spots, other, options, "")],
                                  _try_shifts(sweeps, spots, other, options, "")), _FAIR


def _try_opposite_rotation(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing
                           ) -> Iterator[SearchResult]:
    """Trials with the opposite sense of rotation, alone and with another beam centre."""
    turned, note = invert_rotation(sweeps), "the opposite sense of rotation"
    other = map_spots(turned, spots.table)
    yield _try_geometry(turned, other, max_cell, options, note)
    yield from _try_shifts(turned, other, max_cell, options, note + " and ")


def _try_shifts(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing, note: str
                ) -> Iterator[SearchResult]:
    """Trials with the beam centre where the spots are most periodic."""
    scope = options.mm_search_scope
    if scope <= 0.0:
        return
    tried = [(0.0, 0.0)]  # the headers' own beam centre was tried before
    for shift in find_likely_shifts(sweeps, _select_free(spots), max_cell, options):
        if any(np.hypot(shift.mm[0] - x, shift.mm[1] - y) < _SAME_SHIFT for x, y in tried):
            continue
        tried.append(shift.mm)
        moved = shift_sweeps(sweeps, shift.mm)
        text = f"{note}a beam centre that is off by {-shift.mm[0]:+.2f}, {-shift.mm[1]:+.2f} mm (fast, slow)"
        yield _try_geometry(moved, map_spots(moved, spots.table), max_cell, options, text)


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
    limits = CellLimits(options.min_cell_volume, max_cell, _get_tolerance(options))
    yield from find_lattice_shifts(sweeps, spots, candidates, limits, scope=scope)
    # wide_search_binning=2 is the usual step
    yield from search_beam(sweeps, spots, max_cell, scope=scope, n_points=n_points,
                           coarseness=options.wide_search_binning / 2.0)


def _compute_width(sweep: Experiment) -> float:
    """Degrees of a sweep, 0 of a still."""
    return 0.0 if sweep.scan is None else abs(sweep.scan.oscillation[1]) * sweep.scan.n_frames


def _select_free(spots: ReciprocalSpots) -> ReciprocalSpots:
    """The spots that no lattice has yet."""
    return ReciprocalSpots(spots.table.select(spots.table["id"] < 0))


def _try_geometry(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing, change: str
                  ) -> SearchResult:
    """One trial: the likeliest cells of the free spots by the method of the options."""
    free = _select_free(spots)
    least = _LIKELY if options.known_symmetry.unit_cell is None else _KNOWN
    if options.method == "low_res_spot_match":
        cell, group = _get_known_cell(options)
        sigma = _estimate_position_error(sweeps, free)
        cells = match_spots(free.points, cell, group.hall, sigma, options.low_res_spot_match,
                            tolerance=_get_tolerance(options))
        return SearchResult(sweeps, spots, cells, len(cells), change, least)
    candidates = find_candidates(free.points, max_cell, options)
    cells = find_best_cells(candidates, free.points,
                            CellLimits(options.min_cell_volume, max_cell, _get_tolerance(options)))
    return SearchResult(sweeps, spots, cells, len(candidates.vectors), change, least)


def find_candidates(points: np.ndarray, max_cell: float, options: Indexing) -> Candidates:
    """Find candidate lattice vectors by the method of the options.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    max_cell : float
        Longest axis to look for, Å.
    options : Indexing
        With ``method``: ``fft3d``, ``fft1d`` or ``real_space_grid_search``.

    Raises
    ------
    OptionError
        If the method needs a known cell and there is none.
    """
    if options.method == "fft1d":
        return find_candidates_fft1d(points, max_cell, min_cell=options.min_cell,
                                     step=options.fft1d.characteristic_grid or _STEP)
    if options.method == "real_space_grid_search":
        cell, group = _get_known_cell(options)
        basis = reduce_basis(make_primitive_axes(np.linalg.inv(b_matrix(tuple(cell))), group.centring_type()))
        search = options.real_space_grid_search
        return find_candidates_by_edges(points, np.linalg.norm(basis, axis=1), step=search.characteristic_grid,
                                        max_candidates=search.max_vectors)
    return find_candidates_fft3d(points, max_cell, options.fft3d, min_cell=options.min_cell)


def _get_known_cell(options: Indexing) -> tuple[tuple[float, ...], AnySpaceGroup]:
    """The known cell and space group (P1 where only the cell is known), without which a method cannot do."""
    known = options.known_symmetry
    if known.unit_cell is None:
        raise OptionError(f"indexing.method={options.method} needs the known cell: give "
                          "indexing.known_symmetry.unit_cell=a,b,c,alpha,beta,gamma")
    return known.unit_cell, find_space_group(known.space_group or "P1")


def _estimate_position_error(sweeps: ExperimentList, spots: ReciprocalSpots) -> float:
    """The typical error of a spot's position in reciprocal space, 1/Å: the angle that it makes, times 1/wavelength."""
    mm = float(np.sqrt(np.median(spots.table["xyzobs.mm.variance"][:, :2])))
    first = sweeps[0].known
    return mm / (first.detector[0].distance * first.beam.wavelength)


def _log_result(found: SearchResult) -> None:
    logger.info("%d candidate lattice vectors%s", found.n_vectors, f" with {found.change}" if found.change else "")
    for cell in found.cells[:5]:
        text = " ".join(f"{v:.2f}" for v in cell_of(cell.basis))
        logger.info("cell %s: %d of %d spots (%.1f %%), score %.0f", text, cell.n_indexed, cell.n_spots,
                    100.0 * cell.fraction, cell.score)
