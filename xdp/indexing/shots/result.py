"""The lattices of a shot as experiments and a table of reflections, as other stages take them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.outcome import make_identifier
from xdp.indexing.shots.positions import predict_on_panels
from xdp.indexing.shots.shot import ShotLattices
from xdp.prediction.centroids import centroids_to_mm
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def make_shot_result(experiment: Experiment, found: ShotLattices) -> tuple[ExperimentList, ReflectionTable]:
    """Make an experiment for each lattice of a shot, and the table of its spots.

    Parameters
    ----------
    experiment : Experiment
        The shot.
    found : ShotLattices
        Its lattices, by :func:`xdp.indexing.shots.shot.find_shot_lattices`.

    Returns
    -------
    experiments : ExperimentList
        One for each lattice, in their order; empty if there is none.
    table : ReflectionTable
        All strong spots: ``id`` is the experiment, -1 where a spot is not indexed. Indexed spots have the flag
        ``indexed``, and their predictions: ``xyzcal.px``, ``xyzcal.mm`` and ``delpsical.rad``.
    """
    experiments = []
    for number, lattice in enumerate(found.lattices):
        one = replace(experiment, crystal=lattice.crystal)
        experiments.append(replace(one, identifier=make_identifier(one, number)))
    table, n = found.table, len(found.table)
    px, delta = np.zeros((n, 3)), np.zeros(n)
    for lattice in found.lattices:
        panel = table["panel"][lattice.rows].astype(np.int64)
        px[lattice.rows, :2], delta[lattice.rows] = predict_on_panels(experiment, lattice.crystal, lattice.miller_index,
                                                                      panel)
    indexed = table["id"] >= 0
    mm, _ = centroids_to_mm(experiment, table["panel"].astype(np.int64), px, np.zeros((n, 3)))
    mm[~indexed] = 0.0
    flags = table["flags"] & ~np.uint64(Flag.INDEXED)
    flags = np.where(indexed, flags | np.uint64(Flag.INDEXED), flags)
    table = table.with_columns(**{"xyzcal.px": px, "xyzcal.mm": mm, "delpsical.rad": delta, "flags": flags,
                                  "entering": np.zeros(n, dtype=bool)})
    table.identifiers = {k: e.identifier for k, e in enumerate(experiments)}
    return ExperimentList(experiments), table
