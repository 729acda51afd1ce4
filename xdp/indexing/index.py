"""Index the spots of one or more sweeps: search, choose, assign, refine, and again for further lattices."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal, cell_of
from xdp.experiment.experiment import ExperimentList, share_equal_models
from xdp.indexing.assign.assign import assign_indices
from xdp.indexing.assign.assign_local import assign_local
from xdp.indexing.assign.misindexing import Offset, compare_offsets
from xdp.indexing.command_options import IndexOptions
from xdp.indexing.lattice.basis import rotation_between
from xdp.indexing.lattice.symmetry import known_crystals, symmetric_crystal
from xdp.indexing.options import Indexing
from xdp.indexing.outcome import identifier_of, with_predictions
from xdp.indexing.search.beam_search import shift_slopes, shifted_sweeps
from xdp.indexing.search.combine import Cell
from xdp.indexing.search.lattice_search import Found, search_lattice
from xdp.indexing.search.max_cell import estimate_max_cell, outside_ice_rings
from xdp.indexing.spots import Spots, in_image_range, load_spots, map_spots
from xdp.options.model import Auto
from xdp.options.named import make_options
from xdp.refinement.options import Outlier, Refinement
from xdp.refinement.refine import Refined, refine_models
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

_USES = Flag.USED_IN_REFINEMENT | Flag.CENTROID_OUTLIER
_FEW = 6  # spots without which no cell is determined
_MOST_SHOWN = 10  # cells that a report of very many lattices shows


@dataclass(frozen=True, repr=False)
class Indexed(Displayed):
    """What indexing gives.

    Attributes
    ----------
    experiments : ExperimentList
        With crystals, their models refined.
    reflections : ReflectionTable
        All strong spots; ``id`` is -1 where a spot is not indexed.
    """

    experiments: ExperimentList
    reflections: ReflectionTable

    @property
    def report(self) -> Report:
        """Lattices with their cells, and how many spots of each image set are indexed."""
        return Report((self._table_by_imageset(),), facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        crystals = self.experiments.unique("crystal")
        n_indexed = int(np.count_nonzero(self.reflections["id"] >= 0))
        return [("lattices", len(crystals)), ("spots", len(self.reflections)), ("indexed", n_indexed),
                *((f"cell {i + 1}", crystal.unit_cell) for i, crystal in enumerate(crystals[:_MOST_SHOWN]))]

    def _table_by_imageset(self) -> Table:
        """Spots and indexed spots of each image set."""
        numbers, ids = self.reflections["imageset_id"], self.reflections["id"]
        rows = []
        for number in np.unique(numbers):
            here = ids[numbers == number]
            n = int(np.count_nonzero(here >= 0))
            rows.append((str(number), str(n), str(len(here) - n), f"{100.0 * n / len(here):.1f}"))
        heads = {"imageset": "image set", "indexed": "indexed", "unindexed": "not indexed", "percent": "% indexed"}
        return Table("indexed", "Indexed spots", heads, tuple(rows))


def index(experiments: ExperimentList, reflections: ReflectionTable,
          options: IndexOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
          progress: Progress | None = None, **named: Any) -> Indexed:
    """Find the lattice (or lattices) of the crystal and give each spot its Miller index.

    Spots are mapped to reciprocal space; their Fourier transform gives candidate lattice vectors, of which the three
    are taken that explain the spots best for the cell's volume; spots are assigned indices and all models refined, in
    cycles; what is left over is searched for further lattices, if asked.

    Parameters
    ----------
    experiments : ExperimentList
        The sweeps; crystals they may have are left out. They are indexed as one crystal, or with
        ``joint_indexing=False`` each on its own.
    reflections : ReflectionTable
        The strong spots; ``imageset_id`` (or ``id``) names the sweep.
    options : IndexOptions or dict, optional
        The parameters of ``xdp index``. No file is written.
    client : distributed.Client, optional
        One of its workers does the work; by default this process.
    progress : callable, optional
        Shows when indexing is done.
    **named
        Parameters by name, laid over `options`: ``space_group="P43212", unit_cell=(79, 79, 38, 90, 90, 90)``.

    Returns
    -------
    Indexed
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If no lattice fits; the message says how far the search got.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_spots
    >>> experiments, spots = make_spots()
    >>> found = xdp.index(experiments, spots)
    >>> found.report.facts["indexed"] > 0.95 * len(spots)
    True
    """
    chosen = make_options(IndexOptions, options, named)
    return run_as_one_task(index_sweeps, share_equal_models(experiments), reflections, chosen.indexing,
                           chosen.refinement, label="lattices", client=client, progress=progress)


def index_sweeps(experiments: ExperimentList, reflections: ReflectionTable, options: Indexing | None = None,
                 refinement: Refinement | None = None) -> Indexed:
    """Index sweeps as :func:`index` does, with the two option models that the algorithm looks at.

    Parameters
    ----------
    experiments : ExperimentList
        The sweeps.
    reflections : ReflectionTable
        The strong spots.
    options : Indexing, optional
        How lattices are sought and indices assigned.
    refinement : Refinement, optional
        How models are refined between cycles.

    Returns
    -------
    Indexed
    """
    options = options or Indexing()
    if options.image_range is not None:
        reflections = in_image_range(experiments, reflections, options.image_range)
    if not options.joint_indexing and len(experiments) > 1:
        return index_separately(experiments, reflections, options, refinement)
    refinement = _while_indexing(refinement or Refinement())
    sweeps = ExperimentList([replace(e, crystal=None) for e in experiments], experiments.extra)
    spots = load_spots(sweeps, reflections)
    max_cell = longest_axis(spots, options)
    crystals: list[Crystal] = []
    state = _State(sweeps, spots, [])
    while len(crystals) < options.multiple_lattice_search.max_lattices:
        if crystals and not _worth_another(state, options):
            break
        state, crystal = _find_crystal(state, max_cell, options)
        if crystal is None or _is_known(crystal, state.crystals, options):
            break
        tried = _attempt(state, crystal, options, refinement)
        if tried is None:
            break
        state = tried
        if not crystals:
            state = _without_offset(state, options, refinement)
        crystals = state.crystals
    if _worth_another(state, options, 3.0):
        logger.info("Many spots within the resolution of the indexed ones are left over: perhaps of another crystal "
                    "(multiple_lattice_search.max_lattices=%d)", len(crystals) + 1)
    return _finish(state, options)


def index_separately(experiments: ExperimentList, reflections: ReflectionTable, options: Indexing,
                     refinement: Refinement | None = None) -> Indexed:
    """Index each sweep on its own; the crystals are different ones. Sweeps that fail are left out, with a warning.

    Raises
    ------
    XdpError
        If no sweep can be indexed.
    """
    alone = options.model_copy(update={"joint_indexing": True, "image_range": None})
    sweep = reflections["imageset_id"] if "imageset_id" in reflections else reflections["id"]
    kept, tables, failures = [], [], []
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(sweep == number)
        zero = np.zeros(len(rows), dtype=np.int32)
        part = reflections.select(rows).with_columns(imageset_id=zero, id=zero)
        try:
            result = index_sweeps(ExperimentList([experiment]), part, alone, refinement)
        except XdpError as error:
            failures.append(str(error))
            logger.warning("Sweep %d is not indexed: %s", number, error)
            continue
        table, ids = result.reflections, result.reflections["id"]
        table = table.with_columns(id=np.where(ids >= 0, ids + len(kept), -1).astype(np.int32),
                                   imageset_id=np.full(len(table), number, dtype=np.int32))
        table.identifiers = {}
        tables.append(table)
        kept.extend(replace(e, identifier=identifier_of(e, len(kept) + k)) for k, e in enumerate(result.experiments))
    if not kept:
        raise XdpError(f"indexing: none of the {len(experiments)} sweeps can be indexed on its own; the first: "
                       f"{failures[0]}")
    joined = ReflectionTable.concatenate(tables)
    joined.identifiers = {k: e.identifier for k, e in enumerate(kept)}
    return Indexed(ExperimentList(kept, experiments.extra), joined)


@dataclass(frozen=True)
class _State:
    """Where indexing stands: geometry, spots mapped with it, crystals found."""

    sweeps: ExperimentList
    spots: Spots
    crystals: list[Crystal]
    rms: float = np.inf  # of the positions, mm


def _while_indexing(options: Refinement) -> Refinement:
    """Refinement as it serves indexing: static, and a quick outlier test."""
    outlier = options.reflections.outlier
    if outlier.algorithm == "auto":
        outlier = Outlier(**{**dict(outlier), "algorithm": "tukey"})
    reflections = options.reflections.model_copy(update={"outlier": outlier})
    return options.model_copy(update={"reflections": reflections,
                                      "parameterisation": options.parameterisation.as_static()})


def longest_axis(spots: Spots, options: Indexing) -> float:
    """The longest axis to look for, Å: as given, from the known cell, or estimated from the spots."""
    if not isinstance(options.max_cell, Auto):
        return float(options.max_cell)
    settings = options.max_cell_estimation
    if options.known_symmetry.unit_cell is not None:
        return settings.multiplier * max(options.known_symmetry.unit_cell[:3])
    rows = np.arange(len(spots))
    if settings.filter_ice:
        away = np.flatnonzero(outside_ice_rings(spots.d))
        rows = away if len(away) >= max(10, len(spots) // 4) else rows
    found = estimate_max_cell(spots.points[rows], np.degrees(spots.phi[rows]), block=spots.sweep[rows],
                              step_size=settings.step_size, multiplier=settings.multiplier,
                              nn_per_bin=settings.nn_per_bin,
                              max_height_fraction=settings.max_height_fraction,
                              percentile=settings.nearest_neighbor_percentile)
    logger.info("Axes are sought up to %.1f Å (max_cell)", found)
    return found


def _find_crystal(state: _State, max_cell: float, options: Indexing) -> tuple[_State, Crystal | None]:
    """The likeliest crystal of the spots that no lattice has yet, and the geometry with which it was found.

    Only for the first crystal is the geometry changed, and only for it is failure an error.
    """
    required = not state.crystals
    n_free = int(np.sum(state.spots.table["id"] < 0))
    if n_free < _FEW:
        return state, _nothing(required, f"{n_free} spots are too few to find a lattice, at least {_FEW} are needed")
    found = search_lattice(state.sweeps, state.spots, max_cell, options, mend=required)
    if not found.is_likely:
        return state, _nothing(required, _no_lattice(found, n_free, options))
    crystal = _with_symmetry(found.cells, options, required=required)
    return _State(found.sweeps, found.spots, state.crystals), crystal


def _attempt(state: _State, crystal: Crystal, options: Indexing, refinement: Refinement) -> _State | None:
    """The state with one more crystal, refined; where that fails: an error for the first, None for later ones."""
    try:
        return _refine_cycles(replace(state, crystals=[*state.crystals, crystal]), options, refinement)
    except XdpError as error:
        cell = " ".join(f"{v:.2f}" for v in crystal.unit_cell)
        return _nothing(not state.crystals, f"no lattice fits: the likeliest cell {cell} of {len(state.spots)} spots "
                        f"cannot be refined ({error}). Try indexing.max_cell=... or a known unit cell "
                        "(indexing.known_symmetry.unit_cell=...)")


def _no_lattice(found: Found, n: int, options: Indexing) -> str:
    tried = "" if options.mm_search_scope == 0.0 else (
        f", also with beam centres up to {options.mm_search_scope:g} mm away and the opposite sense of rotation")
    return (f"no lattice fits: {found.n_vectors} candidate vectors, {len(found.cells)} cells tried{tried}; the best "
            f"indexes {found.fraction:.0%} of {n} spots. Try indexing.max_cell=..., a known unit cell "
            "(indexing.known_symmetry.unit_cell=...), another spot finding, or look at the distance and the rotation "
            "axis of the headers (xdp show)")


def _with_symmetry(cells: Sequence[Cell], options: Indexing, *, required: bool) -> Crystal | None:
    """The best cell in the known symmetry; a cell that cannot have it is passed over for one nearly as likely."""
    known = options.known_symmetry
    for cell in cells:
        if cell.score < 0.5 * cells[0].score:
            break
        crystals = known_crystals(cell.basis, known)
        if crystals:
            return crystals[0]
    text = " ".join(f"{v:.2f}" for v in cell_of(cells[0].basis))
    wanted = ", ".join(str(v) for v in (known.space_group, known.unit_cell) if v is not None)
    return _nothing(required, f"the spots' lattice (primitive cell {text}) does not agree with the known symmetry "
                    f"{wanted}; leave known_symmetry out to see what it is, or widen its tolerances")


def _nothing(required: bool, message: str) -> None:
    if required:
        raise XdpError(f"indexing: {message}")
    logger.info("No further lattice: %s", message)


def crystal_of(basis: np.ndarray, hall: str = " P 1") -> Crystal:
    """A crystal with the axes that are the rows of `basis` (3, 3), Å."""
    a, b, c = (tuple(float(x) for x in row) for row in basis)
    return Crystal(a, b, c, hall)


def _worth_another(state: _State, options: Indexing, factor: float = 1.0) -> bool:
    """Whether enough spots within the resolution of the indexed ones are left over, or `factor` times as many."""
    indexed = state.spots.table["id"] >= 0
    d = state.spots.d
    inside = d >= d[indexed].min(initial=np.inf) if indexed.any() else np.ones(len(d), dtype=bool)
    left = float(np.mean(~indexed[inside])) if inside.any() else 0.0
    return left > factor * options.multiple_lattice_search.recycle_unindexed_reflections_cutoff


def _is_known(crystal: Crystal, others: Sequence[Crystal], options: Indexing) -> bool:
    """Whether a crystal is one of the others but for a small rotation."""
    for other in others:
        angle = rotation_between(other.A, _like(crystal, other).A)
        if angle < options.multiple_lattice_search.minimum_angular_separation:
            logger.info("The new crystal is dropped: it is only %.2f degrees from another one", angle)
            return True
    return False


def _like(crystal: Crystal, other: Crystal) -> Crystal:
    """`crystal` in the choice of axes nearest to that of `other`."""
    transform = np.round(other.real_space_matrix @ np.linalg.inv(crystal.real_space_matrix))
    if abs(abs(np.linalg.det(transform)) - 1.0) > 1e-6:
        return crystal
    return crystal_of(transform @ crystal.real_space_matrix, crystal.space_group_hall_symbol)


def _refine_cycles(state: _State, options: Indexing, refinement: Refinement) -> _State:
    """Assignment and refinement in turn, towards finer resolution, until the assignment no longer changes."""
    protocol, previous = options.refinement_protocol, None
    for d_min in _resolutions(state.spots, options):
        state = _assign(state, options, d_min)
        if protocol.mode != "refine_shells":
            continue
        experiments, table = _as_experiments(state)
        indexed = table.select(table["id"] >= 0)
        if len(indexed) < _FEW:
            raise XdpError(f"indexing: only {len(indexed)} spots are indexed, too few to refine; give a known cell or "
                           "a better geometry")
        result = refine_models(experiments, indexed, refinement)
        state = _with_models(state, result)
        _report_cycle(state, result, d_min)
        now = state.spots.table["miller_index"]
        if d_min is None and previous is not None and np.array_equal(now, previous):
            break
        previous = now
    return state


def _without_offset(state: _State, options: Indexing, refinement: Refinement) -> _State:
    """The state, or the one with all indices shifted by whole numbers where that fits the spots better."""
    scope = options.check_misindexing.grid_search_scope
    if scope == 0 or options.refinement_protocol.mode != "refine_shells":
        return state
    for _ in range(3):
        rows = np.flatnonzero(state.spots.table["id"] == 0)
        slope = shift_slopes(state.sweeps, Spots(state.spots.table.select(rows)))
        fits = compare_offsets(state.spots.points[rows], slope, state.spots.table["miller_index"][rows], scope)
        present = next(f for f in fits if f.dh == (0, 0, 0))
        better = _better_offset(state, [f for f in fits if f.rms < 0.9 * present.rms][:3], options, refinement)
        if better is None:
            return state
        state = better
    return state


def _better_offset(state: _State, fits: Sequence[Offset], options: Indexing, refinement: Refinement) -> _State | None:
    """The first of some offsets of the indices that, refined, has clearly smaller residuals on as many spots."""
    n = int(np.sum(state.spots.table["id"] == 0))
    for fit in fits:
        sweeps = shifted_sweeps(state.sweeps, (float(fit.shift[0]), float(fit.shift[1])))
        hall = state.crystals[0].space_group_hall_symbol
        crystal = crystal_of(np.linalg.inv(fit.setting), hall)
        if np.linalg.det(fit.setting) <= 0.0:
            continue
        if hall.strip() != "P 1":
            crystal = symmetric_crystal(crystal.real_space_matrix, crystal.space_group)
        tried = _refine_cycles(_State(sweeps, map_spots(sweeps, state.spots.table), [crystal]), options, refinement)
        n_tried = int(np.sum(tried.spots.table["id"] == 0))
        if (tried.rms < 0.95 * state.rms and n_tried > 0.95 * n) or n_tried > 1.1 * n:
            logger.warning("All indices were off by %d, %d, %d: the beam centre was a lattice spacing away; corrected "
                           "(RMSD %.3f mm on %d spots, before %.3f mm on %d)", *fit.dh, tried.rms, n_tried, state.rms,
                           n)
            return tried
    return None


def _resolutions(spots: Spots, options: Indexing) -> list[float | None]:
    """The resolution limit of each cycle; None: all spots."""
    protocol = options.refinement_protocol
    if protocol.d_min_start is None:
        return [protocol.d_min_final] * protocol.n_macro_cycles
    finest = max(float(spots.d.min()), protocol.d_min_final or 0.0)
    n = protocol.n_macro_cycles
    automatic = (protocol.d_min_start - finest) / max(n - 1, 1)
    step = automatic if isinstance(protocol.d_min_step, Auto) else protocol.d_min_step
    return [max(protocol.d_min_start - k * step, finest) for k in range(n)]


def _assign(state: _State, options: Indexing, d_min: float | None) -> _State:
    """Fresh indices for all spots up to `d_min`."""
    spots = state.spots
    settings, how = [c.A for c in state.crystals], options.index_assignment
    if how.method == "local":
        assignment = assign_local(spots.points, spots.phi, settings, how.local, spots.sweep)
    else:
        assignment = assign_indices(spots.points, spots.phi, settings, block=spots.sweep,
                                    tolerance=how.simple.hkl_tolerance)
    crystal, hkl = assignment.crystal, assignment.hkl
    if d_min is not None:
        outside = spots.d <= d_min
        crystal, hkl = np.where(outside, -1, crystal), np.where(outside[:, None], 0, hkl)
    same = (crystal == spots.table["id"]) & np.all(hkl == spots.table["miller_index"], axis=1)
    flags = np.where(same, spots.table["flags"], spots.table["flags"] & ~np.uint64(_USES)) & ~np.uint64(Flag.INDEXED)
    flags = np.where(crystal >= 0, flags | np.uint64(Flag.INDEXED), flags)
    table = spots.table.with_columns(id=crystal.astype(np.int32), miller_index=hkl.astype(np.int32), flags=flags)
    return replace(state, spots=Spots(table))


def _as_experiments(state: _State) -> tuple[ExperimentList, ReflectionTable]:
    """One experiment for each crystal and sweep (crystals outermost), ids to match; models are shared."""
    n = len(state.sweeps)
    experiments = [replace(sweep, crystal=crystal) for crystal in state.crystals for sweep in state.sweeps]
    table = state.spots.table
    ids = np.where(table["id"] >= 0, table["id"] * n + table["imageset_id"], -1).astype(np.int32)
    return ExperimentList(experiments, state.sweeps.extra), table.with_columns(id=ids)


def _with_models(state: _State, result: Refined) -> _State:
    """The state under refined models: sweeps, crystals, and spots mapped anew."""
    n = len(state.sweeps)
    refined = result.experiments
    sweeps = ExperimentList([replace(refined[k], crystal=None) for k in range(n)], state.sweeps.extra)
    crystals = [refined[k * n].crystal for k in range(len(state.crystals))]
    rms = result.steps[-1].rms
    table = state.spots.table
    flags = table["flags"] & ~np.uint64(_USES)
    flags[table["id"] >= 0] |= result.reflections["flags"] & np.uint64(_USES)
    table = table.with_columns(flags=flags)
    return _State(sweeps, map_spots(sweeps, table), crystals, float(np.hypot(rms[0], rms[1])))


def _report_cycle(state: _State, result: Refined, d_min: float | None) -> None:
    table = state.spots.table
    for number, crystal in enumerate(state.crystals):
        cell = " ".join(f"{v:.3f}" for v in crystal.unit_cell)
        logger.info("crystal %d (%d reflections%s): %s", number + 1, int(np.sum(table["id"] == number)),
                    "" if d_min is None else f" to {d_min:.2f} Å", cell)
    rms = result.steps[-1].rms
    logger.info("RMSD %.4f mm, %.4f mm, %.4f degrees; %s", rms[0], rms[1], np.degrees(rms[2]), result.reason)


def _finish(state: _State, options: Indexing) -> Indexed:
    """Experiments with identifiers, and the table with the last models' predictions."""
    state = _assign(state, options, options.refinement_protocol.d_min_final)
    experiments, table = _as_experiments(state)
    used = np.unique(table["id"][table["id"] >= 0])
    place = np.full(len(experiments) + 1, -1, dtype=np.int32)
    place[used] = np.arange(len(used))
    kept = ExperimentList([replace(experiments[int(k)], identifier=identifier_of(experiments[int(k)], int(k)))
                           for k in used], experiments.extra)
    table = with_predictions(kept, table.with_columns(id=place[table["id"]]))
    table.identifiers = {k: e.identifier for k, e in enumerate(kept)}
    return Indexed(kept, table)
