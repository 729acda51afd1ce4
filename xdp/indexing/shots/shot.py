"""All lattices of a known cell in the spots of one shot: searched, refined, believed or refused."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.crystal import Crystal, b_matrix
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.lattice.symmetry import find_primitive_change, find_space_group
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.shots.cell_vectors import CellVectors, make_cell_vectors
from xdp.indexing.shots.false_alarm import estimate_false_alarm, list_other_cells
from xdp.indexing.shots.fit import LatticeFit, Spread, compute_proximal_volume, fit_lattice
from xdp.indexing.shots.options import ShotSearch
from xdp.indexing.shots.orientations import search_orientations
from xdp.indexing.shots.positions import predict_on_panels
from xdp.indexing.spots import ReciprocalSpots, load_spots
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

_BELONGS = 0.5  # a spot is indexed if it belongs to the lattice with more than this probability
_TOLERANCE = 0.4  # of an index from a whole number: nearer to the half, another reflection is as likely
_FENCE = 1.5    # times the distance of the quartiles, beyond which a residual is an outlier (Tukey's choice)
_OF_LIMIT = 0.8  # of the largest RMSD that the spread of positions may take; errors along q come to it
_TRIED = 3      # orientations of a search that are fitted before it is given up


@dataclass(frozen=True, eq=False)
class ShotLattice:
    """One lattice of a shot.

    Attributes
    ----------
    crystal : Crystal
        Refined, in the known space group.
    rows : (m,) int
        The spots that it explains, by their place in the table.
    miller_index : (m, 3) int
        Their indices.
    rmsd_px : float
        Root mean square distance of these spots from their predictions, px; outliers are left out.
    rmsd_delta_psi : float
        Root mean square turn that brings their points onto the Ewald sphere, degrees; outliers are left out.
    spread : Spread
        Of the residuals in reciprocal space: positions, domain size, mosaicity.
    false_alarm_probability : float
        That a cell which is not the crystal's would give one as good (:mod:`xdp.indexing.shots.false_alarm`).
    """

    crystal: Crystal
    rows: np.ndarray
    miller_index: np.ndarray
    rmsd_px: float
    rmsd_delta_psi: float
    spread: Spread
    false_alarm_probability: float

    @property
    def n_explained(self) -> int:
        """How many spots it explains."""
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class ShotLattices:
    """The lattices of a shot.

    Attributes
    ----------
    lattices : tuple of ShotLattice
        The first one found first; empty if there is none.
    table : ReflectionTable
        The strong spots, mapped to reciprocal space; ``id`` is the number of the lattice, -1 where there is none, and
        ``miller_index`` the index.
    reason : str
        Why there are no more lattices.
    best_false_alarm : float
        The smallest false-alarm probability of all orientations that were judged, believed or not; 1 where none was.
    """

    lattices: tuple[ShotLattice, ...]
    table: ReflectionTable
    reason: str
    best_false_alarm: float = 1.0


def find_shot_lattices(experiment: Experiment, spots: ReflectionTable, known: KnownSymmetry,
                       options: ShotSearch | None = None) -> ShotLattices:
    """Find all lattices of a known cell in the spots of one shot.

    The directions of the cell's short vectors are sampled; the cell is turned about the best of them, and the best
    orientations are refined. The likeliest one is fitted to the spots: orientation, cell, and how far spots lie from
    their places. It is believed if a cell that is not the crystal's would hardly give one as good, and if it obeys the
    other limits of the options. Then its spots are taken away, and the rest is searched again.

    Parameters
    ----------
    experiment : Experiment
        A still: beam and detector. Its crystal is not used.
    spots : ReflectionTable
        Its strong spots. ``id`` and ``imageset_id`` are not used.
    known : KnownSymmetry
        ``unit_cell``, and ``space_group`` (P1 by default).
    options : ShotSearch, optional
        Limits.

    Returns
    -------
    ShotLattices

    Raises
    ------
    OptionError
        If there is no cell.
    XdpError
        If there are no spots, or they are on panels that the detector does not have.

    Examples
    --------
    >>> from xdp.simulation.still_spots import make_still_spots
    >>> experiment, spots = make_still_spots()
    >>> known = KnownSymmetry(unit_cell=experiment.crystal.unit_cell, space_group="P43212")
    >>> found = find_shot_lattices(experiment, spots, known)
    >>> len(found.lattices)
    1
    """
    zero = np.zeros(len(spots), dtype=np.int32)
    table = spots.with_columns(id=zero, imageset_id=zero)
    mapped = load_spots(ExperimentList([replace(experiment, crystal=None)]), table)
    return search_mapped_spots(experiment, mapped, known, options)


def search_mapped_spots(experiment: Experiment, spots: ReciprocalSpots, known: KnownSymmetry,
                        options: ShotSearch | None = None) -> ShotLattices:
    """Find the lattices as :func:`find_shot_lattices` does, in spots that are mapped to reciprocal space already.

    Parameters
    ----------
    experiment : Experiment
        The shot's beam and detector.
    spots : ReciprocalSpots
    known : KnownSymmetry
        With the cell; the space group may be given.
    options : ShotSearch, optional
        How it is searched.

    Returns
    -------
    ShotLattices

    Raises
    ------
    OptionError
        If no cell is given.
    """
    if known.unit_cell is None:
        raise OptionError("indexing.known_symmetry.unit_cell is needed to search shots for a known cell: give it, or "
                          "index the shots without a known cell")
    search = _Search(experiment, spots, known, options or ShotSearch())
    lattices: list[ShotLattice] = []
    reason = ""
    while not reason:
        found = search.find_next(lattices)
        if isinstance(found, str):
            reason = found
        else:
            lattices.append(found)
    return _collect(spots.table, lattices, reason, search.best_alarm)


def _collect(table: ReflectionTable, lattices: list[ShotLattice], reason: str, alarm: float) -> ShotLattices:
    """The lattices with the table, in which each spot has the number of its lattice, and its index."""
    ids, index = np.full(len(table), -1, dtype=np.int32), np.zeros((len(table), 3), dtype=np.int32)
    for number, lattice in enumerate(lattices):
        ids[lattice.rows], index[lattice.rows] = number, lattice.miller_index
    return ShotLattices(tuple(lattices), table.with_columns(id=ids, miller_index=index), reason, alarm)


class _Search:
    """What stays the same while a shot is searched."""

    def __init__(self, experiment: Experiment, spots: ReciprocalSpots, known: KnownSymmetry, options: ShotSearch
                 ) -> None:
        self.experiment, self.spots, self.options = experiment, spots, options
        self.s0 = experiment.known.beam.s0
        self.best_alarm = 1.0
        self.widest = self._convert_rmsd(_OF_LIMIT * self.options.rmsd_max_px)
        self.group = find_space_group(known.space_group or "P 1")
        self.known_cell = known.unit_cell
        self.axes = np.linalg.inv(b_matrix(known.unit_cell))
        self.cell, self.others = _prepare(find_primitive_change(self.group) @ self.axes)
        # from the reduced primitive cell to the axes of the space group
        self.change = np.round(6.0 * self.axes @ np.linalg.inv(self.cell.basis)) / 6.0

    def _convert_rmsd(self, px: float) -> float:
        """The standard deviation (1/Å) of each coordinate that gives an RMSD of so many px on the detector."""
        table = self.spots.table
        if not len(table):
            return np.inf
        detector, panel = self.experiment.known.detector, int(table["panel"][0])
        x, y, _ = table["xyzobs.mm.value"][0]
        distance = float(np.linalg.norm(detector.d_matrix(panel) @ np.array([x, y, 1.0])))
        return px * detector[panel].pixel_size[0] * float(np.linalg.norm(self.s0)) / (distance * np.sqrt(2.0))

    def find_next(self, lattices: list[ShotLattice]) -> ShotLattice | str:
        """The next lattice, or why there is none."""
        options = self.options
        if options.max_lattices is not None and len(lattices) >= options.max_lattices:
            return f"there are {len(lattices)} lattices, as many as max_lattices allows"
        taken = np.zeros(len(self.spots), dtype=bool)
        for lattice in lattices:
            taken[lattice.rows] = True
        rows = np.flatnonzero(~taken)
        if len(rows) < options.min_spots:
            return f"{len(rows)} spots, fewer than min_spots={options.min_spots}"
        points = self.spots.points[rows]
        found = search_orientations(points, self.cell)
        reason = "no orientation of the cell"
        n = _TRIED if options.tries_others else 1
        for basis, score in zip(found.bases[:n], found.score[:n], strict=True):
            lattice = self._fit(basis, rows)
            alarm = estimate_false_alarm(float(score), points, self.others, lattice.n_explained / len(rows))
            self.best_alarm = min(self.best_alarm, alarm)
            if alarm > options.false_alarm_probability:
                return reason if reason.startswith("the") else (
                    f"no lattice better than chance: the best has a false-alarm probability of {alarm:.2g}")
            lattice = replace(lattice, false_alarm_probability=alarm)
            refusal = self._refuse(lattice, lattices)
            if not refusal:
                return lattice
            reason = refusal
        return reason

    def _fit(self, basis: np.ndarray, rows: np.ndarray) -> ShotLattice:
        """The lattice fitted to the spots `rows`."""
        a, b, c = (tuple(float(x) for x in row) for row in self.change @ basis)
        fitted = fit_lattice(Crystal(a, b, c, self.group.hall), self.spots.points[rows], self.s0,
                             cell=self.known_cell, cell_error=self.options.cell_error,
                             widest=self.widest)
        return self._measure(fitted, rows)

    def _measure(self, fitted: LatticeFit, rows: np.ndarray) -> ShotLattice:
        """The lattice with the distances of its spots from their predictions."""
        points = self.spots.points[rows]
        off = np.abs(points @ np.linalg.inv(fitted.crystal.A).T - fitted.miller_index).max(axis=1)
        own = (fitted.probability > _BELONGS) & (off < _TOLERANCE)
        rows, index = rows[own], fitted.miller_index[own]
        table = self.spots.table
        xy, delta_psi = predict_on_panels(self.experiment, fitted.crystal, index, table["panel"][rows].astype(np.int64))
        distance2 = np.sum((table["xyzobs.px.value"][rows, :2] - xy) ** 2, axis=1)
        fence = _FENCE if self.options.rejects_outliers else np.inf
        return ShotLattice(fitted.crystal, rows, index, _measure_rms(distance2, fence),
                           float(np.degrees(_measure_rms(delta_psi**2, fence))), fitted.spread, 1.0)

    def _refuse(self, lattice: ShotLattice, others: list[ShotLattice]) -> str:
        """Why a lattice is not believed, or nothing."""
        options = self.options
        if lattice.n_explained < options.min_spots:
            return f"the best lattice explains {lattice.n_explained} spots, fewer than min_spots={options.min_spots}"
        if not lattice.rmsd_px <= options.rmsd_max_px:
            return f"the best lattice has an RMSD of {lattice.rmsd_px:.2f} px, above {options.rmsd_max_px:g}"
        volume = compute_proximal_volume(lattice.spread, options.proximal_d_min)
        if options.max_proximal_volume is not None and volume > options.max_proximal_volume:
            return (f"the best lattice is seen in {volume:.2g} 1/Å³ outside of the Ewald sphere, above "
                    f"{options.max_proximal_volume:g}: so wide a layer explains any spots")
        off = np.linalg.norm(lattice.crystal.real_space_matrix, axis=1) / np.linalg.norm(self.axes, axis=1) - 1.0
        if (most := float(off[np.argmax(np.abs(off))])) and abs(most) > options.cell_tolerance:
            return f"the best lattice has an axis {100.0 * most:+.1f} % off the known cell"
        for other in others:
            angle = self._measure_turn(lattice, other)
            if angle < options.min_separation:
                return f"the next lattice is only {angle:.2f} degrees from another one, taken for the same crystal"
        return ""

    def _measure_turn(self, lattice: ShotLattice, other: ShotLattice) -> float:
        """The smallest angle (degrees) between two orientations, of those that the lattice's symmetry makes equal."""
        first, second = (self._find_rotation(x.crystal) for x in (lattice, other))
        traces = np.einsum("ij,kjl,il->k", first, self.cell.rotations, second)
        return float(np.degrees(np.arccos(np.clip((traces.max() - 1.0) / 2.0, -1.0, 1.0))))

    def _find_rotation(self, crystal: Crystal) -> np.ndarray:
        """The rotation that brings the reduced known cell closest to a crystal (Kabsch 1976)."""
        primitive = np.linalg.inv(self.change) @ crystal.real_space_matrix
        left, _, right = np.linalg.svd(primitive.T @ self.cell.basis)
        return left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right


def _measure_rms(squares: np.ndarray, fence: float) -> float:
    """The root mean square without what is `fence` quartile distances off (Tukey 1977); infinite of nothing."""
    if not len(squares):
        return np.inf
    size = np.sqrt(squares)
    low, high = np.quantile(size, [0.25, 0.75])
    inside = size <= high + fence * (high - low) if np.isfinite(fence) else np.ones(len(size), dtype=bool)
    return float(np.sqrt(squares[inside].mean()))


_MOST_PREPARED = 16  # cells that are kept: those of a run with its isoforms
_PREPARED: dict[bytes, tuple[CellVectors, list[CellVectors]]] = {}


def _prepare(primitive: np.ndarray) -> tuple[CellVectors, list[CellVectors]]:
    """The vectors of a cell, and of other cells; kept, since all shots of a run have the same."""
    key = primitive.tobytes()
    if key not in _PREPARED:
        if len(_PREPARED) >= _MOST_PREPARED:
            _PREPARED.clear()
        cell = make_cell_vectors(primitive)
        _PREPARED[key] = cell, list_other_cells(cell)
    return _PREPARED[key]
