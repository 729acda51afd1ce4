"""Reasons why reflections failed, where there are many."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from integration_data import options

from xdp.errors import XdpError
from xdp.integration.results.failures import report_failures
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

BACKGROUND = Flag.FAILED_DURING_BACKGROUND_MODELLING | Flag.FAILED_DURING_SUMMATION | Flag.DONT_INTEGRATE


def make_table(n_failed, flags, n=200, n_background=100, **columns):
    """A table of which the first rows have failed."""
    found = np.full(n, int(Flag.INTEGRATED_SUM), np.uint64)
    found[:n_failed] = int(flags)
    return ReflectionTable({"flags": found, "num_pixels.background": np.full(n, n_background, np.int32)} | columns)


def report(table, *words):
    report_failures(table, table.any_flags(Flag.INTEGRATED), options(*words))


REASONS = [
    (BACKGROUND, 100, {}, "counts that no background could be fitted to", "algorithm=simple"),
    (BACKGROUND, 4, {}, "fewer than 10 valid pixels of background", "sigma_b_multiplier"),
    (BACKGROUND, 100, {"background.mse": np.zeros(200)}, "no background could be fitted", "pedestal"),
    (Flag.FAILED_DURING_SUMMATION | Flag.FOREGROUND_INCLUDES_BAD_PIXELS, 100, {}, "masked, overloaded",
     "trusted range"),
    (Flag.FAILED_DURING_SUMMATION, 100, {}, "share their foreground", "profile model"),
]


@pytest.mark.parametrize(("flags", "n_background", "columns", "reason", "advice"), REASONS)
def test_more_than_a_tenth_is_told_and_all_is_an_error(flags, n_background, columns, reason, advice, caplog):
    with caplog.at_level(logging.WARNING):
        report(make_table(20, flags, n_background=n_background, **columns))
        assert not caplog.records
        report(make_table(30, flags, n_background=n_background, **columns))
        told, = caplog.messages
        assert "30 of 200 reflections (15 %)" in told
        assert reason in told
        assert advice in told
        hopeless = make_table(199, flags, n_background=n_background, **columns)
        with pytest.raises(XdpError, match=reason):
            report(hopeless)
        report(hopeless, "output_unintegrated_reflections=True")
        assert len(caplog.messages) == 2


def test_reflections_that_were_not_tried_do_not_count(caplog):
    report(make_table(150, Flag.DONT_INTEGRATE))
    assert not caplog.records
