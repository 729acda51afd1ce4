"""Slopes of intensities with the dose come back, and intensities at dose 0 with honest sigmas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scaling_data import make_table

import xdp
from xdp.experiment.experiment import ExperimentList
from xdp.scaling.observations import gather_observations
from xdp.scaling.options import ScaleOptions
from xdp.scaling.scale import MERGED_ERROR
from xdp.scaling.zero_dose import add_damage_variance, count_dose, find_undamaged, fit_damage

FACTORS = {"n_frames": 180, "d_min": 2.8, "counts": 400.0, "jitter": 0.01, "instrument": 0.01, "decay": 4.0}
SPREAD = 0.2  # of the slopes, relative to the geometric mean of the intensity and of its average


@pytest.fixture(scope="module")
def damaged():
    """A table whose intensities drift, its truth, and the true slopes of its rows."""
    experiments, table, truth = make_table(**FACTORS)
    seen, _ = gather_observations(experiments, table, ScaleOptions())
    slope = np.zeros(len(table))
    draw = np.random.default_rng(3).normal(size=len(seen.unique))[seen.unique.group]
    true = truth.intensity[seen.row]
    slope[seen.row] = SPREAD * draw * np.sqrt(true * true.mean())
    dose = np.zeros(len(table))
    dose[seen.row] = count_dose(experiments, table, seen)
    added = slope * dose * truth.scale / 0.5  # lp is 0.5
    drifting = table.with_columns(**{"intensity.sum.value": table["intensity.sum.value"] + added})
    return experiments, drifting, truth, slope


@pytest.fixture(scope="module")
def scaled(damaged):
    return xdp.scale(damaged[0], damaged[1], {"zero_dose": True})


def compare_means(found, truth):
    """Errors of the means of mates, their sigmas, and the true intensities, on one scale by shell."""
    result, seen = found.reflections, found.seen
    g, first = found.fit.scale, seen.start_apart[:-1]
    w = np.where(found.fit.use, g * g / found.fit.variance, 0.0)
    total = np.maximum(np.add.reduceat(w, first), 1e-300)
    mean = np.add.reduceat(w * result["intensity.scale.value"][seen.row] / g, first) / total
    variance = 1.0 / total + result[MERGED_ERROR][seen.row[first]] * mean**2
    true = truth.intensity[seen.row[first]].copy()
    for shell in np.array_split(np.argsort(seen.d[first]), 10):
        true[shell] *= np.sum(mean[shell] * true[shell]) / np.sum(true[shell] ** 2)
    kept = total > 1e-200
    return (mean - true)[kept], np.sqrt(variance)[kept], true[kept]


def test_intensities_are_those_before_the_damage(damaged, scaled):
    error, _, true = compare_means(scaled, damaged[2])
    left = np.abs(error).sum() / true.sum()
    error, _, true = compare_means(xdp.scale(damaged[0], damaged[1]), damaged[2])
    assert left < 0.75 * np.abs(error).sum() / true.sum()


def test_sigmas_account_for_the_slopes(damaged, scaled):
    error, sigma, _ = compare_means(scaled, damaged[2])
    width = np.subtract(*np.quantile(error / sigma, [0.75, 0.25])) / 1.349
    assert width == pytest.approx(1.0, abs=0.1)
    # 1 % was put in; without slopes in the model they would all be taken for it
    assert scaled.fit.error_model.b[0] < 0.02


def test_slopes_have_the_spread_that_was_drawn(damaged):
    experiments, table, truth, _ = damaged
    seen, _ = gather_observations(experiments, table, ScaleOptions())
    g, expected = truth.scale[seen.row], (truth.intensity * truth.scale)[seen.row]
    variance = seen.background_variance + seen.counting * expected + np.square(0.01 * expected)
    dose = count_dose(experiments, table, seen)
    found = fit_damage(seen, g, 1.0 / variance, expected, dose)
    average = found.spread.sum()
    assert np.sqrt(average) == pytest.approx(SPREAD, rel=0.15)
    true = np.zeros(len(seen.unique))
    true[seen.unique.group] = damaged[3][seen.row]
    pull = (found.slope - true) / np.sqrt(found.variance)
    assert pull.std() == pytest.approx(1.0, abs=0.1)
    # nothing is taken off at dose 0, and the slope times the dose elsewhere
    removed = (seen.intensity - found.remove(seen, g)) / g
    np.testing.assert_allclose(removed, found.slope[seen.unique.group] * dose)


def test_without_damage_hardly_anything_changes(caplog):
    experiments, table, _ = make_table(**FACTORS)
    caplog.set_level("INFO", "xdp.scaling.scale")
    plain, zero = xdp.scale(experiments, table), xdp.scale(experiments, table, {"zero_dose": True})
    assert np.sqrt(zero.fit.damage.spread.sum()) < 0.03
    # said once: of the scaling that asked for it
    assert caplog.text.count("Specific damage: reflections of mean intensity change by") == 1
    assert zero.fit.error_model.b[0] == pytest.approx(plain.fit.error_model.b[0], abs=0.003)


def test_few_reflections_have_no_slopes(damaged):
    experiments, table, *_ = damaged
    seen, _ = gather_observations(experiments, table.select(np.arange(60)), ScaleOptions())
    ones = np.ones(len(seen))
    found = fit_damage(seen, ones, ones, ones, np.linspace(0.0, 1.0, len(seen)))
    assert not found.slope.any()
    assert not add_damage_variance(seen, found, ones, np.ones(len(seen.unique))).any()


def test_sweeps_of_one_crystal_follow_each_other():
    experiments, table, _ = make_table(n_frames=60, n_sweeps=2, d_min=3.0, counts=2000.0)
    seen, _ = gather_observations(experiments, table, ScaleOptions())
    apart = count_dose(experiments, table, seen)
    assert find_undamaged(seen, apart) == (0, 1)
    same = ExperimentList([experiments[0], replace(experiments[1], crystal=experiments[0].crystal)])
    joined = count_dose(same, table, seen)
    assert joined[seen.sweep == 0].max() <= 0.5 <= joined[seen.sweep == 1].min()
    assert find_undamaged(seen, joined) == (0,)
