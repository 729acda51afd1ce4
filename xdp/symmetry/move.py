"""Models and reflections of data sets, each by its own change of axes, on common axes with a space group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.basis_change import change_basis
from xdp.indexing.lattice.symmetry import impose_symmetry
from xdp.indexing.reindex import reindex_reflections
from xdp.reflections.table import ReflectionTable
from xdp.symmetry.data_sets import renumber_experiment

if TYPE_CHECKING:
    from xdp.space_groups import AnySpaceGroup


def move_data_sets(experiments: ExperimentList, reflections: ReflectionTable, changes: Sequence[np.ndarray | None],
                   transform: np.ndarray, group: AnySpaceGroup) -> tuple[ExperimentList, ReflectionTable]:
    """Bring data sets to common axes.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals.
    reflections : ReflectionTable
    changes : sequence of (3, 3) or None
        For each experiment axes of the common lattice in terms of its own; None: it is left out.
    transform : (3, 3)
        The axes that are wanted in terms of those of the lattice.
    group : gemmi.SpaceGroup
        What crystals are made to obey.

    Returns
    -------
    ExperimentList, ReflectionTable
        Experiments that are left out are in neither.
    """
    models: list[Experiment] = []
    tables: list[ReflectionTable] = []
    made: dict[tuple[int, bytes], Crystal] = {}
    for k, (experiment, change) in enumerate(zip(experiments, changes, strict=True)):
        if change is None:
            continue
        # axes first go to the lattice, then to those that are wanted
        own = transform @ change
        # one data set needs no copy
        mine = reflections if len(experiments) == 1 and np.all(np.asarray(reflections["id"]) == 0) else (
            reflections.select(np.asarray(reflections["id"]) == k))
        moved, _ = change_basis(ExperimentList([experiment]), mine.select(np.zeros(0, np.int64)), own, group.hall)
        crystal = moved[0].known.crystal
        if (id(experiment.crystal), own.tobytes()) not in made:
            # models that vary over the scan stay as they were refined, on the new axes
            obeying = impose_symmetry(crystal.real_space_matrix, group)
            made[id(experiment.crystal), own.tobytes()] = replace(
                obeying, A_at_scan_points=crystal.A_at_scan_points, extra=crystal.extra)
        tables.append(renumber_experiment(reindex_reflections(mine, own), k, len(models)))
        models.append(replace(experiment, crystal=made[id(experiment.crystal), own.tobytes()]))
    return ExperimentList(models, experiments.extra), join_rows(tables)


def join_rows(tables: list[ReflectionTable]) -> ReflectionTable:
    """Join the rows of data sets; those of one experiment stay in the order that they had.

    Parameters
    ----------
    tables : list of ReflectionTable

    Returns
    -------
    ReflectionTable
    """
    return tables[0] if len(tables) == 1 else ReflectionTable.concatenate(tables)
