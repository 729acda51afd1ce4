"""The kernels against slow twins built with struct."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from xdp.reflections import Shoeboxes
from xdp.reflections._kernels import scan_shoeboxes

pytestmark = pytest.mark.kernels


def packed_slowly(boxes: Shoeboxes, version: int = 1) -> bytes:
    """The twin: one box after the other, by struct."""
    out = []
    for i in range(len(boxes)):
        first, last = boxes.offsets[i : i + 2]
        out.append(struct.pack("<I6iB", boxes.panel[i], *boxes.bbox[i], version if last > first else 0))
        out.append(boxes.data[first:last].tobytes())
        out.append(boxes.mask[first:last].astype("<i4" if version == 1 else "u1").tobytes())
        out.append(boxes.background[first:last].tobytes())
    return b"".join(out)


def test_pack_equals_its_twin(make_shoeboxes):
    boxes = make_shoeboxes(40, seed=1)
    assert boxes.to_bytes().tobytes() == packed_slowly(boxes)


def test_unpack_reads_both_versions(make_shoeboxes):
    boxes = make_shoeboxes(40, seed=2)
    for version in (1, 2):
        raw = np.frombuffer(packed_slowly(boxes, version), np.uint8)
        assert Shoeboxes.from_bytes(raw, 40) == boxes


def test_scan_names_the_first_damaged_box(make_shoeboxes):
    boxes = make_shoeboxes(3, seed=3, empty_every=10)
    raw = boxes.to_bytes()[:-1]
    assert scan_shoeboxes(raw, np.empty((3, 29), np.uint8), np.zeros(4, np.int64)) == -3


def test_scan_does_not_believe_a_huge_volume():
    head = struct.pack("<I6iB", 0, -(2**31), 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 2**31 - 1, 1)
    raw = np.frombuffer(head + bytes(100), np.uint8)
    assert scan_shoeboxes(raw, np.empty((1, 29), np.uint8), np.zeros(2, np.int64)) == -1
