"""Crystals on different axes of one lattice."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import make_symmetric

from xdp.experiment.crystal import cell_of
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.simulation.models import make_crystal
from xdp.symmetry.common_axes import find_common_axes


def make_models(*crystals) -> ExperimentList:
    return ExperimentList([Experiment(identifier=str(k), crystal=c) for k, c in enumerate(crystals)])


def test_axes_in_another_order_become_the_same():
    one, two = make_crystal((40, 50, 60, 90, 90, 90), " P 1"), make_crystal((60, 40.2, 50.1, 90, 90, 90), " P 1")
    found = find_common_axes(make_models(one, two), 0.05, 2.0)
    cells = [cell_of(change @ e.real_space_matrix) for change, e in zip(found.transforms, (one, two), strict=True)]
    np.testing.assert_allclose(cells[0], cells[1], rtol=0.01)


def test_a_centred_crystal_and_its_primitive_cell_are_one_lattice():
    centred = make_crystal((80, 50, 60, 90, 100, 90), " C 2y")
    half = np.array([[0.5, 0.5, 0.0], [-0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    primitive = make_crystal(cell_of(half @ centred.real_space_matrix), " P 1")
    found = find_common_axes(make_models(centred, primitive), 0.05, 2.0)
    assert all(change is not None for change in found.transforms)


@pytest.mark.parametrize("n", [3, 6])
def test_another_cell_is_set_aside(n):
    crystals = [make_crystal((40, 50, 60, 90, 90, 90), " P 1", orientation=k) for k in range(n)]
    found = find_common_axes(make_models(make_crystal((44, 50, 60, 90, 90, 90), " P 1"), *crystals), 0.05, 2.0)
    assert found.transforms[0] is None
    assert all(change is not None for change in found.transforms[1:])


def test_a_crystal_that_is_given_alone_stays():
    experiments, _ = make_symmetric("P4", (45.0, 45.0, 62.0, 90.0, 90.0, 90.0))
    assert find_common_axes(experiments, 0.05, 2.0).first == 0
