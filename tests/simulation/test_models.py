from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment.extent import beam_centre
from xdp.simulation import make_beam, make_crystal, make_detector
from xdp.simulation.models import LYSOZYME_CELL, draw_rotation


def test_crystal_has_its_cell_and_orientation():
    crystal = make_crystal(orientation=4)
    assert crystal.unit_cell == pytest.approx(LYSOZYME_CELL, abs=1e-9)
    np.testing.assert_allclose(crystal.U, draw_rotation(4), atol=1e-12)
    np.testing.assert_allclose(make_crystal(orientation=np.eye(3)).U, np.eye(3), atol=1e-12)


def test_random_rotation_is_a_rotation():
    for seed in range(5):
        matrix = draw_rotation(seed)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1.0)


def test_detector_has_the_gaps_of_its_modules():
    detector = make_detector((981, 407))
    assert detector[0].mask == ((487, 0, 494, 407), (0, 195, 981, 212))
    assert make_detector((981, 407), gaps=False)[0].mask == ()
    panel, xy = beam_centre(detector, make_beam())
    np.testing.assert_allclose(xy / 0.172, [981 / 2 + 3.3, 407 / 2 - 2.6], rtol=1e-12)
    assert panel == 0
