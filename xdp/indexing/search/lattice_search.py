"""Search for the likeliest lattice of the spots, with the geometry as it is and, where that fails, mended.

The first solution stands where the spots lie close to its lattice points. Otherwise a longer longest
axis, a shifted beam centre, the opposite sense of rotation and a shorter longest axis are tried in turn, and the
likeliest cell of all trials is taken; what was changed is logged as a warning.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.crystal import b_matrix, cell_of
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.indexing.lattice.basis import reduced_basis
from xdp.indexing.lattice.symmetry import primitive_axes, space_group
from xdp.indexing.options import Indexing
from xdp.indexing.search.beam_search import Shift, search_beam, shifted_sweeps
from xdp.indexing.search.combine import Cell, best_cells
from xdp.indexing.search.directions import fft1d_candidates, grid_search_candidates
from xdp.indexing.search.fft3d import Candidates, fft3d_candidates
from xdp.indexing.search.free_origin import densest_wedge, lattice_shifts
from xdp.indexing.search.spot_match import match_spots
from xdp.indexing.spots import Spots, map_spots
from xdp.options.model import Auto

if TYPE_CHECKING:
    import gemmi

logger = logging.getLogger(__name__)

_CLEARLY, _STILL = 1.05, 1.5  # a changed geometry must be so much likelier
_CONVINCING, _FAIR = 4.0, 2.2  # log likelihood ratio for each indexed spot: no trial, no further trials are needed
_NARROW = 20.0   # degrees: in a wedge less wide another cell fits fairly about another beam centre,
_EXPLAINED = 6.0  # unless each spot of the lattice is explained so well
_LONGER = (1.7, 3.0)  # what the longest axis may be of its estimate
_SPARSE = 1000   # spots: with fewer, of many degrees, the longest axis and the beam centre are mended together
_HERE = Shift((0.0, 0.0), 0.0)
_LIKELY, _KNOWN = 55.0, 25.0  # log likelihood ratio that chance does not reach in all trials, and with a known cell


@dataclass(frozen=True)
class Found:
    """What a search gives: cells (likeliest first) of the spots under a geometry, and how that was changed.

    Attributes
    ----------
    sweeps, spots
        The geometry, and the spots mapped with it.
    cells : list of Cell
    n_vectors : int
        Candidate lattice vectors of the search.
    change : str
        What was changed in the geometry, empty if nothing.
    least : float
        The log likelihood ratio that chance does not reach.
    """

    sweeps: ExperimentList
    spots: Spots
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
        """Whether the likeliest cell is convincing (:class:`~xdp.indexing.search.combine.Cell`)."""
        if not self.cells:
            return False
        rotates = not all(s.is_still for s in self.sweeps)
        if rotates and max(_width(s) for s in self.sweeps) < _NARROW and len(self.sweeps) == 1:
            return self.is_likely and self.cells[0].explained(tolerance) > _EXPLAINED
        return self.cells[0].is_convincing(least)

    @property
    def is_likely(self) -> bool:
        """Whether the likeliest cell is better than chance."""
        return self.score > self.least


def search_lattice(sweeps: ExperimentList, spots: Spots, max_cell: float, options: Indexing, *, mend: bool = True
                   ) -> Found:
    """The likeliest cells of all spots of `spots` that have no crystal yet.

    Parameters
    ----------
    mend : bool
        Whether the geometry may be changed; if not, only shorter longest axes are tried.
    """
    if not mend:
        return _search_again(sweeps, spots, max_cell, options)
    best, tolerance = _trial(sweeps, spots, max_cell, options, ""), options.index_assignment.simple.hkl_tolerance
    _report(best)
    if best.is_convincing(_CONVINCING, tolerance):
        return best
    # a still fits other beam centres nearly as well, with another cell and distance
    factor = _STILL if all(s.is_still for s in sweeps) else _CLEARLY
    for trials, enough in _changes(sweeps, spots, max_cell, options):
        for changed in trials:
            if changed.score > max(factor * best.score, best.score + 10.0):
                best = changed
                _report(best)
                if best.is_convincing(_CONVINCING, tolerance):
                    break
        if best.is_convincing(enough, tolerance):
            break
    if best.change and best.is_likely:
        logger.warning("The geometry of the headers explains the spots badly; better: %s", best.change)
    return best


def _search_again(sweeps: ExperimentList, spots: Spots, max_cell: float, options: Indexing) -> Found:
    """The likeliest cells of the spots left over; with several lattices the longest axis is estimated too long."""
    divisors = (1.0, 2.0, 4.0) if isinstance(options.max_cell, Auto) else (1.0,)
    best: Found | None = None
    for divisor in divisors:
        found = _trial(sweeps, spots, max_cell / divisor, options, "")
        _report(found)
        best = found if best is None or found.score > best.score else best
        if best.is_convincing(_CONVINCING, options.index_assignment.simple.hkl_tolerance):
            break
    return best


def _changes(sweeps: ExperimentList, spots: Spots, max_cell: float, options: Indexing
             ) -> Iterator[tuple[Iterator[Found], float]]:
    """Groups of trials with other geometries and longest axes, the likelier ones first; and what is enough after each.

    A longer axis alone must be fully convincing: with a wrong beam centre a multiple of the cell fits fairly.
    """
    is_estimate = isinstance(options.max_cell, Auto)
    longer, longest = (factor * max_cell for factor in _LONGER)
    # of few spots of many degrees none are neighbours; in a narrow wedge a multiple about a wrong centre convinces
    is_sparse = is_estimate and len(spots) < _SPARSE and max(_width(s) for s in sweeps) >= _NARROW
    if is_estimate:  # few neighbours, as on a still, make the estimate too short
        yield iter([_trial(sweeps, spots, longer, options, "")]), _CONVINCING
    yield itertools.chain(_shifted(sweeps, spots, max_cell, options, ""),
                          _shifted(sweeps, spots, longer, options, "") if is_sparse else ()), _FAIR
    if any(not s.is_still for s in sweeps):
        yield _turned(sweeps, spots, max_cell, options), _FAIR
    shorter = (max_cell / 2.0, max_cell / 4.0)
    for other in ((longest, *shorter) if is_sparse else shorter) if is_estimate else ():
        if other > 3.0 * options.min_cell:
            yield itertools.chain([_trial(sweeps, spots, other, options, "")],
                                  _shifted(sweeps, spots, other, options, "")), _FAIR


def _turned(sweeps: ExperimentList, spots: Spots, max_cell: float, options: Indexing) -> Iterator[Found]:
    """Trials with the opposite sense of rotation, also with other beam centres."""
    turned, note = inverted_sweeps(sweeps), "the opposite sense of rotation"
    other = map_spots(turned, spots.table)
    yield _trial(turned, other, max_cell, options, note)
    yield from _shifted(turned, other, max_cell, options, note + " and ")


def _shifted(sweeps: ExperimentList, spots: Spots, max_cell: float, options: Indexing, note: str) -> Iterator[Found]:
    """Trials with the beam centre where the spots are most periodic."""
    scope = options.mm_search_scope
    if scope <= 0.0:
        return
    tried: list[Shift] = []
    for shift in likely_shifts(sweeps, _free(spots), max_cell, options):
        if any(np.hypot(shift.mm[0] - t.mm[0], shift.mm[1] - t.mm[1]) < 0.02 for t in (_HERE, *tried)):
            continue
        tried.append(shift)
        moved = shifted_sweeps(sweeps, shift.mm)
        text = f"{note}a beam centre that is off by {-shift.mm[0]:+.2f}, {-shift.mm[1]:+.2f} mm (fast, slow)"
        yield _trial(moved, map_spots(moved, spots.table), max_cell, options, text)


def likely_shifts(sweeps: ExperimentList, spots: Spots, max_cell: float, options: Indexing) -> Iterator[Shift]:
    """Beam centres that suit single lattices, then those that suit all likely vectors."""
    scope, n_points = options.mm_search_scope, options.fft3d.reciprocal_space_grid.n_points
    candidates = fft3d_candidates(spots.points[densest_wedge(spots)], max_cell, min_cell=options.min_cell,
                                  n_points=n_points, rmsd_cutoff=10.0)
    yield from lattice_shifts(sweeps, spots, candidates, max_cell, scope=scope, min_volume=options.min_cell_volume,
                              tolerance=options.index_assignment.simple.hkl_tolerance)
    yield from search_beam(sweeps, spots, max_cell, scope=scope, n_points=n_points,
                           coarseness=options.wide_search_binning / 2.0)


def _width(sweep: Experiment) -> float:
    """Degrees of a sweep, 0 of a still."""
    return 0.0 if sweep.scan is None else abs(sweep.scan.oscillation[1]) * sweep.scan.n_frames


def inverted_sweeps(sweeps: ExperimentList) -> ExperimentList:
    """The sweeps with the opposite sense of rotation; sharing of goniometers is kept."""
    made: dict[int, Goniometer] = {}
    for sweep in sweeps:
        if sweep.goniometer is not None and id(sweep.goniometer) not in made:
            made[id(sweep.goniometer)] = _inverted(sweep.goniometer)
    return ExperimentList([s if s.goniometer is None else replace(s, goniometer=made[id(s.goniometer)])
                           for s in sweeps], sweeps.extra)


def _inverted(goniometer: Goniometer) -> Goniometer:
    def minus(axis: Sequence[float]) -> tuple[float, ...]:
        return tuple(-float(v) for v in axis)

    if not goniometer.axes:
        return replace(goniometer, rotation_axis=minus(goniometer.rotation_axis))
    axes = [minus(a) if k == goniometer.scan_axis else tuple(a) for k, a in enumerate(goniometer.axes)]
    return replace(goniometer, rotation_axis=minus(goniometer.rotation_axis), axes=tuple(axes))


def _free(spots: Spots) -> Spots:
    """The spots that no lattice has yet."""
    return Spots(spots.table.select(spots.table["id"] < 0))


def _trial(sweeps: ExperimentList, spots: Spots, max_cell: float, options: Indexing, change: str) -> Found:
    free = _free(spots)
    tolerance = options.index_assignment.simple.hkl_tolerance
    least = _LIKELY if options.known_symmetry.unit_cell is None else _KNOWN
    if options.method == "low_res_spot_match":
        cell, group = _known(options)
        sigma = _position_error(sweeps, free)
        cells = match_spots(free.points, cell, group.hall, sigma, options.low_res_spot_match, tolerance=tolerance)
        return Found(sweeps, spots, cells, len(cells), change, least)
    candidates = find_candidates(free.points, max_cell, options)
    cells = best_cells(candidates, free.points, min_volume=options.min_cell_volume, max_cell=max_cell,
                       tolerance=tolerance)
    return Found(sweeps, spots, cells, len(candidates.vectors), change, least)


def find_candidates(points: np.ndarray, max_cell: float, options: Indexing) -> Candidates:
    """Candidate lattice vectors by the method that is asked for."""
    if options.method == "fft1d":
        return fft1d_candidates(points, max_cell, min_cell=options.min_cell,
                                step=options.fft1d.characteristic_grid or 0.029)
    if options.method == "real_space_grid_search":
        cell, group = _known(options)
        basis = reduced_basis(primitive_axes(np.linalg.inv(b_matrix(tuple(cell))), group.centring_type()))
        search = options.real_space_grid_search
        return grid_search_candidates(points, np.linalg.norm(basis, axis=1), step=search.characteristic_grid,
                                      max_candidates=search.max_vectors)
    grid, fft = options.fft3d.reciprocal_space_grid, options.fft3d
    return fft3d_candidates(
        points, max_cell, min_cell=options.min_cell, n_points=grid.n_points, rmsd_cutoff=fft.rmsd_cutoff,
        d_min=None if isinstance(grid.d_min, Auto) else grid.d_min,
        b_iso=None if isinstance(fft.b_iso, Auto) else fft.b_iso)


def _known(options: Indexing) -> tuple[tuple[float, ...], gemmi.SpaceGroup]:
    """The known cell and space group (P1 where only the cell is known), without which a method cannot do."""
    known = options.known_symmetry
    if known.unit_cell is None:
        raise OptionError(f"indexing.method={options.method} needs the known cell: give "
                          "indexing.known_symmetry.unit_cell=a,b,c,alpha,beta,gamma")
    return known.unit_cell, space_group(known.space_group or "P1")


def _position_error(sweeps: ExperimentList, spots: Spots) -> float:
    """The typical error of a spot's position in reciprocal space, 1/Å."""
    mm = float(np.sqrt(np.median(spots.table["xyzobs.mm.variance"][:, :2])))
    return mm / (sweeps[0].detector[0].distance * sweeps[0].beam.wavelength)


def _report(found: Found) -> None:
    logger.info("%d candidate lattice vectors%s", found.n_vectors, f" with {found.change}" if found.change else "")
    for cell in found.cells[:5]:
        text = " ".join(f"{v:.2f}" for v in cell_of(cell.basis))
        logger.info("cell %s: %d of %d spots (%.1f %%), score %.0f", text, cell.n_indexed, cell.n_spots,
                    100.0 * cell.fraction, cell.score)
