"""Numbers of error models from deviations of known size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scaling_data import make_table

from xdp.scaling.error_model import ErrorModel, fit_by_sweep, fit_error_model
from xdp.scaling.observations import gather_observations
from xdp.scaling.options import ErrorModelOptions, ScaleOptions


@pytest.fixture(scope="module")
def problem():
    """ObservationGroups of two sweeps whose errors are 1.3 and 2 times those of counting, with 3 % besides."""
    experiments, table, truth = make_table(n_frames=60, n_sweeps=2, d_min=3.0, counts=2000.0)
    seen, _ = gather_observations(experiments, table, ScaleOptions())
    true = truth.intensity[seen.row]
    a = np.array([1.3, 2.0])[seen.sweep]
    sigma = a * np.sqrt(seen.background_variance + seen.counting * true + (0.03 * true) ** 2)
    noisy = replace(seen, intensity=true + sigma * np.random.default_rng(7).normal(size=len(true)))
    return noisy, np.ones(len(true)), true, np.ones(len(true), bool)


def test_each_sweep_has_its_own_numbers(problem):
    found = fit_by_sweep(*problem, fit_error_model(*problem, 0.0, ErrorModelOptions()), ErrorModelOptions())
    np.testing.assert_allclose(found.a, [1.3, 2.0], atol=4 * found.a_error.max())
    np.testing.assert_allclose(found.b, 0.03, atol=4 * found.b_error.max())
    assert found.b_error.max() < 0.005
    np.testing.assert_allclose(found.i_over_sigma_limit, 1.0 / (found.a * found.b))


def test_one_model_for_all_lies_between(problem):
    found = fit_error_model(*problem, 0.0, ErrorModelOptions())
    assert 1.3 < found.a[0] < 2.0
    assert found.n_observations == len(problem[1])


def test_too_few_observations_leave_sigmas_as_they_are(problem):
    seen, g, expected, use = problem
    few = np.zeros_like(use)
    few[:20] = True
    assert fit_error_model(seen, g, expected, few, 0.0, ErrorModelOptions()).a[0] == 1.0
    begun = ErrorModel.begin(ErrorModelOptions(error_model=None))
    assert (begun.a[0], begun.b[0]) == (1.0, 0.0)


def test_observations_that_are_all_zero_say_nothing_of_errors(problem):
    seen, g, expected, use = problem
    zero = replace(seen, intensity=np.zeros_like(seen.intensity))
    found = fit_error_model(zero, g, np.zeros_like(expected), use, 0.0, ErrorModelOptions())
    assert (found.a[0], found.b[0]) == (1.0, 0.0)
