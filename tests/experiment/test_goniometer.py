from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdp.errors import FormatError
from xdp.experiment import Goniometer
from xdp.experiment.goniometer import IDENTITY, axis_angle_matrix

KAPPA = {"axes": [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [1.0, 0.0, 0.0]], "angles": [10.0, 20.0, 30.0],
         "names": ["PHI", "KAPPA", "OMEGA"], "scan_axis": 2}


def test_rotations_are_right_handed():
    np.testing.assert_allclose(axis_angle_matrix((0, 0, 5), 90) @ [1, 0, 0], [0, 1, 0], atol=1e-15)


@given(st.floats(-720, 720), st.floats(0.1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_rotations_are_rotations(angle, x, y, z):
    matrix = axis_angle_matrix((x, y, z), angle)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    np.testing.assert_allclose(matrix @ [x, y, z], [x, y, z], atol=1e-14)


def test_single_axis():
    goniometer = Goniometer((0.0, 2.0, 0.0))
    np.testing.assert_array_equal(goniometer.rotation_axis_lab, [0, 1, 0])
    np.testing.assert_allclose(goniometer.rotation(90.0) @ [0, 0, 1], [1, 0, 0], atol=1e-15)
    assert not goniometer.is_multi_axis


def test_setting_and_fixed_rotations_stand_outside_and_inside():
    setting = tuple(axis_angle_matrix((0, 0, 1), 90).ravel())
    fixed = tuple(axis_angle_matrix((1, 0, 0), 90).ravel())
    goniometer = Goniometer((1.0, 0.0, 0.0), fixed, setting)
    np.testing.assert_allclose(goniometer.rotation_axis_lab, [0, 1, 0], atol=1e-15)
    # z -(F)-> -y -(no rotation)-> -y -(S)-> x
    np.testing.assert_allclose(goniometer.rotation(0.0) @ [0, 0, 1], [1, 0, 0], atol=1e-15)


@pytest.mark.parametrize("scan_axis", [0, 1, 2])
def test_multi_axis_is_the_chain_of_its_motors(scan_axis):
    goniometer = Goniometer.multi_axis(KAPPA["axes"], KAPPA["angles"], KAPPA["names"], scan_axis)
    angles = [*KAPPA["angles"]]
    angles[scan_axis] = 77.0
    chain = np.eye(3)
    for axis, angle in zip(KAPPA["axes"], angles, strict=True):
        chain = axis_angle_matrix(axis, angle) @ chain
    np.testing.assert_allclose(goniometer.rotation(77.0), chain, atol=1e-15)


@pytest.mark.parametrize("source", [
    KAPPA,
    KAPPA | {"setting_rotation_at_scan_points": [list(IDENTITY)] * 2},
    {"rotation_axis": [0.0, 0.0, -1.0], "fixed_rotation": list(IDENTITY), "setting_rotation": list(IDENTITY)},
    {"rotation_axis": [0.0, 0.0, -1.0], "fixed_rotation": list(IDENTITY), "setting_rotation": list(IDENTITY), "x": 1},
])
def test_round_trip(source):
    assert Goniometer.from_dict(source).to_dict() == source


@pytest.mark.parametrize(("source", "message"), [
    ({}, "'rotation_axis' is missing"),
    ({"rotation_axis": [0, 0, 0]}, "no length"),
    ({"rotation_axis": [1, 0, 0], "fixed_rotation": [2, 0, 0, 0, 1, 0, 0, 0, 1]}, "rotation matrix"),
    ({"rotation_axis": [1, 0, 0], "setting_rotation": [1, 0, 0]}, "9 finite numbers"),
    (KAPPA | {"scan_axis": 3}, "scan_axis"),
    (KAPPA | {"angles": [1.0]}, "3 finite numbers"),
    (KAPPA | {"names": ["PHI"]}, "a name for each of 3 axes"),
    (KAPPA | {"axes": [[1, 0, 0], [0, 0, 0], [1, 0, 0]]}, "no length"),
    (KAPPA | {"axes": []}, "0 finite numbers|3 axes|0 axes"),
])
def test_bad_goniometers(source, message):
    with pytest.raises(FormatError, match=message):
        Goniometer.from_dict(source)
