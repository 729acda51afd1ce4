"""Scales, their variances and the error model come back from simulated tables."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scaling_data import make_table

from xdp.errors import XdpError
from xdp.scaling.model import build_design, plan_model
from xdp.scaling.observations import gather_observations
from xdp.scaling.options import ScaleOptions
from xdp.scaling.solve import expect_intensities, fit_scales

FACTORS = {"n_frames": 120, "d_min": 2.8, "counts": 400.0, "jitter": 0.03, "volume": 0.2, "instrument": 0.02,
           "decay": 4.0}


def fit(options=None, table=None, **named):
    experiments, simulated, truth = make_table(**named)
    options, table = options or ScaleOptions(), simulated if table is None else table
    seen, _ = gather_observations(experiments, table, options)
    model = plan_model(experiments, options)
    return fit_scales(seen, model, build_design(model, experiments, table, seen), options), seen, truth


@pytest.fixture(scope="module")
def fitted():
    return fit(**FACTORS)


def remove_gauge(log_scale, d):
    """What is left of scales beside a factor and a B factor, which no observation tells."""
    columns = np.stack([np.ones_like(d), 1.0 / d**2], axis=1)
    return log_scale - columns @ np.linalg.lstsq(columns, log_scale, rcond=None)[0]


def test_scales_come_back(fitted):
    found, seen, truth = fitted
    true = remove_gauge(np.log(truth.scale[seen.row]), seen.d)
    error = remove_gauge(np.log(found.scale), seen.d) - true
    # a frame of some 150 observations of 5 % each is known to 0.5 %, a scale of 12 % spread altogether
    assert true.std() > 0.1
    assert error.std() < 0.01


def test_the_error_model_and_the_spread_of_frames_come_back(fitted):
    found, _, _ = fitted
    errors = found.error_model
    assert errors.a[0] == pytest.approx(1.0, abs=max(4 * errors.a_error[0], 0.02))
    assert errors.b[0] == pytest.approx(0.02, abs=4 * errors.b_error[0])
    assert errors.b_error[0] < 0.003
    # of 120 frames: 6.5 % of a standard deviation
    assert np.sqrt(found.variances["frames"]) == pytest.approx(0.03, rel=0.25)


def test_parts_that_the_data_do_not_ask_for_shrink_away(fitted):
    found, _, _ = fitted
    assert np.sqrt(found.variances["absorption4"]) < 0.005


def test_outliers_are_found_and_no_others():
    found, seen, truth = fit(**{**FACTORS, "instrument": 0.01}, outliers=0.005)
    wrong = truth.is_outlier[seen.row]
    # ten sigmas more stand out where there is anything to compare with; six sigmas by chance do not occur
    assert np.mean(~found.use[wrong]) > 0.9
    assert np.count_nonzero(~found.use[~wrong]) <= 3


def test_a_strange_crystal_gets_an_error_model_of_its_own():
    named = {"n_frames": 30, "n_sweeps": 3, "d_min": 3.0, "counts": 400.0, "instrument": 0.02}
    _, table, truth = make_table(**named)
    # intensities of the third differ by 30 %, the same for equivalents of a mate
    number = np.unique(truth.intensity, return_inverse=True)[1]
    factor = np.exp(0.3 * np.random.default_rng(4).normal(size=number.max() + 1))[number]
    value = np.where(table["id"] == 2, factor, 1.0) * table["intensity.sum.value"]
    found, _, _ = fit(table=table.with_columns(**{"intensity.sum.value": value}), **named)
    assert found.error_model.b[2] > 0.2
    assert np.all(found.error_model.b[:2] < 0.05)


def test_numbers_of_the_error_model_can_be_given_or_left_out():
    small = {**FACTORS, "n_frames": 40, "d_min": 3.5}
    given = fit(ScaleOptions(weighting={"error_model": {"basic": {"a": 1.5, "b": 0.1}}}), **small)[0].error_model
    assert (given.a[0], given.b[0]) == (1.5, 0.1)
    none = fit(ScaleOptions(weighting={"error_model": {"error_model": None}}), **small)[0].error_model
    assert (none.a[0], none.b[0]) == (1.0, 0.0)


def test_nothing_to_compare_is_an_error():
    _, table, _ = make_table(n_frames=40, d_min=3.5)
    with pytest.raises(XdpError, match="no two reflections are equivalent"):
        fit(table=table.select(np.array([0])), n_frames=40, d_min=3.5)


def test_expected_intensities_are_the_mean_of_what_may_be():
    experiments, table, _ = make_table(n_frames=40, d_min=3.5)
    seen, _ = gather_observations(experiments, table, ScaleOptions())
    n = len(seen.start) - 1
    J, information = np.full(n, 10.0), np.full(n, 0.04)
    J[0] = -5.0
    found = expect_intensities(seen, seen.start, J, information)
    assert np.all(found > 0.0)
    # one reflection by numbers: exponential of mean 10 times normal, cut off at 0
    x = np.linspace(0.0, 60.0, 60001)
    weight = np.exp(-x / 10.0 - 0.5 * 0.04 * (x - 10.0) ** 2)
    at = int(np.argmin(np.abs(seen.d - np.median(seen.d))))  # not in the shell of the first
    assert found[at] == pytest.approx(float(np.sum(x * weight) / np.sum(weight)), rel=1e-3)


def test_means_far_below_zero_are_held_above_it_without_a_warning():
    seen = SimpleNamespace(d=np.full(40, 2.0))
    J, information = np.full(40, 100.0), np.full(40, 1.0)
    J[:3] = (-999.0, -1e5, -1e100)
    found = expect_intensities(seen, np.arange(41), J, information)
    assert np.all(np.isfinite(found) & (found > 0.0))
    assert found[3:].min() > 80.0
