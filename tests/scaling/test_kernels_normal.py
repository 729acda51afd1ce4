"""Kernels of scaling against NumPy: means, normal equations with the means eliminated, likelihood, outliers."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.scaling._kernels_normal import (
    Drift,
    Rows,
    ScaleDesign,
    flag_outliers,
    log_scales,
    mean_derivatives,
    merge_rows,
    normal_equations,
    restricted_likelihood,
    variances_of_rows,
)

pytestmark = pytest.mark.kernels

P = 11


@pytest.fixture
def problem():
    """Groups of one to six observations, with a dense block of two sweeps and up to three sparse derivatives."""
    rng = np.random.default_rng(5)
    start = np.concatenate([[0], np.cumsum(rng.integers(1, 7, 12))])
    n = int(start[-1])
    # two blocks of two dense parameters, then seven sparse ones
    place = np.stack([4 + rng.integers(0, 2, n), 6 + rng.integers(0, 3, n), 9 + rng.integers(0, 2, n)], axis=1)
    place[::5, 2] = -1
    design = ScaleDesign(place.astype(np.int32), rng.normal(size=(n, 3)).astype(np.float32),
                    (2 * rng.integers(0, 2, n)).astype(np.int32), rng.normal(size=(n, 2)).astype(np.float32))
    g, w = np.exp(0.3 * rng.normal(size=n)), rng.uniform(0.5, 2.0, n)
    w[3] = 0.0
    return Rows(start, rng.normal(5.0, 2.0, n)), design, g, w


def make_full(design):
    """The derivatives as a matrix."""
    full = np.zeros((len(design.place), P))
    for i in range(len(full)):
        for at, value in zip(design.place[i], design.value[i], strict=True):
            if at >= 0:
                full[i, at] += value
        full[i, design.block[i]:design.block[i] + 2] += design.dense[i]
    return full


def merge(rows, g, w):
    J, information = np.zeros((2, len(rows.start) - 1))
    merge_rows(rows, g, w, J, information)
    return J, information


def test_means_are_weighted(problem):
    rows, _, g, w = problem
    J, information = merge(rows, g, w)
    for h in range(len(J)):
        i = slice(rows.start[h], rows.start[h + 1])
        below = np.sum(w[i] * g[i] ** 2)
        assert information[h] == pytest.approx(below)
        assert J[h] == pytest.approx(np.sum(w[i] * g[i] * rows.I[i]) / below if below else 0.0)


def test_scales_are_products_of_derivatives_and_parameters(problem):
    _, design, _, _ = problem
    p, out = np.random.default_rng(1).normal(size=P), np.empty(len(design.place))
    log_scales(design, p, out)
    np.testing.assert_allclose(out, make_full(design) @ p, rtol=1e-6)


def test_normal_equations_are_those_of_all_unknowns_with_the_means_eliminated(problem):
    rows, design, g, w = problem
    J, information = merge(rows, g, w)
    N, b = np.zeros((P, P)), np.zeros(P)
    normal_equations(rows, design, g, w, J, information, Drift(np.empty(0), np.empty(0)), N, b)
    group = np.repeat(np.arange(len(J)), np.diff(rows.start))
    # derivatives of g J by the parameters and by each J, then the Schur complement
    mu = g * J[group]
    by_p, by_J = make_full(design) * mu[:, None], np.eye(len(J))[group] * g[:, None]
    cross = (by_p * w[:, None]).T @ by_J
    seen = information > 0.0
    wanted = (by_p * w[:, None]).T @ by_p - (cross[:, seen] / information[seen]) @ cross[:, seen].T
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(np.tril(N), np.tril(wanted), atol=1e-6 * scale)
    # in a group of one the mean is the observation, so that it adds nothing to the right side either
    np.testing.assert_allclose(b, (by_p * w[:, None]).T @ (rows.I - mu), atol=1e-6 * scale)


def test_slopes_with_the_dose_are_eliminated_like_means(problem):
    rows, design, g, w = problem
    J, information = merge(rows, g, w)
    rng = np.random.default_rng(8)
    dose, precision = rng.random(len(g)), rng.uniform(1.0, 5.0, len(J))
    N, b = np.zeros((P, P)), np.zeros(P)
    normal_equations(rows, design, g, w, J, information, Drift(dose, precision), N, b)
    group = np.repeat(np.arange(len(J)), np.diff(rows.start))
    # a group of one, or with one weight, has nothing to say of scales, but its slope would
    told = np.bincount(group, minlength=len(J))[group] > 1
    mu = np.where(told, g * J[group], 0.0)
    by_p, by_J = make_full(design) * mu[:, None], np.eye(len(J))[group] * g[:, None]
    others = np.hstack([by_J, by_J * dose[:, None]])
    lower = (others * w[:, None]).T @ others + np.diag(np.concatenate([np.full(len(J), 1e-12), precision]))
    cross = (by_p * w[:, None]).T @ others
    wanted = (by_p * w[:, None]).T @ by_p - cross @ np.linalg.solve(lower, cross.T)
    np.testing.assert_allclose(np.tril(N), np.tril(wanted), atol=1e-6 * np.abs(wanted).max())


def test_the_restricted_likelihood_is_that_of_normal_contrasts(problem):
    rows, _, g, _ = problem
    s2, use = np.random.default_rng(2).uniform(0.5, 2.0, len(g)), np.ones(len(g), bool)
    use[7] = False
    result = np.zeros(5)
    restricted_likelihood(rows, g, s2, use, result)
    squares = logs = information = n = groups = 0.0
    for h in range(len(rows.start) - 1):
        i = np.arange(rows.start[h], rows.start[h + 1])
        i = i[use[i]]
        if len(i) < 2:
            continue
        # projected onto what is free of J
        x, y = g[i] / np.sqrt(s2[i]), rows.I[i] / np.sqrt(s2[i])
        squares += float(y @ y - (x @ y) ** 2 / (x @ x))
        logs += float(np.sum(np.log(s2[i])))
        information += float(np.log(x @ x))
        n, groups = n + len(i), groups + 1
    np.testing.assert_allclose(result, [squares, logs, information, n, groups])


def test_the_worst_observation_goes_first_and_of_two_the_larger():
    rows = Rows(np.array([0, 5, 7, 8]), np.array([10.0, 10.5, 9.5, 60.0, 11.0, 10.0, 60.0, 5.0]))
    use = np.ones(8, bool)
    # 60 pulls the mean up, so that all deviate before it is gone
    assert flag_outliers(rows, np.ones(8), np.ones(8), 0.0, 6.0, use) == 2
    assert np.flatnonzero(~use).tolist() == [3, 6]
    # mates that may differ by their own size do not deviate
    use = np.ones(8, bool)
    assert flag_outliers(rows, np.ones(8), np.ones(8), 100.0, 6.0, use) == 0


def test_means_and_variances_of_derivatives(problem):
    rows, design, _, w = problem
    full = make_full(design)
    out = np.zeros((3, P))
    mean_derivatives(rows, design, w, 4, out)
    for h in range(3):
        i = slice(rows.start[4 + h], rows.start[5 + h])
        np.testing.assert_allclose(out[h], w[i] @ full[i], rtol=1e-6, atol=1e-12)
    root = np.random.default_rng(3).normal(size=(P, P))
    C, centre, variances = root @ root.T, full.mean(axis=0), np.zeros(len(full))
    variances_of_rows(design, centre, C, variances)
    np.testing.assert_allclose(variances, np.einsum("ij,jk,ik->i", full - centre, C, full - centre), rtol=1e-5)
