"""Shoeboxes cut out of frames: beside the edges, by blocks, of excluded frames."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from xdp.integration.shoeboxes._kernels_extract import OVERLOAD
from xdp.integration.shoeboxes.extract import Boxes, PackedBoxes, assemble, extract, make_shoeboxes
from xdp.integration.shoeboxes.frames import PanelFrame

pytestmark = pytest.mark.kernels


FAST, SLOW, FRAMES = 30, 20, 8


class Stack:
    """Frames in memory, two panels, some pixels masked, one frame excluded."""

    def __init__(self, seed=0, excluded=()):
        generator = np.random.default_rng(seed)
        self.counts = generator.integers(-2, 40, (FRAMES, 2, SLOW, FAST), dtype=np.int32)
        self.valid = generator.random((2, SLOW, FAST)) > 0.1
        self.excluded = excluded
        self.n_read = np.zeros(FRAMES, int)

    def read(self, z):
        self.n_read[z] += 1
        if z in self.excluded:
            return None
        return [PanelFrame(self.counts[z, p], self.valid[p], 0.0, 30.0) for p in range(2)]


def some_boxes(n=40, seed=1):
    """Boxes (n, 6) on two panels, some of which reach beyond the edges."""
    generator = np.random.default_rng(seed)
    low = np.column_stack([generator.integers(-4, FAST, n), generator.integers(-4, SLOW, n),
                           generator.integers(0, FRAMES, n)])
    size = generator.integers(1, 7, (n, 3))
    bbox = np.stack([low, low + size], axis=2).reshape(n, 6).astype(np.int32)
    bbox[:, 5] = np.minimum(bbox[:, 5], FRAMES)
    return generator.integers(0, 2, n).astype(np.uint64), bbox


def slow_box(stack, panel, bbox):
    """Counts and mask of one box, pixel by pixel."""
    x0, x1, y0, y1, z0, z1 = bbox.tolist()
    data, mask = np.zeros((z1 - z0, y1 - y0, x1 - x0)), np.zeros((z1 - z0, y1 - y0, x1 - x0), np.uint8)
    for z, y, x in np.ndindex(data.shape):
        if z + z0 in stack.excluded or not (0 <= y + y0 < SLOW and 0 <= x + x0 < FAST):
            continue
        value = stack.counts[z + z0, panel, y + y0, x + x0]
        data[z, y, x] = value
        if stack.valid[panel, y + y0, x + x0]:
            mask[z, y, x] = OVERLOAD if value > 30 else value >= 0
    return data.ravel(), mask.ravel()


@pytest.mark.parametrize("excluded", [(), (3,)])
def test_boxes_are_those_of_the_slow_twin(excluded):
    stack, (panel, bbox) = Stack(excluded=excluded), some_boxes()
    boxes = extract(stack, np.arange(len(bbox)), panel, bbox, 0, FRAMES)
    assert boxes.data.dtype == np.float32
    for i in range(len(bbox)):
        part = slice(boxes.offsets[i], boxes.offsets[i + 1])
        data, mask = slow_box(stack, int(panel[i]), bbox[i])
        assert np.array_equal(boxes.data[part], data)
        assert np.array_equal(boxes.mask[part], mask)
    assert stack.n_read.tolist() == [1] * FRAMES


def test_parts_of_any_blocks_make_the_same_boxes():
    stack, (panel, bbox) = Stack(), some_boxes()
    rows = np.arange(len(bbox))
    whole = extract(stack, rows, panel, bbox, 0, FRAMES)
    for edges in ((0, 8), (0, 3, 8), (0, 1, 2, 3, 4, 5, 6, 7, 8)):
        parts = []
        for first, last in itertools.pairwise(edges):
            here = rows[(bbox[:, 4] < last) & (bbox[:, 5] > first)]
            parts.append(extract(stack, here, panel, bbox, first, last))
        joined = assemble(rows, bbox, parts)
        assert np.array_equal(joined.data, whole.data)
        assert np.array_equal(joined.mask, whole.mask)
        odd = assemble(rows[1::2], bbox, parts)
        assert np.array_equal(make_shoeboxes(odd, panel).box(3)[0], make_shoeboxes(whole, panel).box(7)[0])


def test_boxes_survive_as_arrays():
    stack, (panel, bbox) = Stack(), some_boxes()
    boxes = extract(stack, np.arange(len(bbox)), panel, bbox, 0, FRAMES)
    packed = PackedBoxes(boxes.arrays("some."), "some.")
    for first, last in ((0, len(bbox) - 1), (7, 7), (3, 20), (30, 100), (100, 200)):
        again = packed.between(first, last)
        wanted = extract(stack, np.arange(first, min(last + 1, len(bbox))), panel, bbox, 0, FRAMES)
        for name in Boxes.__dataclass_fields__:
            assert np.array_equal(getattr(again, name), getattr(wanted, name))
            assert getattr(again, name).dtype == getattr(wanted, name).dtype


def test_split_boxes_are_those_of_their_groups():
    stack, (panel, bbox) = Stack(), some_boxes()
    group = np.random.default_rng(4).integers(0, 5, len(bbox)) * 2
    rows = np.argsort(group, kind="stable")
    parts = dict(extract(stack, rows, panel, bbox, 2, FRAMES).split(group[rows]))
    assert sorted(parts) == sorted(set(group.tolist()))
    for number, part in parts.items():
        alone = extract(stack, np.flatnonzero(group == number), panel, bbox, 2, FRAMES)
        assert all(np.array_equal(getattr(part, name), getattr(alone, name)) for name in Boxes.__dataclass_fields__)
    nothing = extract(stack, rows[:0], panel, bbox, 2, FRAMES)
    assert not list(nothing.split(group[:0]))


def test_frames_are_shown_to_the_collector_unless_excluded():
    seen = []
    panel, bbox = some_boxes()
    extract(Stack(excluded=(2,)), np.arange(len(bbox)), panel, bbox, 1, 5,
            lambda z, images: seen.append((z, len(images))))
    assert seen == [(1, 2), (3, 2), (4, 2)]
