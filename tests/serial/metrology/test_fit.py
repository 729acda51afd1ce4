"""Minimisation of a level: derivatives against differences, elimination against the whole system, sums in pairs."""

from __future__ import annotations

import numpy as np
import pytest
from metrology_data import BEAM, make_shots

from xdp.serial.metrology._kernels import eliminate_shots, predict_shots, substitute_shots
from xdp.serial.metrology.fit import (
    Level,
    ShotSource,
    add_in_pairs,
    estimate_variance,
    fit_level,
    make_sums,
    make_turn,
)
from xdp.serial.metrology.levels import get_frames, make_freedom
from xdp.serial.metrology.nodes import find_groups
from xdp.serial.metrology.options import RefineMetrologyOptions
from xdp.serial.metrology.shots import pack_stills
from xdp.work.store import ResultStore

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def problem():
    """Eight shots, the quadrants as groups."""
    _, experiments, table = make_shots(8, {1: 0.03}, n_spots=30)
    detector = experiments[0].known.detector
    packs, kinds = pack_stills(experiments, table, detector, 1e4)
    groups = find_groups(detector, 1)
    moves = np.ones(len(groups), dtype=bool)
    level = Level(get_frames(detector), groups, moves, make_freedom(groups, moves, 1, RefineMetrologyOptions(), BEAM))
    store = ResultStore(None)
    store.save("shots", packs[0].to_arrays())
    return packs[0], level, ShotSource(store, ("shots",), kinds)


def residuals(pack, level, source, pose, settings):
    """All weighted residuals of a pack, predicted by NumPy from the formulas alone."""
    shared = level.make_shared(pose, source.kinds)
    result = []
    for shot, a in enumerate(settings):
        rows = slice(pack.spots.start[shot], pack.spots.start[shot + 1])
        k = pack.spots.beam[shot, 3] * pose.scale
        unit = pack.spots.beam[shot, :3]
        q = pack.spots.hkl[rows] @ a.T
        t = -np.sum(q**2, axis=1) / (2.0 * k)
        across = q - np.outer(q @ unit, unit)
        rho = np.linalg.norm(across, axis=1)
        g = np.sqrt(np.sum(q**2, axis=1) - t**2)
        s1 = np.outer(k + t, unit) + (g / rho)[:, None] * across
        v = np.einsum("nij,nj->ni", shared.inverse[pack.spots.panel[rows]], s1)
        psi = np.arctan2(rho * t - (q @ unit) * g, (q @ unit) * t + rho * g)
        r = np.column_stack([v[:, :2] / v[:, 2:] - pack.spots.xy[rows], psi])
        result.append(r * np.sqrt(pack.spots.weight[rows]))
    return np.concatenate(result)


def test_the_reduced_equations_are_those_of_the_whole_system(problem):
    """All derivatives by differences; the shots' parameters eliminated with dense matrices."""
    pack, level, source = problem
    pose, kind = level.begin(), source.kinds
    m, own = 6 * len(level.groups) + 1, 3 + kind.counts[0]

    def move(x, t):
        settings = pack.settings.copy()
        for shot in range(len(settings)):
            a, shift = settings[shot], t[own * shot : own * (shot + 1)]
            strain = sum((shift[3 + j] * 0.5 * np.linalg.inv(a.T @ a) @ kind.bases[0][j] for j in range(own - 3)),
                         np.eye(3))
            settings[shot] = make_turn(shift[:3]) @ a @ strain
        return residuals(pack, level, source, pose.step(x, level.axes), settings).ravel()

    n = m + own * len(pack.settings)
    start, step = np.zeros(n), 1e-6
    jacobian = np.empty((3 * len(pack.rows), n))
    for j in range(n):
        there, back = start.copy(), start.copy()
        there[j], back[j] = step, -step
        jacobian[:, j] = (move(there[:m], there[m:]) - move(back[:m], back[m:])) / (2.0 * step)
    r = move(start[:m], start[m:])
    whole, right = jacobian.T @ jacobian, jacobian.T @ r
    inner = np.linalg.solve(whole[m:, m:], np.column_stack([whole[m:, :m], right[m:]]))
    sums = make_sums(len(level.groups), with_outer=True)
    use = np.ones(len(pack.rows), dtype=bool)
    shared = level.make_shared(pose, kind)
    eliminate_shots(pack.spots, use, shared, pack.settings, sums)
    schur = whole[:m, :m] - whole[:m, m:] @ inner[:, :-1]
    scale = np.sqrt(np.outer(whole.diagonal()[:m], whole.diagonal()[:m]))
    np.testing.assert_allclose(sums.schur / scale, schur / scale, atol=1e-6)
    expected = right[:m] - whole[:m, m:] @ inner[:, -1]
    np.testing.assert_allclose(sums.vector, expected, atol=1e-5 * np.abs(expected).max())
    assert sums.loss[0] == pytest.approx(0.5 * r @ r, rel=1e-9)
    assert np.trace(sums.outer) >= sums.vector @ sums.vector / len(pack.settings)  # Cauchy-Schwarz
    # substitution: the shots' own shifts for a given step of the shared parameters
    x = 1e-5 * np.arange(m) / m
    moved = np.empty_like(pack.settings)
    substitute_shots(pack.spots, use, shared, pack.settings, x, moved)
    shifts = -inner[:, -1] - inner[:, :-1] @ x
    after = residuals(pack, level, source, pose.step(x, level.axes), moved).ravel()
    np.testing.assert_allclose(after, move(x, shifts), atol=2e-3 * np.abs(after).max())


def test_predictions_are_those_of_the_formulas(problem):
    pack, level, source = problem
    predicted, rays = np.empty((len(pack.rows), 3)), np.empty((len(pack.rows), 3))
    predict_shots(pack.spots, level.make_shared(level.begin(), source.kinds), pack.settings, predicted, rays)
    predicted[:, :2] -= pack.spots.xy
    np.testing.assert_allclose(predicted * np.sqrt(pack.spots.weight),
                               residuals(pack, level, source, level.begin(), pack.settings), atol=1e-7)
    k = np.repeat(pack.spots.beam[:, 3], np.diff(pack.spots.start))
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), k, rtol=1e-9)


def test_a_fit_lowers_the_loss_to_its_minimum(problem):
    pack, level, source = problem
    use = [np.ones(len(pack.rows), dtype=bool)]
    fit = fit_level(source, level, [pack.settings], use)
    assert fit.sums.loss[0] < 0.2 * fit.start.loss[0]
    assert np.abs(fit.modes.directions.T @ fit.sums.vector / np.sqrt(fit.modes.values)).max() < 0.1
    assert fit.variance == pytest.approx(1.0, abs=0.25)
    assert estimate_variance(fit.sums, 0) < fit.variance


def test_robust_weights_lower_the_loss_of_a_false_spot(problem):
    from dataclasses import replace

    pack, level, source = problem
    use = [np.ones(len(pack.rows), dtype=bool)]
    robust = fit_level(source, replace(level, cutoff=2.385), [pack.settings], use)
    plain = fit_level(source, level, [pack.settings], use)
    assert robust.sums.loss[0] < plain.sums.loss[0]


def test_sums_are_added_in_pairs():
    def make(value):
        sums = make_sums(1)
        sums.loss[:] = value
        return sums

    values = [1.0, 1e16, -1e16, 3.0, 5.0]
    expected = ((values[0] + values[1]) + (values[2] + values[3])) + values[4]
    assert add_in_pairs(map(make, values)).loss[0] == expected
