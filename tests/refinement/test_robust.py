"""A first fit of turned crystals that outliers do not spoil."""

from __future__ import annotations

import numpy as np
from refinement_data import collect, observed, share_crystal, sweep, turned_sweeps

from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.sweeps import copy_shared_crystals
from xdp.refinement.reduction import build_reduced_problem
from xdp.refinement.robust import fit_robustly, thin_out
from xdp.simulation.compare import compute_misorientation


def test_robust_fit_finds_turned_crystals_among_many_outliers():
    truth = turned_sweeps()
    table = observed(truth, n=60, d_min=3.0)
    rng = np.random.default_rng(5)
    wrong = rng.random(len(table)) < 0.3
    xyz = table["xyzobs.px.value"] + np.where(wrong[:, None], rng.normal(size=(len(table), 3)) * [15, 15, 4], 0.0)
    experiments, cells = copy_shared_crystals(share_crystal(truth))
    data = collect(experiments, table.with_columns(**{"xyzobs.px.value": xyz}))
    problem = build_reduced_problem(experiments, data, Refinement().parameterisation, cells=cells)
    found = fit_robustly(experiments, problem)
    for e, true in zip(found, truth, strict=True):
        # 40 good spots; what sticks out is pulled down by its weight, not gone: a tenth of the slips is left at most
        assert compute_misorientation(e.crystal, true.crystal) < 0.05


def test_thinning_keeps_small_sweeps_and_shortens_large_ones():
    one = ExperimentList([sweep()])
    table = observed(one, n=600)
    data = collect(one, table)
    assert len(thin_out(data)[0]) == 600
    large = data[0].select(np.tile(np.arange(600), 11))
    assert 2000 <= len(thin_out([large])[0]) < 4000
