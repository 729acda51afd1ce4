"""Several data sets: wedges of one structure, indexed in either way, with strangers."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import HEXAGONAL, ORTHORHOMBIC, TETRAGONAL, make_symmetric, make_wedges

from xdp.experiment.experiment import ExperimentList
from xdp.indexing.basis_change import parse_basis_change
from xdp.indexing.lattice.symmetry import find_space_group
from xdp.intensities.lattice import list_proper_rotations
from xdp.reflections.table import ReflectionTable
from xdp.symmetry.data_sets import renumber_experiment
from xdp.symmetry.find import Symmetrized, find_symmetry


def count_wrong(found: Symmetrized, space_group: str, law: str, flips: np.ndarray) -> int:
    """How many of the sets that are used are indexed differently from the first."""
    group = {tuple(np.round(r).astype(int).ravel()) for r in list_proper_rotations(find_space_group(space_group))}
    change = parse_basis_change(law)
    # common axes in terms of the true ones
    true = [c @ np.linalg.inv(change if f else np.eye(3)) for c, f in zip(found.sets.changes, flips, strict=True)
            if c is not None]
    between = [np.round((np.linalg.inv(true[0]) @ t).T).astype(int) for t in true]
    return sum(tuple(m.ravel()) not in group for m in between)


@pytest.mark.parametrize(("space_group", "cell", "strangers"), [
    ("P4", TETRAGONAL, ()), ("P4", TETRAGONAL, (3, 7)), ("P6", HEXAGONAL, (0,))])
def test_wedges_are_indexed_alike_and_strangers_set_aside(space_group, cell, strangers):
    experiments, table, flips = make_wedges(space_group, cell, "k,h,-l", strangers=strangers)
    found = find_symmetry(experiments, table)
    assert sorted(found.sets.excluded) == list(strangers)
    assert count_wrong(found, space_group, "k,h,-l", flips) == 0
    assert found.verdict.is_decided
    assert found.experiments[0].crystal.space_group.number == find_space_group(space_group).number
    assert len(found.experiments) == len(experiments) - len(strangers)
    assert set(np.unique(found.reflections["id"])) == set(range(len(found.experiments)))
    # each set is on the axes of its new model
    for k, experiment in enumerate(found.experiments):
        assert found.reflections.identifiers[k] == experiment.identifier
    models, rows = found.select_excluded(experiments, table) if strangers else (ExperimentList([]), None)
    assert [e.identifier for e in models] == [f"wedge {k}" for k in strangers]
    assert rows is None or len(rows) + len(found.reflections) == len(table)


def test_another_cell_is_set_aside_by_name(caplog):
    same, table, _ = make_wedges("P222", ORTHORHOMBIC, "h,k,l", 3)
    other, wrong = make_symmetric("P422", TETRAGONAL, 20)
    moved = renumber_experiment(wrong, 0, 3)
    found = find_symmetry(ExperimentList([*same, *other]), ReflectionTable.concatenate([table, moved]))
    assert list(found.sets.excluded) == [3]
    assert "reduced cell" in found.sets.excluded[3]
    assert "Set aside: experiment 3 (sweep)" in caplog.text


def test_sets_that_contradict_each_other_are_not_joined():
    one, table = make_symmetric("P222", ORTHORHOMBIC, 90)
    two, other = make_symmetric("P222", ORTHORHOMBIC, 60, seed=2)
    both = ReflectionTable.concatenate([table, renumber_experiment(other, 0, 1)])
    found = find_symmetry(ExperimentList([*one, *two]), both)
    # the larger one stays
    assert list(found.sets.excluded) == [1]
    assert "contradict" in found.sets.excluded[1]
