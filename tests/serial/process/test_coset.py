"""The negative control."""

import numpy as np
import pytest

from xdp.experiment import Experiment
from xdp.serial.process.coset import DOUBLED, double_crystal, is_in_coset
from xdp.simulation.models import make_crystal

#: Points of the reciprocal cell that each doubling adds.
ADDED = ((0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("number", range(len(DOUBLED)))
def test_the_doubled_cell_has_the_added_points_and_no_others(number):
    experiment = Experiment(crystal=make_crystal(orientation=3))
    doubled = double_crystal(experiment, number)
    assert np.linalg.det(np.array(DOUBLED[number])) == pytest.approx(2.0) or np.linalg.det(
        np.array(DOUBLED[number])) == pytest.approx(-2.0)
    # of all points of the doubled lattice half are the crystal's own, and half are the added point beside one of these
    index = np.array(np.meshgrid(*[np.arange(-3, 4)] * 3)).reshape(3, -1).T
    own = (doubled.crystal.A @ index.T).T @ experiment.crystal.real_space_matrix.T
    added = np.abs((own - ADDED[number]) - np.rint(own - ADDED[number])).max(axis=1) < 1e-6
    whole = np.abs(own - np.rint(own)).max(axis=1) < 1e-6
    assert np.all(added ^ whole)
    np.testing.assert_array_equal(is_in_coset(index, number), added)
