"""Small linear equations beside NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.background._kernels_linear import solve

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("n", [1, 3, 4])
def test_equations_are_solved_as_numpy_solves_them(n):
    rng = np.random.default_rng(n)
    for _ in range(50):
        a, b = rng.normal(size=(4, 4)), rng.normal(size=4)
        room, found = a.copy(), b.copy()
        assert solve(room, found, n)
        # Random matrices of this size lose some three digits at worst.
        np.testing.assert_allclose(found[:n], np.linalg.solve(a[:n, :n], b[:n]), rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(found[n:], b[n:])


def test_pivots_of_zero_are_gone_round():
    found = np.array([2.0, 3.0, 5.0])
    assert solve(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), found, 3)
    assert found.tolist() == [5.0, 2.0, 3.0]


@pytest.mark.parametrize("bad", [0.0, np.nan])
def test_singular_equations_have_no_solution(bad):
    a = np.array([[1.0, 2.0, bad], [2.0, 4.0, bad], [bad, bad, bad]])
    assert not solve(a, np.ones(3), 3)
