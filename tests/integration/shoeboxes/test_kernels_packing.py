"""Numbers in few bytes beside a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.shoeboxes._kernels_packing import shorten
from xdp.integration.shoeboxes.packing import pack_counts, unpack_counts

pytestmark = pytest.mark.kernels


def slow_shorten(values, escape):
    return [int(v) if 0 <= v < escape and v == int(v) else int(escape) for v in values.tolist()]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.uint32, np.uint16])
@pytest.mark.parametrize("short", [np.uint8, np.uint16])
def test_numbers_are_shortened_as_by_the_slow_twin(kind, short):
    escape = np.iinfo(short).max
    values = np.array([0, 1, 7, 253, 254, 255, 256, 300, 65533, 65534, 65535], kind)
    if kind != np.uint16:
        values = np.append(values, np.array([65536, 65537, 1 << 20, 1 << 24], kind))
    if np.dtype(kind).kind == "i":
        values = np.append(values, np.array([-1, -300, -65536, np.iinfo(kind).min], kind))
    if np.dtype(kind).kind == "f":
        values = np.append(values, np.array([-1, -0.5, 0.5, 254.5, 1e30, -1e30], kind))
    out = np.zeros(len(values), short)
    shorten(values, short(escape), out)
    assert out.tolist() == slow_shorten(values, escape)


def test_what_is_no_number_does_not_fit():
    values = np.array([np.nan, np.inf, -np.inf, 3], np.float32)
    out = np.zeros(4, np.uint8)
    shorten(values, np.uint8(255), out)
    assert out.tolist() == [255, 255, 255, 3]
    many = np.append(values, np.zeros(60, np.float32))
    assert np.array_equal(unpack_counts(pack_counts(many, ""), ""), many, equal_nan=True)
