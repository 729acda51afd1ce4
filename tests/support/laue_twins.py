"""What tests of Laue kernels share: random stacks of counts, statistics by NumPy, masks as bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xdp.laue._kernels_masks import threshold_bits
from xdp.laue.masks import count_words

# Few distinct values make ties, 65535 is saturation, and wide ranges leave the counting of values for sorting.
TIED = st.sampled_from([0, 1, 2, 3, 100, 101, 65535])
VALUES = st.one_of(TIED, st.integers(0, 20), st.integers(0, 65535))


def stacks(min_frames: int = 2, max_frames: int = 24, elements=VALUES, dtype=np.uint16):
    """Counts (frame, pixel) for property tests."""
    shape = st.tuples(st.integers(min_frames, max_frames), st.integers(1, 5))
    return shape.flatmap(lambda s: hnp.arrays(dtype, s, elements=elements))


def slow_statistics(kept: np.ndarray) -> tuple[float, float, float]:
    """Mean, standard deviation and interquartile range."""
    kept = np.sort(kept.astype(np.float64))
    high, low = np.percentile(kept, [75, 25])
    return kept.mean(), kept.std(), high - low


def assert_statistics(result: dict, pixel: int, kept: np.ndarray) -> None:
    """Compare the maps of a pixel with the values that were kept of it."""
    avg, std, iqr = slow_statistics(kept)
    # sums of whole numbers are exact in both; the standard deviation differs by rounding of the deviations, whose
    # error is of the order of the machine's precision times the largest value
    assert result["avg"][pixel] == pytest.approx(avg, rel=1e-14)
    assert result["std"][pixel] == pytest.approx(std, rel=1e-9, abs=1e-9)
    assert result["iqr"][pixel] == pytest.approx(iqr, rel=1e-14, abs=1e-12)


def to_bits(mask: np.ndarray) -> np.ndarray:
    """A mask (row, column) as bits."""
    bits = np.empty((1, mask.shape[0], count_words(mask.shape[1])), np.uint64)
    threshold_bits(mask[None].astype(np.uint8), np.ones(mask.shape, np.int32), bits)
    return bits[0]


# Widths on both sides of a word of 64 pixels
IMAGES = st.tuples(st.integers(1, 12), st.sampled_from([1, 5, 63, 64, 65, 130])).flatmap(
    lambda shape: hnp.arrays(np.bool_, shape, elements=st.booleans()))
RANDOM = st.tuples(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 140), st.floats(0.02, 0.98)).map(
    lambda v: np.random.default_rng(v[0]).random((v[1], v[2])) < v[3])
