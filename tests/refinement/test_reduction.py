"""Models with too few reflections are held, left out or refused."""

from __future__ import annotations

import numpy as np
import pytest
from parameter_tables import nested_options
from refinement_data import Simulated, disturbed, observed, sweep

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.refine import refine_models
from xdp.reflections.flags import Flag

P = "parameterisation."
STATIC = {P + "scan_varying": False}


def two_crystals(n_second: int) -> Simulated:
    """Two sweeps on one detector, the second with few reflections."""
    truth = ExperimentList([sweep(seed=0), sweep(seed=1)])
    table = observed(truth, n=250, d_min=3.5)
    second = np.flatnonzero(table["id"] == 1)[n_second:]
    return Simulated(truth, table.select(np.setdiff1d(np.arange(len(table)), second)))


def test_too_few_reflections_hold_one_crystal():
    few = two_crystals(7)
    action = P + "auto_reduction.action"
    held = refine_models(few.truth, few.table, nested_options(Refinement, STATIC))
    assert held.experiments[1].crystal == few.truth[1].crystal
    assert held.experiments[0].crystal != few.truth[0].crystal
    assert held.reflections.flags(Flag.USED_IN_REFINEMENT)[few.table["id"] == 1].any()
    removed = refine_models(few.truth, few.table, nested_options(Refinement, STATIC | {action: "remove"}))
    assert removed.experiments[1].crystal == few.truth[1].crystal
    assert removed.steps[-1].n_reflections < held.steps[-1].n_reflections
    with pytest.raises(XdpError, match=r"crystal 1: \d+ reflections are too few for 5 parameters"):
        refine_models(few.truth, few.table, nested_options(Refinement, STATIC | {action: "fail"}))
    least = P + "auto_reduction.min_nref_per_parameter"
    free = refine_models(few.truth, few.table, nested_options(Refinement, STATIC | {least: 1}))
    assert free.experiments[1].crystal != few.truth[1].crystal


def test_nothing_left_to_refine_is_an_error():
    truth = ExperimentList([sweep()])
    start = Simulated(disturbed(truth, angle=5e-4, shift=0.05), observed(truth, n=250, d_min=3.5))
    fixed = nested_options(Refinement, {P + "crystal.fix": "all", P + "detector.fix": "all", P + "beam.fix": ("all",)})
    with pytest.raises(XdpError, match="nothing to refine"):
        refine_models(start.truth, start.table, fixed)
    with pytest.raises(XdpError, match="nothing to refine"):
        refine_models(start.truth, start.table.select(np.arange(4)), nested_options(Refinement, STATIC))
