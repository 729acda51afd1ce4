"""Where indexing stands: the geometry, the spots and the crystals; and the steps that change them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.assign.assign import assign_indices
from xdp.indexing.assign.assign_local import assign_local
from xdp.indexing.options import Indexing
from xdp.indexing.spots import ReciprocalSpots, map_spots
from xdp.refinement.result import Refined
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

FEWEST_SPOTS = 6  # no cell is determined by fewer: they have 18 coordinates, nine of which a crystal takes
_USES = Flag.USED_IN_REFINEMENT | Flag.CENTROID_OUTLIER  # flags that belong to one index and one refinement


@dataclass(frozen=True)
class IndexingState:
    """Where indexing stands.

    Attributes
    ----------
    sweeps : ExperimentList
        The geometry, without crystals.
    spots : ReciprocalSpots
        Mapped with it. The ``id`` of a spot is the number of its crystal.
    crystals : list of Crystal
        Those that were found.
    rms : float
        Of the residuals in positions after refinement, mm.
    lattice_rms : (n_crystals, 3)
        Of the residuals of each crystal: along fast and slow in mm, and in angle in radians.
    """

    sweeps: ExperimentList
    spots: ReciprocalSpots
    crystals: list[Crystal]
    rms: float = np.inf
    lattice_rms: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    def count_spots(self, crystal: int) -> int:
        """How many spots a crystal has."""
        return int(np.sum(self.spots.table["id"] == crystal))


def assign_spots(state: IndexingState, options: Indexing, d_min: float | None) -> IndexingState:
    """Give all spots fresh indices.

    Parameters
    ----------
    state : IndexingState
        With crystals.
    options : Indexing
        The method (``index_assignment``).
    d_min : float or None
        Spots of finer resolution (Å) get none. None: all spots get one.
    """
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
    # what the last refinement says of a spot holds as long as its index stays
    same = (crystal == spots.table["id"]) & np.all(hkl == spots.table["miller_index"], axis=1)
    flags = np.where(same, spots.table["flags"], spots.table["flags"] & ~np.uint64(_USES)) & ~np.uint64(Flag.INDEXED)
    flags = np.where(crystal >= 0, flags | np.uint64(Flag.INDEXED), flags)
    table = spots.table.with_columns(id=crystal.astype(np.int32), miller_index=hkl.astype(np.int32), flags=flags)
    return replace(state, spots=ReciprocalSpots(table))


def make_experiments(state: IndexingState) -> tuple[ExperimentList, ReflectionTable]:
    """Make one experiment for each crystal and sweep (crystals outermost), and the table with ids to match.

    Models that were shared stay shared.
    """
    n = len(state.sweeps)
    experiments = [replace(sweep, crystal=crystal) for crystal in state.crystals for sweep in state.sweeps]
    table = state.spots.table
    ids = np.where(table["id"] >= 0, table["id"] * n + table["imageset_id"], -1).astype(np.int32)
    return ExperimentList(experiments, state.sweeps.extra), table.with_columns(id=ids)


def take_models(state: IndexingState, result: Refined) -> IndexingState:
    """Take the models of a refinement of :func:`make_experiments`: sweeps, crystals, and the spots mapped anew."""
    n = len(state.sweeps)
    refined = result.experiments
    sweeps = ExperimentList([replace(refined[k], crystal=None) for k in range(n)], state.sweeps.extra)
    crystals = [refined[k * n].known.crystal for k in range(len(state.crystals))]
    rms = result.steps[-1].rms
    table = state.spots.table
    flags = table["flags"] & ~np.uint64(_USES)
    flags[table["id"] >= 0] |= result.reflections["flags"] & np.uint64(_USES)
    table = table.with_columns(flags=flags)
    # a crystal has an experiment in each sweep, some of them without spots
    each = np.nan_to_num(result.rmsds).reshape(len(state.crystals), n, 3)
    return IndexingState(sweeps, map_spots(sweeps, table), crystals, float(np.hypot(rms[0], rms[1])), each.max(axis=1))
