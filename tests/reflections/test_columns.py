from __future__ import annotations

import numpy as np
import pytest

from xdp.reflections.columns import COLUMN_TYPES, as_column, type_name


@pytest.mark.parametrize("kind", COLUMN_TYPES.values(), ids=list(COLUMN_TYPES))
def test_each_type_is_recognised_by_its_array(kind):
    column = np.zeros(kind.shape(5), kind.dtype)
    assert type_name("x", column) == kind.name
    assert column.nbytes == 5 * kind.row_bytes


@pytest.mark.parametrize(("values", "expected"), [
    ([1, 2], "int"),
    (np.array([1, 2], np.uint8), "std::size_t"),
    (np.array([1, 2], np.float32), "double"),
    (np.zeros((2, 3), np.int16), "cctbx::miller::index<>"),
    (np.zeros((2, 3, 3)), "mat3<double>"),
    (["a", "b"], "std::string"),
    (np.array(["a", "b"]), "std::string"),
])
def test_other_arrays_are_widened_to_the_nearest_type(values, expected):
    assert type_name("x", as_column("x", values)) == expected


@pytest.mark.parametrize("values", [np.zeros((2, 4)), np.zeros((2, 2, 2)), np.zeros(2, complex), np.float64(1), [None]])
def test_arrays_without_a_type_are_refused(values):
    with pytest.raises(ValueError, match="no column type"):
        as_column("x", values)


def test_whole_numbers_beyond_32_bits_are_refused():
    assert as_column("x", [2**31 - 1, -(2**31)]).dtype == np.int32
    with pytest.raises(ValueError, match="beyond 32 bits"):
        as_column("x", [2**31])
