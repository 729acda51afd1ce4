"""What the table says after refinement."""

from __future__ import annotations

import numpy as np
from refinement_data import Simulated, observed, still, sweep

from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.refine import refine_models
from xdp.reflections.flags import Flag

STATIC = Refinement.model_validate({"parameterisation": {"scan_varying": False}})


def test_predictions_and_flags_are_of_the_refined_models(one_sweep: Simulated):
    table = one_sweep.table
    moved = table["xyzobs.px.value"].copy()
    moved[:10] += 8.0
    result = refine_models(one_sweep.truth, table.with_columns(**{"xyzobs.px.value": moved}), STATIC)
    after = result.reflections
    used = after.flags(Flag.USED_IN_REFINEMENT)
    excluded = after.flags(Flag.EXCLUDED_FOR_REFINEMENT)[:10]
    assert np.array_equal(after.flags(Flag.CENTROID_OUTLIER)[:10], ~excluded)
    assert excluded.sum() < 5
    assert not used[:10].any()
    assert used.sum() == result.steps[-1].n_reflections
    difference = (after["xyzcal.px"] - after["xyzobs.px.value"])[used]
    np.testing.assert_allclose(np.sqrt(np.mean(difference**2, axis=0)),
                               result.rmsds[0] / [0.172, 0.172, np.radians(0.5)], rtol=0.01)
    assert np.array_equal(used, ~after.flags(Flag.CENTROID_OUTLIER) & ~after.flags(Flag.EXCLUDED_FOR_REFINEMENT))


def test_delta_psi_of_stills_has_a_column_of_its_own():
    truth = ExperimentList([still(3), sweep()])
    table = refine_models(truth, observed(truth, n=150, d_min=2.8), STATIC).reflections
    of_still = table["id"] == 0
    assert not table["delpsical.rad"][~of_still].any()
    assert not table["xyzcal.mm"][of_still, 2].any()
    assert 0.0 < np.abs(table["delpsical.rad"][of_still]).max() < np.radians(1.0)
