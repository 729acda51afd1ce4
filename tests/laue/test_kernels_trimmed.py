"""Statistics without the largest values, against NumPy, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laue_twins import assert_statistics, stacks

from xdp.laue.background import Trimming, compute_trimmed_background

pytestmark = pytest.mark.kernels


@settings(deadline=None, max_examples=200)
@given(stacks(), st.floats(0, 1))
def test_trimmed_statistics_are_numpys(values, share):
    n_removed = int(share * (len(values) - 1))
    result = compute_trimmed_background(values, Trimming(n_removed))
    assert np.array_equal(result["max"], values.max(axis=0))
    assert np.array_equal(result["arg"], values.argmax(axis=0))
    for pixel in range(values.shape[1]):
        kept = np.sort(values[:, pixel])[:len(values) - n_removed]
        assert_statistics(result, pixel, kept)
        if (kept == kept[0]).all():
            assert result["std"][pixel] == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.float32])
def test_other_types_of_counts(dtype):
    values = np.random.default_rng(3).integers(0, 120, (30, 7)).astype(dtype)
    result = compute_trimmed_background(values, Trimming(6))
    assert result["max"].dtype == dtype
    for pixel in range(7):
        assert_statistics(result, pixel, np.sort(values[:, pixel])[:24])


def test_large_numbers_and_negative_ones():
    values = np.array([[-5, 2**31 - 1], [-1, 7], [3, 9], [2**30, 9]], np.int32)
    result = compute_trimmed_background(values, Trimming(1))
    assert_statistics(result, 0, np.array([-5, -1, 3]))
    assert_statistics(result, 1, np.array([7, 9, 9]))
    assert result["arg"].tolist() == [3, 0]


def test_more_pixels_than_are_looked_at_together():
    """Short and long ranges side by side, over the limits of the blocks; the first frame of a maximum counts."""
    rng = np.random.default_rng(9)
    values = rng.poisson(30, (40, 1100)).astype(np.uint16)
    values[rng.random(values.shape) < 0.1] = 5000
    values[:, 60:70] = rng.integers(0, 60000, (40, 10))
    result = compute_trimmed_background(values, Trimming(10))
    assert np.array_equal(result["max"], values.max(axis=0))
    assert np.array_equal(result["arg"], values.argmax(axis=0))
    for pixel in (0, 59, 60, 63, 64, 69, 511, 512, 575, 1087, 1088, 1099):
        assert_statistics(result, pixel, np.sort(values[:, pixel])[:30])
