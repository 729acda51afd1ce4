"""Sums over windows row by row, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from threshold_twins import picture, window

from xdp.spotfinding.threshold import _kernels_window as kernels

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("half", [0, 1, 3, 6])
def test_neighbouring_columns_are_summed(half):
    values = np.random.default_rng(0).integers(-50, 50, 90).astype(np.int32)
    column, out = np.zeros(90 + 2 * half, np.int32), np.empty(90, np.int32)
    column[half:half + 90] = values
    kernels.sum_columns(column, half, out)
    np.testing.assert_array_equal(out, np.convolve(values, np.ones(2 * half + 1, int), "same"))
    assert kernels.column_sum(column, 5, 2 * half + 1) == column[5:6 + 2 * half].sum()


def test_windows_count_their_valid_pixels():
    _, use = picture()
    valid, out = np.zeros((60, 128), np.uint8), np.empty((60, 128), np.uint8)
    valid[:, :75] = use
    kernels.count_windows(valid, np.array([2, 4]), out)
    expected = [[use[window(j, i, (2, 4), use.shape)].sum() for i in range(75)] for j in range(60)]
    np.testing.assert_array_equal(out[:, :75], expected)


def test_rows_differ_by_any_byte():
    row = np.zeros(64, np.uint8)
    other = row.copy()
    assert not kernels.differ(row.view(np.uint64), other.view(np.uint64))
    other[63] = 1
    assert kernels.differ(row.view(np.uint64), other.view(np.uint64))


def test_rows_come_and_go_and_sums_stay_true():
    rng = np.random.default_rng(3)
    limits = kernels.RawLimits(*np.array([-5, -5, 90, 1000], np.int32))
    square_limit = np.array([-60, 60], np.int32)
    ring, use = np.zeros((3, 70), np.int32), np.zeros((3, 128), np.uint8)
    column, squares = np.zeros(70, np.int32), np.zeros(70, np.int32)
    for k in range(8):
        raw, valid = rng.integers(-8, 120, 70).astype(np.int32), np.zeros(128, np.uint8)
        valid[:70] = rng.random(70) < 0.9
        kernels.add_row(raw, valid, limits, square_limit, ring[k % 3], use[k % 3], column, squares)
        ok = (valid[:70] != 0) & (raw >= -5) & (raw <= 90)
        np.testing.assert_array_equal(ring[k % 3], np.where(ok, raw, 0))
        np.testing.assert_array_equal(use[k % 3, :70], np.where(ok & (raw > 60), 3, ok))
        np.testing.assert_array_equal(column, ring.sum(axis=0))
        np.testing.assert_array_equal(squares, (np.clip(ring, -60, 60)**2).sum(axis=0))
    kernels.remove_row(square_limit, ring[1], use[1], column, squares)
    assert not ring[1].any()
    assert not use[1].any()
    np.testing.assert_array_equal(column, ring.sum(axis=0))
    np.testing.assert_array_equal(squares, (np.clip(ring, -60, 60)**2).sum(axis=0))


def test_kernels_for_seven_columns_do_what_the_general_ones_do():
    """And hits that are certain are so by the formula: m y > x² + x bound."""
    rng = np.random.default_rng(5)
    ring = rng.poisson(3, (7, 106)).astype(np.int32)
    ring[:, :3] = ring[:, 103:] = 0
    ring[3, 20:90:9] += 12
    column, squares = ring.sum(axis=0, dtype=np.int32), (ring**2).sum(axis=0, dtype=np.int32)
    total, square = np.empty(100, np.int32), np.empty(100, np.int32)
    kernels.sum_columns(column, 3, total)
    kernels.sum_columns(squares, 3, square)
    use, count, bound = np.ones(128, np.uint8), np.full(128, 49, np.uint8), np.full(100, 60.0, np.float32)
    hits, hits_7 = np.empty(100, np.uint8), np.empty(100, np.uint8)
    kernels.find_dispersed(use, total, square, count, bound, hits)
    kernels.find_dispersed_7(use, column, squares, count, bound, hits_7)
    np.testing.assert_array_equal(hits, hits_7)
    x = total.astype(float)
    np.testing.assert_array_equal(hits == 2, 49.0 * square > x * x + 60.0 * x)  # none is within the margin here
    assert 10 < (hits == 2).sum() < 100
    factor = np.float32(9.0)
    kernels.keep_outstanding(ring[3, 3:103], total, count, factor, hits)
    kernels.keep_outstanding_7(ring[3, 3:103], column, count, factor, hits_7)
    np.testing.assert_array_equal(hits, hits_7)
    assert set(hits.tolist()) == {0, 1}


def test_squares_are_summed_exactly():
    ring = np.full((3, 9), 2**23, np.int32)
    assert kernels.square_sum(ring, 2, 4) == 12 * 2**46
