"""Tests of thresholds that follow from a run's own misses."""

import numpy as np
import pytest

from xdp.serial.hits import own_misses
from xdp.serial.hits.own_misses import RunThresholds, ShotRings, estimate_photon_gain, learn_thresholds
from xdp.serial.hits.radial import RingPeaks, RingStatistics

N_RINGS = 20


def make_shot(seed, n_peaks, level=1000.0, gain=2.0, pedestal=10.0, n_rings=N_RINGS):
    """Statistics of counted photons, and peaks of one level."""
    random = np.random.default_rng(seed)
    photons = np.linspace(2.0, 9.0, n_rings) * random.uniform(0.8, 1.2)
    statistics = RingStatistics(np.full(n_rings, 300.0), gain * photons + pedestal, gain * np.sqrt(photons + 1.0))
    column = np.zeros(n_peaks)
    return ShotRings(statistics, RingPeaks(*[column] * 8, np.full(n_peaks, level), np.zeros(n_peaks, int)))


def test_gain_is_the_slope_of_the_variance_whatever_pedestal_and_noise():
    shots = [make_shot(k, 0).statistics for k in range(5)]
    assert estimate_photon_gain(shots) == pytest.approx(2.0)
    flat = RingStatistics(np.full(5, 100.0), np.full(5, 3.0), np.full(5, 2.0))
    assert estimate_photon_gain([flat]) == 0.0 == estimate_photon_gain([])
    falling = RingStatistics(np.full(5, 100.0), np.arange(5.0), 9.0 - np.arange(5.0))
    assert estimate_photon_gain([falling]) == 0.0
    unknown = RingStatistics(np.array([0.0, 9.0, 9.0]), np.array([np.nan, 1.0, 2.0]), np.array([np.nan, 1.0, 2**0.5]))
    assert estimate_photon_gain([unknown]) == pytest.approx(1.0)


def test_levels_are_mean_and_spread_of_the_misses():
    shots = [make_shot(k, 0) for k in range(6)]
    found = learn_thresholds(shots, sigma=4.0)
    mean = np.array([s.statistics.mean for s in shots])
    spread = np.array([s.statistics.spread for s in shots])
    allowance = 15.0 / 6.0 * found.gain
    wanted = mean.mean(0) + 4.0 * np.sqrt((spread**2).mean(0) + mean.var(0)) + allowance
    np.testing.assert_allclose(found.level, wanted)
    assert (found.min_peaks, found.n_misses, found.n_sample) == (own_misses.FEWEST_PEAKS, 6, 6)


def test_hits_do_not_raise_the_levels_and_the_misses_say_how_many_peaks_a_hit_has():
    shots = [make_shot(k, 60 if k % 2 else 4) for k in range(40)]
    found = learn_thresholds(shots, sigma=5.0)
    assert found.n_misses == 20
    assert found.min_peaks == 4 + 5 * 2
    assert learn_thresholds(shots, sigma=5.0, min_peaks=3).n_misses == 0
    weak = [make_shot(k, 60 if k % 2 else 4, level=15.0) for k in range(40)]  # below every threshold
    assert learn_thresholds(weak, sigma=5.0).n_misses == 40


def test_misses_with_many_false_peaks_lie_below_the_step():
    shots = [make_shot(k, 200 + k if k % 3 == 0 else 20 + k % 5) for k in range(30)]
    found = learn_thresholds(shots, sigma=5.0)
    assert found.n_misses == 20
    assert 25 < found.min_peaks <= 200


def test_a_run_of_hits_has_no_misses():
    shots = [make_shot(k, 100 + 3 * k) for k in range(12)]
    found = learn_thresholds(shots, sigma=5.0)
    assert found.n_misses == 0
    assert found.min_peaks == own_misses.FEWEST_PEAKS
    assert np.isfinite(found.level).all()


def test_without_shots_each_shot_has_its_own_thresholds():
    found = learn_thresholds([], sigma=5.0)
    shot = make_shot(1, 3)
    np.testing.assert_array_equal(found.compute(shot.statistics), shot.statistics.mean + 5 * shot.statistics.spread)
    assert "own rings" in found.text()


def test_shots_of_another_geometry_are_left_out_and_have_their_own_thresholds():
    shots = [*(make_shot(k, 0) for k in range(5)), make_shot(9, 0, n_rings=7)]
    found = learn_thresholds(shots, sigma=5.0)
    assert found.n_sample == 5
    assert len(found.level) == N_RINGS
    assert len(found.compute(shots[-1].statistics)) == 7


def test_rings_without_pixels_are_no_bound():
    shots = [make_shot(k, 0) for k in range(4)]
    for shot in shots:
        shot.statistics.mean[3] = shot.statistics.spread[3] = np.nan
    assert learn_thresholds(shots, sigma=5.0).level[3] == -np.inf


def test_the_text_says_what_was_chosen():
    text = RunThresholds(5.0, 4.0, np.array([9.0, 12.0]), 8, 1.0, 60, 30).text()
    assert text == ("30 of 60 shots of the sample are misses; 1 counts a photon, by the background's variance. "
                    "Pixels of peaks exceed the mean of their ring by 5 spreads, in the shot and in the misses: "
                    "9 to 12 counts by radius. Hits have at least 8 peaks")
    assert "does not grow" in RunThresholds(5.0, 0.0, np.array([9.0]), 8, 0.0, 6, 3).text()
