"""The background of pixels: what is removed, what that does, and what either test of groups sees."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.laue.background import (
    Grouping,
    Trimming,
    compute_grouped_background,
    compute_trimmed_background,
    count_removed,
)

pytestmark = pytest.mark.kernels

def test_maxgroup_sees_what_kruskal_cannot():
    """Ten angles of two frames: one very bright angle of them."""
    rng = np.random.default_rng(1)
    values = rng.poisson(100, (20, 400)).astype(np.uint16)
    values[4:6] += 5000
    groups = tuple(np.repeat(np.arange(10), 2).tolist())
    kruskal = compute_grouped_background(values, Grouping(groups))["n_rejected"]
    maxgroup = compute_grouped_background(values, Grouping(groups, test="maxgroup"))
    assert np.mean(kruskal > 0) < 0.05
    assert np.all(maxgroup["n_rejected"] >= 1)
    assert np.all(maxgroup["avg"] < 120)


@pytest.mark.parametrize(("n_frames", "percent", "removed"), [(360, 25, 90), (10, 25, 2), (7, 50, 3), (100, 29, 29)])
def test_percentage_is_rounded_down(n_frames, percent, removed):
    assert count_removed(n_frames, percent) == removed


def test_all_values_removed():
    with pytest.raises(XdpError, match="leaves no value"):
        count_removed(10, 100)


@pytest.mark.parametrize("mean", [4, 20, 100, 2000])
def test_correction_undoes_truncation(mean):
    """360 frames, a quarter removed; the bias left is below 0.02 sigma where the reference's is -0.43."""
    values = np.random.default_rng(7).poisson(mean, (360, 20000)).astype(np.uint16)
    result = compute_trimmed_background(values, Trimming(90))
    sigma = np.sqrt(mean)
    assert (result["avg"].mean() - mean) / sigma == pytest.approx(-0.43, abs=0.03)
    assert abs(result["avg_corrected"].mean() - mean) / sigma < 0.02
    assert np.sqrt(np.mean(result["std_corrected"] ** 2)) / sigma == pytest.approx(1, abs=0.02)


def test_correction_with_spots_among_the_removed():
    """30 of 360 frames carry a bright spot: fewer background values were cut than n_removed says."""
    values = np.random.default_rng(8).poisson(100, (360, 20000)).astype(np.uint16)
    values[:30] += 4000
    result = compute_trimmed_background(values, Trimming(90))
    assert abs(result["avg_corrected"].mean() - 100) / 10 < 0.02
    assert result["std_corrected"].mean() / 10 == pytest.approx(1, abs=0.02)
