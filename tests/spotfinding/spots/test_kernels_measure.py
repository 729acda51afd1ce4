"""Sums over labelled pixels against NumPy, spot by spot."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.spotfinding.spots import _kernels_measure as kernels

pytestmark = pytest.mark.kernels

N_SPOTS = 12


@pytest.fixture
def pixels():
    """Labels (-1 for pixels of no spot), frame, panel, slow, fast and value of 300 pixels."""
    rng = np.random.default_rng(3)
    labels = np.concatenate([np.arange(N_SPOTS), rng.integers(-1, N_SPOTS, 300 - N_SPOTS)]).astype(np.int32)
    frame = np.sort(rng.integers(4, 9, 300)).astype(np.int32)
    slow, fast = rng.integers(0, 60, (2, 300)).astype(np.int32)
    return labels, frame, np.full(300, 2, np.int32), slow, fast, rng.integers(1, 500, 300).astype(np.float32)


def measure_boxes(pixels):
    labels, frame, panel, slow, fast, _ = pixels
    box_panel, bbox, first = np.zeros(N_SPOTS, np.int64), np.zeros((N_SPOTS, 6), np.int32), np.full(N_SPOTS, -1)
    kernels.measure_boxes(labels, frame, panel, slow, fast, box_panel, bbox, first)
    return box_panel, bbox, first


def test_boxes_hold_their_pixels_and_no_more(pixels):
    labels, frame, _, slow, fast, _ = pixels
    box_panel, bbox, first = measure_boxes(pixels)
    for k in range(N_SPOTS):
        mine = labels == k
        expected = [end for c in (fast, slow, frame) for end in (c[mine].min(), c[mine].max() + 1)]
        assert bbox[k].tolist() == expected
        assert first[k] == np.flatnonzero(mine)[0]
    assert set(box_panel.tolist()) == {2}


def test_sums_and_moments(pixels):
    labels, frame, _, slow, fast, value = pixels
    _, bbox, _ = measure_boxes(pixels)
    total, square, count = np.zeros(N_SPOTS, np.float32), np.zeros(N_SPOTS, np.float32), np.zeros(N_SPOTS, np.int32)
    kernels.sum_pixels(labels, value, total, square, count)
    mean, moment = np.zeros((2, N_SPOTS, 3))
    kernels.sum_moments(labels, frame, slow, fast, value, bbox, total.astype(float), mean, moment)
    for k in range(N_SPOTS):
        mine = labels == k
        v, at = value[mine].astype(float), np.stack([c[mine] for c in (fast, slow, frame)], axis=1)
        at = at - bbox[k, ::2] + 0.5
        assert (total[k], square[k], count[k]) == (v.sum(), (v**2).sum(), mine.sum())
        np.testing.assert_allclose(mean[k], np.average(at, axis=0, weights=v), rtol=1e-13)
        np.testing.assert_allclose(moment[k], (v[:, None] * (at - mean[k]) ** 2).sum(axis=0), rtol=1e-12)


def test_boxes_are_filled_and_their_first_peak_is_found(pixels):
    labels, frame, _, slow, fast, value = pixels
    _, bbox, _ = measure_boxes(pixels)
    sizes = np.prod(bbox[:, 1::2] - bbox[:, ::2], axis=1)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    data, mask = np.zeros(offsets[-1], np.float32), np.zeros(offsets[-1], np.uint8)
    kernels.fill_boxes(labels, frame, slow, fast, value, bbox, offsets, data, mask)
    peak = np.empty(N_SPOTS, np.int64)
    kernels.peak_offsets(offsets, data, peak)
    for k in range(N_SPOTS):
        x0, x1, y0, y1, z0, z1 = bbox[k]
        expected = np.zeros((z1 - z0, y1 - y0, x1 - x0), np.float32)
        for i in np.flatnonzero(labels == k):  # a pixel drawn twice keeps its last value
            expected[frame[i] - z0, slow[i] - y0, fast[i] - x0] = value[i]
        mine = slice(offsets[k], offsets[k + 1])
        np.testing.assert_array_equal(data[mine], expected.ravel())
        np.testing.assert_array_equal(mask[mine], np.where(expected.ravel() > 0, kernels.VALID_FOREGROUND, 0))
        assert peak[k] == np.argmax(expected)


def test_overloads_leave_the_count_of_signal_pixels(pixels):
    labels, _, panel, _, _, value = pixels
    overloaded, count = np.zeros(N_SPOTS, bool), np.bincount(labels[labels >= 0]).astype(np.int32)
    kernels.mark_overloads(labels, panel, value, np.array([0.0, 0.0, 450.0]), overloaded, count)
    for k in range(N_SPOTS):
        assert overloaded[k] == (value[labels == k] > 450).any()
        assert count[k] == (value[labels == k] <= 450).sum()
