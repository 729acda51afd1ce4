"""Index the spots of one or more sweeps: search, choose, assign, refine, and again for further lattices."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import Experiment, ExperimentList, share_equal_models
from xdp.experiment.image_files import name_sweep, name_sweep_images
from xdp.indexing.close_pairs import split_close_pair, warn_of_close_pairs
from xdp.indexing.command_options import IndexOptions
from xdp.indexing.comparison import check_new_lattice, choose_trial
from xdp.indexing.crystals import NoFurtherLattice, find_crystals, has_spots_left, is_known, make_failure
from xdp.indexing.cycles import correct_offset, refine_cycles
from xdp.indexing.known_orientation import make_known_crystal
from xdp.indexing.options import Indexing
from xdp.indexing.outcome import add_predictions, make_identifier
from xdp.indexing.search.fft3d import use_threads
from xdp.indexing.search.max_cell import estimate_max_cell
from xdp.indexing.slips import warn_of_slips
from xdp.indexing.spots import ReciprocalSpots, join_sweeps, load_spots, select_images
from xdp.indexing.state import IndexingState, assign_spots, make_experiments
from xdp.indexing.stills import treat_as_stills
from xdp.logs import log_subject
from xdp.options.model import Auto
from xdp.options.named import make_options
from xdp.prediction.completion import complete_table
from xdp.prediction.ice_rings import is_off_ice_rings
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import list_unknown_names
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

_MOST_SHOWN = 10  # cells that a report of very many lattices shows
_MANY = 3.0  # times the fraction of spots left over for which another lattice is sought: such a rest is mentioned
# The same, for a rest so large that the cell itself is doubtful: three lattices among 60 % of spurious spots, the worst
# of benchmarks/indexing_stress.py, have 13 % of the spots each.
_NEARLY_ALL = 8.7
_ENOUGH = 10  # spots off ice rings, and a quarter of all: with fewer the longest axis is estimated from all


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

    Spots are mapped to reciprocal space. Their Fourier transform gives candidate lattice vectors, of which the three
    are taken that explain the spots best for the cell's volume. Spots are assigned indices and all models refined, in
    cycles. Spots that are left over are searched for further lattices, if ``max_lattices`` allows.

    Parameters
    ----------
    experiments : ExperimentList
        The sweeps, without regard to crystals that they have. They are indexed as one crystal, or with
        ``joint_indexing=False`` each on its own.
    reflections : ReflectionTable
        The strong spots, their positions in pixels or millimetres; ``imageset_id`` (or ``id``) names the sweep.
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
    for line in [*_list_unused(chosen.indexing), *chosen.refinement.list_unused()]:
        logger.info("%s", line)
    found = run_as_one_task(index_sweeps, share_equal_models(experiments), reflections, chosen.indexing,
                            chosen.refinement, label="lattices", client=client, progress=progress)
    for line in list_unknown_names(found.experiments, chosen.refinement.parameterisation):
        logger.warning("%s", line)
    return found


def _list_unused(options: Indexing) -> list[str]:
    """Say of each parameter that is accepted and not used a line."""
    lines = []
    if options.known_symmetry.A_matrix is not None and options.method != "fft3d":
        lines.append(f"indexing.method={options.method} is not used for the first lattice: "
                     "known_symmetry.A_matrix gives it")
    if isinstance(options.nproc, int) and options.nproc > 1 and options.method != "fft3d":
        lines.append(f"indexing.nproc={options.nproc} is not used: indexing.method={options.method} runs on one thread")
    return lines


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
    experiments, reflections = join_sweeps(experiments, complete_table(experiments, reflections))
    if options.image_range is not None:
        reflections = select_images(experiments, reflections, options.image_range)
    if options.stills.indexer == "stills":
        experiments, reflections = treat_as_stills(experiments, reflections)
    if not options.joint_indexing and len(experiments) > 1:
        return index_separately(experiments, reflections, options, refinement)
    refinement = (refinement or Refinement()).simplify()
    sweeps = experiments
    spots = load_spots(sweeps, reflections)
    max_cell = choose_max_cell(spots, options)
    state = IndexingState(sweeps, spots, [])
    state = _find_all_crystals(state, max_cell, options, refinement)
    _mention_rest(state, options)
    warn_of_slips(state)
    warn_of_close_pairs(state, options)
    return _finish(state, options)


def _find_all_crystals(state: IndexingState, max_cell: float, options: Indexing, refinement: Refinement
                       ) -> IndexingState:
    """The state with as many crystals as there are, or as the options allow."""
    try:
        while len(state.crystals) < options.multiple_lattice_search.max_lattices:
            if state.crystals and not has_spots_left(state, options):
                break
            with use_threads(options.nproc):
                changed, crystals = find_crystals(state, max_cell, options)
            crystals = [c for c in crystals if not is_known(c, state.crystals, options)]
            if not crystals:
                break
            state = split_close_pair(_refine_with(changed, crystals, options, refinement), options, refinement)
    except NoFurtherLattice as reason:
        logger.info("No further lattice: %s", reason)
    return state


def _mention_rest(state: IndexingState, options: Indexing) -> None:
    """Say so where so many spots are left over that there may be another crystal, or another cell."""
    if has_spots_left(state, options, _NEARLY_ALL):
        logger.warning("Only %d of %d spots are indexed: the cell is doubtful. Try another indexing.max_cell or "
                       "indexing.method, a known unit cell, or another spot finding",
                       int(np.count_nonzero(state.spots.table["id"] >= 0)), len(state.spots))
    elif has_spots_left(state, options, _MANY):
        logger.info("Many spots within the resolution of the indexed ones are left over: perhaps of another crystal "
                    "(multiple_lattice_search.max_lattices=%d)", len(state.crystals) + 1)


def _refine_with(state: IndexingState, crystals: Sequence[Crystal], options: Indexing, refinement: Refinement
                 ) -> IndexingState:
    """The state with one more crystal, refined; the indices of the first one are checked for an offset.

    Of several crystals, orientations of one known cell, that one is taken that fits best when refined.
    """
    is_first = not state.crystals
    trials, failures = [], []
    for crystal in crystals:
        try:
            trials.append(refine_cycles(replace(state, crystals=[*state.crystals, crystal]), options, refinement))
        except XdpError as error:
            cell = " ".join(f"{v:.2f}" for v in crystal.unit_cell)
            failures.append((f"no lattice fits: the likeliest cell {cell} of {len(state.spots)} spots cannot be "
                             f"refined ({error}). Try indexing.max_cell=... or a known unit cell "
                             "(indexing.known_symmetry.unit_cell=...)", error))
    if not trials:
        raise make_failure(failures[0][0], is_first) from failures[0][1]
    best = choose_trial(trials, options)
    if is_first:
        return correct_offset(best, options, refinement)
    check_new_lattice(state, best)
    return best


def index_separately(experiments: ExperimentList, reflections: ReflectionTable, options: Indexing,
                     refinement: Refinement | None = None) -> Indexed:
    """Index each sweep on its own; the crystals are different ones. Sweeps that fail are left out, with a warning.

    Parameters
    ----------
    experiments : ExperimentList
        The sweeps.
    reflections : ReflectionTable
        The strong spots of all sweeps.
    options : Indexing
        How lattices are sought and indices assigned.
    refinement : Refinement, optional
        How models are refined between cycles.

    Raises
    ------
    XdpError
        If no sweep can be indexed.
    """
    alone = options.model_copy(update={"joint_indexing": True, "image_range": None})
    sweep = reflections["imageset_id"] if "imageset_id" in reflections else reflections["id"]
    kept: list[Experiment] = []
    tables: list[ReflectionTable] = []
    failures: list[str] = []
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(sweep == number)
        zero = np.zeros(len(rows), dtype=np.int32)
        part = reflections.select(rows).with_columns(imageset_id=zero, id=zero)
        try:
            with log_subject(name_sweep(experiments, number)):
                result = index_sweeps(ExperimentList([experiment]), part, alone, refinement)
        except XdpError as error:
            failures.append(str(error))
            logger.warning("Sweep %d (%s) is not indexed: %s", number, name_sweep_images(experiment), error)
            continue
        table, ids = result.reflections, result.reflections["id"]
        table = table.with_columns(id=np.where(ids >= 0, ids + len(kept), -1).astype(np.int32),
                                   imageset_id=np.full(len(table), number, dtype=np.int32))
        table.identifiers = {}
        tables.append(table)
        kept.extend(replace(e, identifier=make_identifier(e, len(kept) + k)) for k, e in enumerate(result.experiments))
    if not kept:
        raise XdpError(f"indexing: none of the {len(experiments)} sweeps can be indexed on its own; the first: "
                       f"{failures[0]}")
    together = ReflectionTable.concatenate(tables)
    together.identifiers = {k: e.identifier for k, e in enumerate(kept)}
    return Indexed(ExperimentList(kept, experiments.extra), together)


def choose_max_cell(spots: ReciprocalSpots, options: Indexing) -> float:
    """Choose the longest axis to look for, Å: as given, from the known cell, or estimated from the spots.

    Parameters
    ----------
    spots : ReciprocalSpots
        Their nearest neighbours tell the longest axis.
    options : Indexing
        ``max_cell``, ``known_symmetry`` and ``max_cell_estimation``.
    """
    if not isinstance(options.max_cell, Auto):
        return float(options.max_cell)
    settings = options.max_cell_estimation
    if options.known_symmetry.unit_cell is not None:
        return settings.multiplier * max(options.known_symmetry.unit_cell[:3])
    if options.known_symmetry.A_matrix is not None:
        return settings.multiplier * max(make_known_crystal(options.known_symmetry).unit_cell[:3])
    rows = np.arange(len(spots))
    if settings.filter_ice:
        # where most spots are of ice, or of a cell with such spacings, all are taken
        away = np.flatnonzero(is_off_ice_rings(spots.d))
        rows = away if len(away) >= max(_ENOUGH, len(spots) // 4) else rows
    found = estimate_max_cell(spots.points[rows], np.degrees(spots.phi[rows]), settings, block=spots.sweep[rows])
    logger.info("Axes are sought up to %.1f Å (max_cell)", found)
    return found


def _finish(state: IndexingState, options: Indexing) -> Indexed:
    """Experiments with identifiers, and the table with the last models' predictions."""
    state = assign_spots(state, options, options.refinement_protocol.d_min_final)
    experiments, table = make_experiments(state)
    # of several crystals and sweeps only those are written that have spots
    used = np.unique(table["id"][table["id"] >= 0])
    place = np.full(len(experiments) + 1, -1, dtype=np.int32)  # the last one is for id -1
    place[used] = np.arange(len(used))
    kept = ExperimentList([replace(experiments[int(k)], identifier=make_identifier(experiments[int(k)], int(k)))
                           for k in used], experiments.extra)
    table = add_predictions(kept, table.with_columns(id=place[table["id"]]))
    table.identifiers = {k: e.identifier for k, e in enumerate(kept)}
    return Indexed(kept, table)
