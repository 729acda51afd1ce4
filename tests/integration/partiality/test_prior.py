from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.partiality.prior import PartialityPrior, PriorSums


def draw(n, seed=0, spread=0.2):
    rng = np.random.default_rng(seed)
    error = rng.uniform(0.05, 1.0, (n, 2))
    logs = np.array([-8.3, -7.0]) + spread * rng.normal(size=(n, 2)) + error * rng.normal(size=(n, 2))
    square = 4e-6 + 2e-6 * rng.normal(size=n)
    return np.column_stack([logs, square]), np.column_stack([error**2, np.full(n, 4e-12)])


def collect(widths, variances):
    sums = PriorSums()
    for row in zip(widths, variances, strict=True):
        sums.add(*row)
    return sums


def test_mean_and_scatter_are_found():
    prior = collect(*draw(800)).estimate_prior()
    # 800 shots know the mean to 0.02 and the scatter to a tenth
    np.testing.assert_allclose(prior.mean, [-8.3, -7.0, np.log(2e-3)], atol=0.06)
    np.testing.assert_allclose(prior.spread[:2], 0.2, atol=0.04)


def test_any_order_and_division_gives_the_same_bits():
    widths, variances = draw(60)
    whole = collect(widths, variances).estimate_prior()
    order = np.random.default_rng(1).permutation(60)
    parts = [collect(widths[part], variances[part]) for part in np.array_split(order, 7)]
    total = PriorSums()
    for part in parts[::-1]:
        total.merge(part)
    assert total.estimate_prior() == whole


def test_few_shots_leave_the_prior_as_it_was():
    assert collect(*draw(4)).estimate_prior() == PartialityPrior()


def test_shots_that_say_nothing_are_left_out():
    widths, variances = draw(20)
    sums = collect(widths, variances)
    before = sums.estimate_prior()
    sums.add(np.array([np.nan, 3.0, 1.0]), np.full(3, np.inf))
    assert sums.estimate_prior() == before


def test_a_bandwidth_of_nothing_stays_small():
    widths, variances = draw(40)
    widths[:, 2] = 1e-7 * np.random.default_rng(2).normal(size=40)
    prior = collect(widths, variances).estimate_prior()
    assert np.exp(prior.mean[2]) < 1.5e-3
    assert prior.spread[2] <= PartialityPrior().spread[2]


def test_priors_are_written_and_read():
    prior = PartialityPrior((-8.0, -7.0, -6.0), (0.1, 0.2, 0.3))
    assert PartialityPrior.from_dict(prior.to_dict()) == prior


@pytest.mark.parametrize("n", [5, 200])
def test_the_prior_is_never_narrower_than_shots_prove(n):
    widths, variances = draw(n, spread=0.0)
    assert min(collect(widths, variances).estimate_prior().spread[:2]) >= 0.05
