"""Kernels of calibration against slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from calibration_twins import convert_three_gains_slowly

from xdp.serial.calibration._kernels import add_to_sums, convert_three_gains, join_sums

pytestmark = pytest.mark.kernels


def test_three_gains_equal_the_slow_twin():
    rng = np.random.default_rng(5)
    raw = rng.integers(0, 1 << 16, (40, 50)).astype(np.uint16)
    pedestals = rng.normal(2000.0, 50.0, (3, 40, 50))
    gains = np.array([40.0, -1.5, -0.1])[:, None, None] * rng.normal(1.0, 0.05, (3, 40, 50))
    gains[0, 0, 0] = 0.0
    gains[:, 1, 1] = np.nan
    out, valid = np.empty(raw.size), np.ones(raw.size, bool)
    convert_three_gains(raw.reshape(-1), pedestals.reshape(3, -1), gains.reshape(3, -1), out, valid)
    twin, twin_valid = convert_three_gains_slowly(raw, pedestals, gains)
    assert np.array_equal(valid.reshape(raw.shape), twin_valid)
    assert np.allclose(out.reshape(raw.shape)[twin_valid], twin[twin_valid], rtol=1e-12)


def make_sums(n):
    return (np.zeros(n, np.int64), np.zeros(n), np.zeros(n), np.full(n, -np.inf), np.full(n, np.inf))


def test_sums_equal_numpy():
    rng = np.random.default_rng(6)
    shots = 1e6 + rng.normal(0.0, 1.0, (300, 20))
    valid = rng.random((300, 20)) < 0.9
    shots[5, 3] = np.nan
    sums = make_sums(20)
    for values, good in zip(shots, valid, strict=True):
        add_to_sums(values, good, *sums)
    used = np.where(valid & np.isfinite(shots), shots, np.nan)
    assert np.array_equal(sums[0], np.isfinite(used).sum(axis=0))
    assert np.allclose(sums[1], np.nanmean(used, axis=0), rtol=1e-14)
    assert np.allclose(sums[2] / sums[0], np.nanvar(used - 1e6, axis=0), rtol=1e-9)
    assert np.array_equal(sums[3], np.nanmax(used, axis=0))
    assert np.array_equal(sums[4], np.nanmin(used, axis=0))


def test_joined_sums_are_those_of_all():
    rng = np.random.default_rng(7)
    shots = 1e6 + rng.normal(0.0, 1.0, (100, 20))
    first, second, everything = make_sums(20), make_sums(20), make_sums(20)
    for i, values in enumerate(shots):
        add_to_sums(values, np.zeros(0, bool), *(first if i < 30 else second))
        add_to_sums(values, np.zeros(0, bool), *everything)
    join_sums(*first, *second)
    for a, b in zip(first, everything, strict=True):
        assert np.allclose(a, b, rtol=1e-12)
