"""One trial of a search: the likeliest cells of the spots under one geometry and one longest axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.crystal import b_matrix
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.lattice.symmetry import find_space_group, make_primitive_axes, match_known_symmetry
from xdp.indexing.options import Indexing, KnownSymmetry
from xdp.indexing.search.cells import Cell, CellLimits, drop_repeated_cells
from xdp.indexing.search.combine import find_best_cells
from xdp.indexing.search.directions import find_candidates_by_edges, find_candidates_fft1d
from xdp.indexing.search.fft3d import Candidates, find_candidates_fft3d
from xdp.indexing.search.known_cell import agree_with_cell, find_known_cells
from xdp.indexing.search.long_axis import find_candidates_with_long_axis
from xdp.indexing.search.spot_match import match_spots
from xdp.indexing.spots import ReciprocalSpots
from xdp.options.model import Auto
from xdp.space_groups import AnySpaceGroup

# Limits of log likelihood ratios. They were tried on the 204 random crystals of benchmarks/indexing_stress.py, and on
# 60 random spots, whose best score of all trials together is 48 (docs/indexing.md).
_LIKELY, _KNOWN = 55.0, 25.0  # what chance does not reach in all trials, and with a known cell
CONVINCING = 4.0  #: for each indexed spot, with which no further trial is needed; see _LIKELY
_EXPLAINED = 6.0  # for each spot of the lattice, which a narrow wedge needs instead:
NARROW = 20.0     #: degrees: in a wedge less wide another cell fits fairly about another beam centre
# A lattice without the known cell must be so many times likelier for that cell to be wrong. On 76 spots of a still
# nine free numbers score 1.7 times as much as the right cell; on 800 spots a wrong cell has a tenth of the right one.
_MUCH = 3.0
_LONGER = 3.0     # what a very long axis may be of its estimate, which comes out short where neighbours are few
_STEP = 0.029     # radians between directions of fft1d, by default


class CellSearch(NamedTuple):
    """What a search combines to cells: candidate vectors, free spots (n, 3) in 1/Å, and the limits of cells."""

    candidates: Candidates
    points: np.ndarray
    limits: CellLimits


@dataclass(frozen=True)
class Trial:
    """What a trial gives: cells of the spots under a geometry, and how that was changed.

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
    is_other : bool
        Whether the spots clearly have another lattice than the known one; there are no cells then.
    unchecked : CellSearch, optional
        With which :func:`reject_other_lattice` looks for such a lattice; None where the cells convince, or none is
        known.
    has_sought_long_axes : bool
        Whether short and long axes were sought apart as well, since the usual search did not convince.
    """

    sweeps: ExperimentList
    spots: ReciprocalSpots
    cells: list[Cell]
    n_vectors: int
    change: str = ""
    least: float = _LIKELY
    is_other: bool = False
    unchecked: CellSearch | None = None
    has_sought_long_axes: bool = False

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
        if rotates and max(compute_width(s) for s in self.sweeps) < NARROW and len(self.sweeps) == 1:
            return self.is_likely and self.cells[0].likelihood_per_spot(tolerance) > _EXPLAINED
        return self.cells[0].is_convincing(least)

    @property
    def is_likely(self) -> bool:
        """Whether the likeliest cell is better than chance."""
        return self.score > self.least


def compute_width(sweep: Experiment) -> float:
    """Compute the degrees of a sweep, 0 of a still.

    Examples
    --------
    >>> from xdp.simulation import make_spots
    >>> experiments, _ = make_spots(n_frames=60, n_spots=10)
    >>> compute_width(experiments[0])
    30.0
    """
    return 0.0 if sweep.scan is None else abs(sweep.scan.oscillation[1]) * sweep.scan.n_frames


def select_free(spots: ReciprocalSpots) -> ReciprocalSpots:
    """Select the spots that no lattice has yet."""
    return ReciprocalSpots(spots.table.select(spots.table["id"] < 0))


def get_tolerance(options: Indexing) -> float:
    """Look up how far an index may be from a whole number."""
    return options.index_assignment.simple.hkl_tolerance


def try_geometry(sweeps: ExperimentList, spots: ReciprocalSpots, max_cell: float, options: Indexing, change: str, *,
                 may_seek_long_axes: bool = True) -> Trial:
    """Find the likeliest cells of the free spots by the method of the options.

    With a known cell only cells that agree with it are looked at. Where they convince not, its orientations are sought
    too; :func:`reject_other_lattice` says whether the spots have another lattice. Without a known cell, short and long
    axes are sought apart where the usual search does not convince: with a very long axis its grid ends before the
    spots that tell the short ones.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    spots : ReciprocalSpots
        The spots, mapped with it; those with ``id`` -1 are free.
    max_cell : float
        Longest axis to look for, Å.
    options : Indexing
        The method and the known symmetry.
    change : str
        What was changed in the geometry, empty if nothing.
    may_seek_long_axes : bool
        False: short and long axes are never sought apart, which takes minutes for cells of some 250 Å.

    Returns
    -------
    Trial
        Without cells, if none can have the known symmetry.
    """
    points, known = select_free(spots).points, options.known_symmetry.unit_cell is not None
    result = Trial(sweeps, spots, [], 0, change, _KNOWN if known else _LIKELY)
    if options.method == "low_res_spot_match":
        cells = _match_innermost(sweeps, select_free(spots), options)
        return replace(result, cells=cells, n_vectors=len(cells))
    limits = CellLimits(options.min_cell_volume, max_cell, get_tolerance(options))
    candidates = find_candidates(points, max_cell, options)
    result = replace(result, n_vectors=len(candidates.vectors))
    if known:
        return _find_agreeing_cells(result, CellSearch(candidates, points, limits), options)
    result = replace(result, cells=find_best_cells(candidates, points, limits))
    if not may_seek_long_axes or options.method not in ("fft3d", "fft1d"):
        return result
    if not result.is_convincing(CONVINCING, limits.tolerance):
        longest = max_cell * (_LONGER if isinstance(options.max_cell, Auto) else 1.0)
        more = find_candidates_with_long_axis(points, max_cell, options.fft3d, min_cell=options.min_cell,
                                              longest=longest)
        limits = replace(limits, max_cell=longest)
        other = replace(result, cells=find_best_cells(more, points, limits), n_vectors=len(more.vectors))
        result = replace(other if other.score > result.score else result, has_sought_long_axes=True)
    return result


def _find_agreeing_cells(result: Trial, search: CellSearch, options: Indexing) -> Trial:
    """A result with the cells that agree with the known symmetry, the likeliest first."""
    known = options.known_symmetry
    cell, group = _get_known_cell(options)
    target = reduce_basis(make_primitive_axes(np.linalg.inv(b_matrix(tuple(cell))), group.centring_type()))
    tolerance, agrees = search.limits.tolerance, partial(agree_with_cell, target=target, known=known)
    fitting = _add_fitting_cells([], find_best_cells(*search, agrees=agrees), known)
    found = replace(result, cells=sorted(fitting, key=lambda c: -c.score))
    if found.is_convincing(CONVINCING, tolerance):
        return found
    oriented = find_known_cells(search.points, search.candidates.vectors, target, known, tolerance=tolerance)
    fitting = _add_fitting_cells(found.cells, oriented, known)
    return replace(found, cells=sorted(fitting, key=lambda c: -c.score), unchecked=search)


def _add_fitting_cells(cells: list[Cell], more: list[Cell], known: KnownSymmetry) -> list[Cell]:
    """The cells, which have the known symmetry, and those of `more` that have it too and are other lattices."""
    kept = list(cells)
    for cell in more:
        # repeated lattices are cheap to see, symmetry is not
        if len(drop_repeated_cells([*kept, cell])) > len(kept) and match_known_symmetry(cell.basis, known):
            kept.append(cell)
    return kept


def reject_other_lattice(trial: Trial) -> Trial:
    """Drop the cells of a trial whose spots clearly have another lattice than the known one.

    On many spots a wrong known cell may fit a part of them. The search without the known cell takes as long as the one
    with it, so that only trials are looked at whose cells would be used.
    """
    if trial.unchecked is None:
        return trial
    anything = replace(trial, cells=find_best_cells(*trial.unchecked))
    convinces = anything.is_convincing(CONVINCING, trial.unchecked.limits.tolerance)
    if convinces and anything.score > _MUCH * trial.score:
        return replace(trial, cells=[], is_other=True, unchecked=None)
    return replace(trial, unchecked=None)


def _match_innermost(sweeps: ExperimentList, spots: ReciprocalSpots, options: Indexing) -> list[Cell]:
    """Primitive cells of the known cell's orientations that explain the innermost spots."""
    cell, group = _get_known_cell(options)
    sigma = _estimate_position_error(sweeps, spots)
    cells = match_spots(spots.points, cell, group.hall, sigma, options.low_res_spot_match,
                        tolerance=get_tolerance(options))
    return [replace(c, basis=make_primitive_axes(c.basis, group.centring_type())) for c in cells]


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
