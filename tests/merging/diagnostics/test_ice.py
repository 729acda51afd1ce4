"""Rings of ice in merged intensities."""

from __future__ import annotations

import numpy as np
import pytest
from merged_data import draw_merged

from xdp.merging.diagnostics.ice import find_ice_rings


@pytest.mark.parametrize("factor", [1.8, 0.4])
def test_a_ring_is_found_whether_it_adds_or_takes(factor):
    unique, intensity, _, d, *_ = draw_merged("P 43 21 2", (78, 78, 60, 90, 90, 90), 1.8, np.random.default_rng(1))
    intensity = intensity * np.where(np.abs(1 / d**2 - 1 / 2.249**2) < 0.002, factor, 1.0)
    assert find_ice_rings(intensity, d, unique.epsilon) == (2.249,)


def test_no_ice_no_alarm():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        unique, intensity, _, d, *_ = draw_merged("P 1 21 1", (50, 60, 70, 90, 100, 90), 2.0, rng)
        assert find_ice_rings(intensity, d, unique.epsilon) == ()
