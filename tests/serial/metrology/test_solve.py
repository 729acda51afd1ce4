"""Steps of the shared parameters: what is held, what is undetermined."""

from __future__ import annotations

import numpy as np

from xdp.serial.metrology.fit import make_sums
from xdp.serial.metrology.solve import Freedom, expand_direct, find_modes


def make_system(seed=1, n=400.0):
    """Sums of two groups whose matrix is well determined."""
    rng = np.random.default_rng(seed)
    sums = make_sums(2)
    for g in range(2):
        half = rng.normal(size=(20, 6))
        sums.direct[g] = n / 20.0 * half.T @ half
        sums.schur[6 * g : 6 * g + 6, 6 * g : 6 * g + 6] = 0.5 * sums.direct[g]
    sums.counts[:2] = n
    sums.vector[:12] = rng.normal(size=12)
    return sums


def test_a_step_solves_the_system_of_what_is_free():
    sums = make_system()
    free = np.eye(13)[:, [0, 1, 2, 6, 7, 8, 9]]
    modes = find_modes(sums, Freedom(free, np.zeros((0, 13))))
    s = free.T @ sums.schur @ free
    np.testing.assert_allclose(modes.solve(sums.vector, 0.0), -free @ np.linalg.solve(s, free.T @ sums.vector))
    np.testing.assert_allclose(modes.compute_covariance(), free @ np.linalg.inv(s) @ free.T, atol=1e-12)
    assert not modes.undetermined
    np.testing.assert_allclose(modes.solve(sums.vector, 1.0), 0.5 * modes.solve(sums.vector, 0.0))


def test_what_the_gauge_holds_does_not_move():
    sums = make_system()
    held = np.random.default_rng(2).normal(size=(2, 13))
    held[:, -1] = 0.0
    modes = find_modes(sums, Freedom(np.eye(13)[:, :12], held))
    assert len(modes.values) == 10
    np.testing.assert_allclose(held @ modes.solve(sums.vector, 0.0), 0.0, atol=1e-9)


def test_directions_that_crystals_take_up_are_shown_and_not_moved():
    sums = make_system()
    lost = np.zeros(13)
    lost[[0, 6]] = 1.0
    # all but a hundred-thousandth of what is known along this direction goes to the crystals
    known = lost @ sums.schur @ lost
    pull = sums.schur @ lost
    sums.schur[:] -= np.outer(pull, pull) / known * (1.0 - 1e-5)
    modes = find_modes(sums, Freedom(np.eye(13)[:, :12], np.zeros((0, 13))))
    assert len(modes.undetermined) == 1
    found = modes.undetermined[0]
    np.testing.assert_allclose(np.abs(found.direction), lost, atol=1e-2)
    assert found.move > 1.0
    assert found.eigenvalue < 1e-3


def test_groups_without_reflections_do_not_move():
    sums = make_system()
    sums.direct[1] = 0.0
    sums.schur[6:12] = sums.schur[:, 6:12] = 0.0
    modes = find_modes(sums, Freedom(np.eye(13)[:, :12], np.zeros((0, 13))))
    assert np.all(modes.solve(sums.vector, 0.0)[6:] == 0.0)
    empty = find_modes(make_sums(1), Freedom(np.eye(7), np.zeros((0, 7))))
    assert np.all(empty.solve(np.ones(7), 0.0) == 0.0)


def test_blocks_are_put_on_the_diagonal():
    sums = make_system()
    matrix = expand_direct(sums)
    assert np.array_equal(matrix[6:12, 6:12], sums.direct[1])
    assert np.all(matrix[:6, 6:] == 0.0)
