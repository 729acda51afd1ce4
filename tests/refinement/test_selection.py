"""Reflections that are set aside, and the weights of the others."""

from __future__ import annotations

import numpy as np
import pytest
from parameter_tables import nested_options
from refinement_data import Simulated, collect, observed, still

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.refine import refine_models
from xdp.reflections.flags import Flag

P, R = "parameterisation.", "reflections."
STATIC = {P + "scan_varying": False}


@pytest.mark.parametrize("kind", ["sweep", "still"])
def test_overloaded_spots_and_the_direct_beam_are_set_aside(one_sweep: Simulated, kind: str):
    """Saturated pixels pull centroids; such spots are predicted all the same."""
    truth = one_sweep.truth if kind == "sweep" else ExperimentList([still()])
    table = one_sweep.table if kind == "sweep" else observed(truth, n=80, d_min=3.0)
    null = nested_options(Refinement, STATIC | {R + "outlier.algorithm": "null"})
    clean = refine_models(truth, table.select(np.arange(20, len(table))), null)
    xyz, flags, hkl = (table[name].copy() for name in ("xyzobs.px.value", "flags", "miller_index"))
    flags[:19] |= np.uint64(Flag.OVERLOADED)
    xyz[:20, :2] += 0.5
    hkl[19] = 0
    result = refine_models(truth, table.with_columns(flags=flags, miller_index=hkl, **{"xyzobs.px.value": xyz}), null)
    after = result.reflections
    assert np.all(after.flags(Flag.EXCLUDED_FOR_REFINEMENT)[:20])
    assert not np.any(after.flags(Flag.USED_IN_REFINEMENT)[:20])
    assert np.all(after.flags(Flag.PREDICTED)[:19])
    np.testing.assert_allclose(result.experiments[0].crystal.A, clean.experiments[0].crystal.A, rtol=1e-9, atol=1e-12)


def test_spots_outside_the_scan_are_set_aside(one_sweep: Simulated):
    xyz = one_sweep.table["xyzobs.px.value"].copy()
    xyz[:5, 2] = 41.0
    table = one_sweep.table.with_columns(**{"xyzobs.px.value": xyz})
    after = refine_models(one_sweep.truth, table, nested_options(Refinement, STATIC)).reflections
    assert np.all(after.flags(Flag.EXCLUDED_FOR_REFINEMENT)[:5])


def test_weight_of_delta_psi(one_sweep: Simulated):
    truth = ExperimentList([still(3)])
    table = observed(truth, n=150, d_min=2.8)
    strong, weak, none = (
        refine_models(truth, table, nested_options(Refinement, STATIC | {R + f"weighting_strategy.{k}": v})).rmsds[0, 2]
        for k, v in (("delpsi_constant", 1e8), ("delpsi_constant", 1e5), ("override", "statistical")))
    assert strong < weak <= none
    with pytest.raises(XdpError, match="experiments rotate"):
        refine_models(one_sweep.truth, one_sweep.table,
                      nested_options(Refinement, {R + "weighting_strategy.override": "stills"}))


def test_positions_weigh_by_their_variances(one_sweep: Simulated):
    data = collect(one_sweep.truth, one_sweep.table)[0]
    # 0.1 px of 0.172 mm, 0.1 frame of 0.5 degrees
    want = 1.0 / np.square([0.0172, 0.0172, np.radians(0.05)])
    np.testing.assert_allclose(data.weights, np.tile(want, (len(data), 1)), rtol=1e-9)
    constant = nested_options(Refinement, {R + "weighting_strategy.override": "constant",
                                           R + "weighting_strategy.constants": (1.0, 2.0, 3.0)})
    data = collect(one_sweep.truth, one_sweep.table, constant)[0]
    assert np.unique(data.weights, axis=0).tolist() == [[1.0, 2.0, 3.0]]
