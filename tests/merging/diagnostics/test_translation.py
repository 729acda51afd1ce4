"""The Patterson peak: translations are found, and chance gives none."""

from __future__ import annotations

import numpy as np
import pytest
from merged_data import draw_merged

from xdp.merging.diagnostics.normalise import normalise
from xdp.merging.diagnostics.translation import find_patterson_peak


def find(symbol, cell, seed, **named):
    drawn = draw_merged(symbol, cell, 4.5, np.random.default_rng(seed), **named)
    return find_patterson_peak(drawn.cell, drawn.group, normalise(drawn.unique.hkl, drawn.intensity, drawn.sigma,
                                                                  drawn.d, drawn.unique.epsilon,
                                                                  drawn.unique.is_centric))


@pytest.mark.parametrize("shift", [(0.5, 0.5, 0.5), (0.3, 0.0, 0.5), (0.0, 0.27, 0.41)])
def test_a_translation_is_found(shift):
    peak = find("P 1 2 1", (60, 70, 80, 90, 105, 90), 1, shift=shift)
    assert peak.is_translation
    assert peak.p_value < 1e-6
    # the peak, or its equivalent by 2/m
    equivalents = [np.array(shift) * sign for sign in ((1, 1, 1), (-1, 1, -1), (-1, -1, -1), (1, -1, 1))]
    away = [np.abs((np.array(peak.vector) - e + 0.5) % 1.0 - 0.5).max() for e in equivalents]
    assert min(away) < 0.02


@pytest.mark.parametrize(("symbol", "cell"), [
    ("P 1", (60, 70, 80, 90, 90, 90)), ("C 1 2 1", (120, 60, 80, 90, 105, 90)),
    ("P 43 21 2", (78, 78, 60, 90, 90, 90))])
def test_no_translation_no_alarm(symbol, cell):
    peaks = [find(symbol, cell, seed) for seed in range(12)]
    assert not any(peak.is_translation for peak in peaks)
    # probabilities are spread from 0 to 1: the least of 12 is below 1 / 500 once in 40 times
    assert min(peak.p_value for peak in peaks) > 0.002
    assert max(peak.p_value for peak in peaks) > 0.3


def test_centring_is_no_translation():
    peak = find("I 2 3", (90, 90, 90, 90, 90, 90), 1)
    assert not peak.is_translation
    assert peak.distance > 15.0


def test_small_cells_have_no_place_for_one():
    assert find("P 1", (12, 13, 14, 90, 90, 90), 1) is None
