"""Cells are drawn to their targets; static models are tied where drift could imitate them."""

from __future__ import annotations

import numpy as np
import pytest
from parameter_tables import nested_options
from refinement_data import BEAM, DETECTOR, collect, disturbed, observed, share_crystal, sweep, turned_sweeps

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.equations.engine import compute_covariance
from xdp.refinement.equations.problem import build_normal_equations
from xdp.refinement.equations.restraints import make_prior
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem
from xdp.refinement.parameters.sweeps import copy_shared_crystals
from xdp.refinement.refine import refine_models

P = "parameterisation."
STATIC = {P + "scan_varying": False}


def test_cell_is_drawn_to_its_target():
    truth = ExperimentList([sweep()])
    wrong, table = disturbed(truth, angle=5e-4, shift=0.05), observed(truth, n=250, d_min=3.5)
    tie = P + "crystal.unit_cell.restraints.tie_to_target."
    target = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)

    def cell(*sigmas: float) -> tuple[float, ...]:
        settings = STATIC | {tie + "values": target, tie + "sigmas": sigmas}
        return refine_models(wrong, table, nested_options(Refinement, settings)).experiments[0].crystal.unit_cell

    free = refine_models(wrong, table, nested_options(Refinement, STATIC)).experiments[0].crystal.unit_cell
    np.testing.assert_allclose(cell(1e-5, 1e-5, 1e-5, 0, 0, 0), target, atol=1e-3)
    np.testing.assert_allclose(cell(0, 0, 0, 0, 0, 0), free, atol=1e-3)
    c_only = cell(0, 0, 1e-5, 0, 0, 0)
    assert abs(c_only[2] - 38.0) < 1e-3
    assert abs(c_only[0] - 79.0) > 0.05
    with pytest.raises(XdpError, match="both values and sigmas"):
        refine_models(wrong, table, nested_options(Refinement, STATIC | {tie + "values": target}))


def test_prior_matches_models_of_problems_with_different_crystals():
    """The static problem has a common cell, the varying one a cell for each sweep: detector and beam are the same."""
    truth = turned_sweeps()
    table = observed(truth, n=150, d_min=3.0)
    experiments, cells = copy_shared_crystals(share_crystal(truth))
    data = collect(experiments, table)
    fits = []
    for varying in (False, True):
        problem = build_problem(experiments, data, Refinement().parameterisation, scan_varying=varying, cells=cells)
        normals = [build_normal_equations(part, np.zeros(problem.size)) for part in problem.parts]
        fits.append((problem, compute_covariance(normals, problem.size, 3 * len(table))))
    terms = make_prior(*fits[1], *fits[0], 1.0)
    tied = {fits[1][0].list_names()[k] for term in terms for k in term(np.zeros(fits[1][0].size)).columns}
    assert tied <= {"Mu2", "Dist", "Shift1", "Shift2", "Tau1", "Tau2", "Tau3"}
    assert BEAM is experiments[0].beam
    assert DETECTOR is experiments[1].detector
