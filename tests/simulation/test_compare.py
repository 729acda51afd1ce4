from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.prediction.rays import make_rotation_matrices
from xdp.reflections import ReflectionTable
from xdp.simulation import make_crystal
from xdp.simulation.compare import compute_misorientation, match_truth


def test_spots_find_the_reflection_on_their_panel():
    truth = ReflectionTable({"xyzcal.px": [[10.0, 10, 1], [10, 10, 1], [50, 10, 1]],
                             "panel": np.array([0, 1, 1], "u8")})
    spots = ReflectionTable({"xyzobs.px.value": [[10.5, 10, 1.2], [50.0, 10, 4], [49.0, 10, 1]],
                             "panel": np.array([1, 1, 1], "u8")})
    assert match_truth(truth, spots).tolist() == [1, -1, 2]
    assert match_truth(truth.select([]), spots).tolist() == [-1, -1, -1]


def test_misorientation_is_the_angle_turned():
    crystal = make_crystal(orientation=2)
    turned = make_crystal(orientation=make_rotation_matrices((1, 2, 3), np.deg2rad(0.7)) @ crystal.U)
    assert compute_misorientation(turned, crystal) == pytest.approx(0.7, abs=1e-9)
    assert compute_misorientation(crystal, crystal) == pytest.approx(0.0, abs=1e-9)


def test_equivalent_indexings_are_the_same_orientation():
    crystal = make_crystal(orientation=2)
    a, b, c = crystal.real_space_a, crystal.real_space_b, crystal.real_space_c
    other = dataclasses.replace(crystal, real_space_a=b, real_space_b=tuple(-v for v in a), real_space_c=c)
    assert compute_misorientation(other, crystal) == pytest.approx(0.0, abs=1e-6)
