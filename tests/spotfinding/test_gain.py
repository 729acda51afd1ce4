"""The detector's gain from its background."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.spotfinding.gain import compute_index_of_dispersion, estimate_gain, sum_windows


def test_window_sums_equal_sums_over_slices():
    values = np.random.default_rng(0).integers(0, 100, (9, 7))
    sums = sum_windows(values, (2, 1))
    for y, x in np.ndindex(9, 7):
        assert sums[y, x] == values[max(y - 2, 0):y + 3, max(x - 1, 0):x + 2].sum()


def test_index_of_dispersion_is_variance_over_mean_of_whole_windows():
    image = np.random.default_rng(1).poisson(5.0, (12, 11)).astype(float)
    valid = np.ones(image.shape, bool)
    valid[2, 2] = False
    index = compute_index_of_dispersion(image, valid, (2, 1))
    for y, x in np.ndindex(12, 11):
        window = (slice(y - 2, y + 3), slice(x - 1, x + 2))
        is_whole = 2 <= y < 10 and 1 <= x < 10 and valid[window].all()
        # sums of squares and their difference: a few ulps
        expected = image[window].var(ddof=1) / image[window].mean() if is_whole else 1.0
        assert index[y, x] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gain", [1, 3])
def test_gain_is_found_from_poisson_counts(gain):
    image = gain * np.random.default_rng(2).poisson(20.0, (300, 300))
    estimate = estimate_gain([image], [np.ones(image.shape, bool)])
    assert estimate.gain == pytest.approx(gain, rel=0.02)  # 90000 windows of 441 pixels: the median is good to 1 %
    assert estimate.q1 < estimate.q2 < estimate.q3


def test_masked_images_have_no_gain():
    with pytest.raises(XdpError, match="cannot be estimated"):
        estimate_gain([np.ones((50, 50))], [np.zeros((50, 50), bool)])
