from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from experiment_examples import random_rotation
from hypothesis import given
from hypothesis import strategies as st

from xdp.errors import FormatError
from xdp.experiment import Crystal
from xdp.experiment.crystal import b_matrix, cell_of

CELL = (40.0, 50.0, 70.0, 80.0, 95.0, 105.0)


def crystal_of(cell, rotation=None) -> Crystal:
    rows = np.linalg.inv(b_matrix(cell)) @ (np.eye(3) if rotation is None else rotation.T)
    return Crystal(*(tuple(row) for row in rows))


def test_a_cubic_crystal():
    crystal = Crystal((10.0, 0, 0), (0, 10.0, 0), (0, 0, 10.0), " P 4 2 3")
    np.testing.assert_allclose(crystal.A, np.eye(3) / 10)
    np.testing.assert_allclose(crystal.U, np.eye(3), atol=1e-15)
    assert crystal.unit_cell == pytest.approx((10, 10, 10, 90, 90, 90))
    assert crystal.space_group.number == 207


@given(st.integers(0, 10_000))
def test_orientation_and_cell_come_apart_again(seed):
    rotation = random_rotation(np.random.default_rng(seed))
    crystal = crystal_of(CELL, rotation)
    np.testing.assert_allclose(crystal.U, rotation, atol=1e-12)
    np.testing.assert_allclose(crystal.unit_cell, CELL, rtol=1e-12)
    np.testing.assert_allclose(crystal.U @ crystal.B, crystal.A, atol=1e-15)


def test_b_is_lower_triangular_with_reciprocal_lengths_in_its_columns():
    b = b_matrix(CELL)
    np.testing.assert_allclose(np.triu(b, 1), 0.0, atol=1e-16)
    # d of (1 0 0) is V / (b c sin alpha)
    a, bb, c = CELL[:3]
    ca, cb, cg = np.cos(np.deg2rad(CELL[3:]))
    volume = a * bb * c * np.sqrt(1 - ca**2 - cb**2 - cg**2 + 2 * ca * cb * cg)
    assert 1 / np.linalg.norm(b[:, 0]) == pytest.approx(volume / (bb * c * np.sin(np.deg2rad(CELL[3]))))


def test_cell_of_rows():
    assert cell_of(np.diag([2.0, 3.0, 4.0])) == pytest.approx((2, 3, 4, 90, 90, 90))


def test_round_trip_keeps_mosaicity_and_covariance():
    source = {"__id__": "crystal", "real_space_a": [40.0, 1.0, 0.0], "real_space_b": [0.0, 50.0, 0.0],
              "real_space_c": [0.0, 0.0, 0.1 + 0.2], "space_group_hall_symbol": " P 2ac 2ab",
              "A_at_scan_points": [(0.1 * np.eye(3)).ravel().tolist()] * 2, "B_covariance": [0.0] * 81,
              "mosaicity": 0.1, "ML_domain_size_ang": None}
    crystal = Crystal.from_dict(source)
    assert crystal.to_dict() == source
    assert set(crystal.extra) == {"B_covariance", "mosaicity", "ML_domain_size_ang"}


@pytest.mark.parametrize(("hall", "number"), [(" P 1", 1), (" P 2yb", 4), (" C 2y", 5), (" P 2ac 2ab", 19),
                                              (" P 4nw 2abw", 96), (' R 3 2"', 155), (" P 61 2 (0 0 -1)", 178)])
def test_hall_symbols(hall, number):
    assert Crystal((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), hall).space_group.number == number


def test_a_symbol_that_is_none():
    with pytest.raises(FormatError, match="Hall symbol"):
        _ = Crystal((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), "nonsense").space_group


GOOD = {"real_space_a": [1, 0, 0], "real_space_b": [0, 1, 0], "real_space_c": [0, 0, 1],
        "space_group_hall_symbol": " P 1"}


@pytest.mark.parametrize(("change", "message"), [
    ({"__id__": "beam"}, "must be 'crystal'"),
    ({"real_space_c": [1, 1, 0]}, "one plane"),
    ({"real_space_c": [0, 0, 0]}, "no length"),
    ({"real_space_a": [float("nan"), 0, 0]}, "3 finite numbers"),
    ({"space_group_hall_symbol": None}, "missing"),
    ({"A_at_scan_points": [[1, 2]]}, "9 finite numbers"),
])
def test_bad_crystals(change, message):
    with pytest.raises(FormatError, match=message):
        Crystal.from_dict(GOOD | change)


@pytest.mark.parametrize(("change", "message"), [
    ({"B_covariance": [0.0] * 79}, "'B_covariance' must be 81 numbers"),
    ({"B_covariance": "x" * 81}, "'B_covariance' must be 81 numbers"),
    ({"B_covariance": [0.0] * 80 + [[1.0]]}, "'B_covariance' must be 81 numbers"),
    ({"A_at_scan_points": [[0.1, 0, 0, 0, 0.1, 0, 0, 0, 0.1], [1.0] * 9]}, "lie in one plane at point 2"),
    ({"A_at_scan_points": [[0.0] * 9]}, "lie in one plane at point 1"),
    ({"real_space_a": [1e90, 0, 0], "real_space_b": [1e90, 0, 1e60]}, "lie in one plane"),
    ({"ML_half_mosaicity_deg": "wide"}, "'ML_half_mosaicity_deg' must be a finite number"),
    ({"mosaicity": [0.1]}, "'mosaicity' must be a finite number"),
    ({"recalculated_unit_cell": [1.0]}, "'recalculated_unit_cell' must be 6 finite numbers"),
])
def test_what_is_kept_aside_is_checked_too(change, message):
    source = {"__id__": "crystal", "real_space_a": [40.0, 0.0, 0.0], "real_space_b": [0.0, 50.0, 0.0],
              "real_space_c": [0.0, 0.0, 60.0], "space_group_hall_symbol": " P 1"}
    Crystal.from_dict(source)
    with pytest.raises(FormatError, match=message):
        Crystal.from_dict(source | change)


def test_a_crystal_read_and_moved_is_written_as_moved():
    """The axes of a crystal that was read from a file are its own, not left over among the unknown keys."""
    source = {"__id__": "crystal", "real_space_a": [10.0, 0, 0], "real_space_b": [0, 11.0, 0],
              "real_space_c": [0, 0, 12.0], "space_group_hall_symbol": " P 1", "ML_half_mosaicity_deg": 0.1}
    moved = replace(Crystal.from_dict(source), real_space_a=(10.5, 0.0, 0.0))
    assert moved.to_dict()["real_space_a"] == [10.5, 0.0, 0.0]
    assert moved.extra == {"ML_half_mosaicity_deg": 0.1}
