"""Sums, centroids, cores and flat boxes beside slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from summation_data import USED, make_random_boxes

from xdp.integration.measure import cut_cores, flatten_frames
from xdp.integration.summation import sum_intensities
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels


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
    boxes = make_random_boxes()
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


def test_cores_hold_the_foreground_and_nothing_smaller_does():
    boxes = make_random_boxes(seed=3)
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
    boxes = make_random_boxes(seed=4)
    flat = flatten_frames(boxes)
    for i in range(len(boxes)):
        data, mask, _ = boxes.box(i)
        assert np.array_equal(flat.box(i)[0][0], data.sum(axis=0))
        valid = np.all(mask & MaskCode.VALID, axis=0)
        assert np.array_equal((flat.box(i)[1][0] & MaskCode.VALID) != 0, valid)
        overlapped = np.any(mask & MaskCode.OVERLAPPED, axis=0)
        assert np.array_equal((flat.box(i)[1][0] & MaskCode.OVERLAPPED) != 0, overlapped)
        assert flat.bbox[i, 4] == (boxes.bbox[i, 4] + boxes.bbox[i, 5]) // 2
