"""Fits near the rotation axis are replaced where they differ from sums, and only there."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from agreement_data import make_experiments, make_table, scale_fits

from xdp.integration.results.spindle import replace_spindle_fits
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def make_near_axis(factor, n=3000):
    """Strong reflections with |zeta| from 0.05 on, whose fits are `factor` of the right ones below 0.1."""
    table = make_table(n, seed=4, photons=5000.0)
    zeta = np.random.default_rng(5).uniform(0.05, 1.0, n) * np.where(np.arange(n) % 2, 1.0, -1.0)
    table = table.with_columns(zeta=zeta)
    return scale_fits(table, np.where(np.abs(zeta) < 0.1, factor, 1.0))


def test_fits_that_differ_from_sums_are_replaced(caplog):
    table = make_near_axis(0.93)
    zeta = np.abs(table["zeta"])
    # one is cut by the scan's end: its sum is not that of the whole reflection
    partiality = np.ones(len(table))
    cut = np.argmin(zeta)
    partiality[cut] = 0.5
    table = table.with_columns(partiality=partiality)
    with caplog.at_level(logging.INFO):
        found = replace_spindle_fits(make_experiments(), table)
    is_sum = found["intensity.prf.value"] == table["intensity.sum.value"]
    # 165 of them lie below 0.1; groups are of 50, 50 and 100
    assert is_sum.sum() == 200
    near = is_sum.copy()
    near[cut] = True
    assert zeta[near].max() < zeta[~near].min()
    np.testing.assert_array_equal(found["intensity.prf.variance"][is_sum], table["intensity.sum.variance"][is_sum])
    failed = found.flags(Flag.FAILED_DURING_PROFILE_FITTING)
    assert np.flatnonzero(failed).tolist() == [cut]
    assert not found.flags(Flag.INTEGRATED_PRF)[cut]
    assert (found["intensity.prf.value"][cut], found["intensity.prf.variance"][cut]) == (0.0, -1.0)
    np.testing.assert_array_equal(found["intensity.prf.value"][~near], table["intensity.prf.value"][~near])
    assert "200 are fitted with weights all alike" in caplog.text
    assert "below sums" in caplog.text


@pytest.mark.parametrize("factor", [1.0, 0.985])
def test_fits_that_are_right_stay(factor):
    table = make_near_axis(factor)
    assert replace_spindle_fits(make_experiments(), table) is table


def test_profiles_that_are_wrong_everywhere_are_no_matter_of_the_axis():
    table = scale_fits(make_near_axis(1.0), 1.08)
    assert replace_spindle_fits(make_experiments(), table) is table


@pytest.mark.parametrize("n", [0, 1, 49])
def test_few_reflections_are_no_failure(n):
    table = make_near_axis(0.5).select(np.arange(n))
    assert replace_spindle_fits(make_experiments(), table) is table


def test_without_fits_nothing_changes():
    table = ReflectionTable({"id": np.zeros(2, np.int32), "zeta": np.ones(2)})
    assert replace_spindle_fits(make_experiments(), table) is table
