"""Sums, centroids and counts of pixels, beside slow twins and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration._kernels_sum import OVERLOAD
from xdp.integration.measure import cut_cores, flatten_frames
from xdp.integration.shoeboxes.extract import compute_box_offsets
from xdp.integration.summation import sum_intensities
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels

GOOD_FG, GOOD_BG = int(MaskCode.VALID | MaskCode.FOREGROUND), int(MaskCode.VALID | MaskCode.BACKGROUND)
USED = GOOD_BG | int(MaskCode.BACKGROUND_USED)


def random_boxes(n=30, seed=0):
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 50, (n, 3))
    bbox = np.stack([low, low + generator.integers(2, 7, (n, 3))], axis=2).reshape(n, 6).astype(np.int32)
    offsets = compute_box_offsets(bbox)
    codes = np.array([GOOD_FG, GOOD_FG, GOOD_FG, GOOD_BG, USED, int(MaskCode.FOREGROUND), int(MaskCode.BACKGROUND),
                      GOOD_FG | int(MaskCode.OVERLAPPED), 0], np.uint8)
    rare = np.where(np.repeat(generator.random(n) < 0.5, np.diff(offsets)), 5, 9)
    mask = codes[generator.integers(0, 9, offsets[-1]) % rare]
    return Shoeboxes(np.zeros(n), bbox, offsets, generator.poisson(20, offsets[-1]), mask,
                     generator.uniform(1, 15, offsets[-1]))


def slow_sum(boxes, i):
    """What DIALS' formulas give for one box."""
    data, mask, background = (a.astype(np.float64) for a in boxes.box(i))
    mask = mask.astype(int)
    is_fg = (mask & MaskCode.FOREGROUND) != 0
    use = is_fg & ((mask & MaskCode.VALID) != 0) & ((mask & MaskCode.OVERLAPPED) == 0)
    n_used = np.count_nonzero(~is_fg & ((mask & USED) == USED))
    total, beneath = data[use].sum(), background[use].sum()
    ratio = np.count_nonzero(use) / n_used if n_used else 0.0
    variance = abs(total - beneath) + abs(beneath) * (1 + ratio)
    weight = np.where(use & (data > background), data - background, 0.0)
    grid = np.stack(np.meshgrid(*(np.arange(k) + 0.5 for k in weight.shape), indexing="ij")[::-1], axis=-1)
    whole = weight.sum()
    mean = (grid * weight[..., None]).sum(axis=(0, 1, 2)) / whole
    spread = ((grid - mean) ** 2 * weight[..., None]).sum(axis=(0, 1, 2)) / (whole**2 - (weight**2).sum())
    return total - beneath, variance, mean + boxes.bbox[i, ::2], spread + 1 / 12, np.array_equal(use, is_fg)


def test_sums_and_centroids_are_those_of_the_slow_twin():
    boxes = random_boxes()
    found = sum_intensities(boxes)
    for i in range(len(boxes)):
        value, variance, centre, spread, is_whole = slow_sum(boxes, i)
        # sums of some hundred products in another order
        assert found.columns["intensity.sum.value"][i] == pytest.approx(value, rel=1e-9, abs=1e-9)
        assert found.columns["intensity.sum.variance"][i] == pytest.approx(variance, rel=1e-9)
        assert found.columns["xyzobs.px.value"][i] == pytest.approx(centre, rel=1e-9)
        assert found.columns["xyzobs.px.variance"][i] == pytest.approx(spread, rel=1e-6)
        assert bool(found.flags[i] & np.uint64(Flag.INTEGRATED_SUM)) == is_whole
        assert bool(found.flags[i] & np.uint64(Flag.FAILED_DURING_SUMMATION)) != is_whole


def tiny(mask, data, background):
    """One box of one frame, 1 x n pixels."""
    bbox = [[10, 10 + len(mask), 4, 5, 2, 3]]
    return Shoeboxes([0], bbox, [0, len(mask)], data, mask, background)


def test_a_box_by_hand():
    found = sum_intensities(tiny([GOOD_FG, GOOD_FG, USED, USED, GOOD_BG], [10, 4, 2, 2, 9], [2, 2, 2, 2, 2]))
    c = found.columns
    assert c["intensity.sum.value"].tolist() == [10.0]
    assert c["background.sum.value"].tolist() == [4.0]
    assert c["intensity.sum.variance"].tolist() == [10 + 4 * (1 + 2 / 2)]
    assert [c[f"num_pixels.{n}"][0] for n in ("valid", "background", "background_used", "foreground")] == [5, 3, 2, 2]
    assert c["xyzobs.px.value"][0] == pytest.approx([10.5 * 0.8 + 11.5 * 0.2, 4.5, 2.5])
    assert found.valid_fraction.tolist() == [1.0]


def test_flags_tell_of_bad_pixels_and_overloads():
    fg, bg = int(MaskCode.FOREGROUND), int(MaskCode.BACKGROUND)
    found = sum_intensities(tiny([fg | OVERLOAD, GOOD_FG, USED, bg], [99, 4, 2, 0], [1, 1, 1, 1]))
    expected = (Flag.FAILED_DURING_SUMMATION | Flag.OVERLOADED | Flag.FOREGROUND_INCLUDES_BAD_PIXELS
                | Flag.BACKGROUND_INCLUDES_BAD_PIXELS)
    assert Flag(int(found.flags[0])) == expected
    assert found.valid_fraction.tolist() == [0.5]


def test_a_box_without_signal_has_its_middle_as_centroid():
    found = sum_intensities(tiny([GOOD_FG, USED], [0, 1], [1, 1]))
    assert found.columns["xyzobs.px.value"].tolist() == [[11.0, 4.5, 2.5]]
    assert found.columns["xyzobs.px.variance"].tolist() == [[0.0, 0.0, 0.0]]


def test_a_fully_masked_box_is_flagged():
    found = sum_intensities(tiny([int(MaskCode.FOREGROUND)] * 3, [5, 5, 5], [0, 0, 0]))
    assert Flag(int(found.flags[0])) & Flag.FAILED_DURING_SUMMATION
    assert found.valid_fraction.tolist() == [0.0]


def test_cores_hold_the_foreground_and_nothing_smaller_does():
    boxes = random_boxes(seed=3)
    mask = boxes.mask.copy()
    wanted = MaskCode.FOREGROUND
    for i in range(len(boxes)):  # foreground in the inner part of some boxes only
        part = mask[boxes.offsets[i]:boxes.offsets[i + 1]].reshape(boxes.box(i)[1].shape)
        part[:, 0, :] &= ~np.uint8(wanted)
        part[:, :, -1] &= ~np.uint8(wanted)
    boxes = Shoeboxes(boxes.panel, boxes.bbox, boxes.offsets, boxes.data, mask, boxes.background)
    small = cut_cores(boxes)
    for i in range(len(boxes)):
        data, flags, background = boxes.box(i)
        inside = np.any(flags & wanted, axis=0)
        if not inside.any():
            assert small.offsets[i] == small.offsets[i + 1]
            continue
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        cut = np.s_[:, rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        for found, expected in zip(small.box(i), (data, flags, background), strict=True):
            assert np.array_equal(found, expected[cut])
        assert small.bbox[i].tolist() == [*(boxes.bbox[i, 0] + columns[[0, -1]] + [0, 1]).tolist(),
                                          *(boxes.bbox[i, 2] + rows[[0, -1]] + [0, 1]).tolist(), *boxes.bbox[i, 4:]]
    assert small.n_pixels < boxes.n_pixels


def test_flat_boxes_sum_their_frames():
    boxes = random_boxes(seed=4)
    flat = flatten_frames(boxes)
    for i in range(len(boxes)):
        data, mask, _ = boxes.box(i)
        assert np.array_equal(flat.box(i)[0][0], data.sum(axis=0))
        valid = np.all(mask & MaskCode.VALID, axis=0)
        assert np.array_equal((flat.box(i)[1][0] & MaskCode.VALID) != 0, valid)
        overlapped = np.any(mask & MaskCode.OVERLAPPED, axis=0)
        assert np.array_equal((flat.box(i)[1][0] & MaskCode.OVERLAPPED) != 0, overlapped)
        assert flat.bbox[i, 4] == (boxes.bbox[i, 4] + boxes.bbox[i, 5]) // 2


def test_a_box_without_foreground_has_failed():
    boxes = Shoeboxes(np.zeros(1), np.array([[0, 3, 0, 3, 0, 1]]), np.array([0, 9]), np.full(9, 5.0),
                      np.full(9, USED, np.uint8), np.full(9, 5.0))
    found = sum_intensities(boxes)
    assert found.flags.tolist() == [int(Flag.FAILED_DURING_SUMMATION)]
    assert found.valid_fraction.tolist() == [0.0]
