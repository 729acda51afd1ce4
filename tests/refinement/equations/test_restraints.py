"""Cells are drawn to their targets; static models are tied where drift could imitate them."""

from __future__ import annotations

import numpy as np
import pytest
from parameter_tables import nested_options
from refinement_data import BEAM, DETECTOR, collect, disturbed, observed, share_crystal, sweep, turned_sweeps

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.options import parse, parse_phil
from xdp.refinement.command_options import RefineOptions
from xdp.refinement.equations.engine import compute_covariance
from xdp.refinement.equations.problem import build_normal_equations
from xdp.refinement.equations.restraints import make_prior, resolve_targets
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem
from xdp.refinement.parameters.sweeps import copy_shared_crystals
from xdp.refinement.refine import refine, refine_models

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


def test_cells_of_some_experiments_are_tied():
    """Two crystals of one cell: only that of the experiments that are named, by number, comes to the target."""
    truth = ExperimentList([sweep(seed=0), sweep(seed=1)])
    wrong, table = disturbed(truth, angle=5e-4, shift=0.05), observed(truth, n=200, d_min=3.5)
    tie = {"values": (79.0, 79.0, 38.0, 90.0, 90.0, 90.0), "sigmas": (1e-5, 1e-5, 1e-5, 0, 0, 0)}
    other = tie | {"values": (78.5, 78.5, 37.8, 90.0, 90.0, 90.0)}

    def cells(*ties: dict) -> list[np.ndarray]:
        settings = STATIC | {P + "crystal.unit_cell.restraints.tie_to_target": ties}
        result = refine_models(wrong, table, nested_options(Refinement, settings))
        return [np.array(e.crystal.unit_cell) for e in result.experiments]

    free = cells()
    second = cells(tie | {"id": (1,)})
    np.testing.assert_allclose(second[1], tie["values"], atol=1e-3)
    assert np.linalg.norm(second[0] - tie["values"]) > 0.05
    # the target is 0.4 Å off, of which the distance, which both crystals share, takes up a little
    np.testing.assert_allclose(second[0], free[0], atol=0.05)
    both = cells(tie | {"id": (1,)}, other | {"id": (0,)})
    np.testing.assert_allclose(both[1], tie["values"], atol=1e-3)
    np.testing.assert_allclose(both[0], other["values"], atol=1e-3)
    with pytest.raises(XdpError, match="a cell has two targets"):
        cells(tie, other | {"id": (0,)})
    with pytest.raises(XdpError, match=r"tie_to_target\.id=2, but there are 2 experiments"):
        refine(wrong, table, {"tie_to_target": {**tie, "id": (2,)}})


def test_target_of_one_sweep_holds_for_all_sweeps_of_its_crystal():
    """Sweeps that get copies of their crystal keep its target."""
    shared = share_crystal(turned_sweeps())
    tie = {P + "crystal.unit_cell.restraints.tie_to_target": {"id": (1,)}}
    options = resolve_targets(shared, nested_options(Refinement, tie))
    assert options.parameterisation.crystal.unit_cell.restraints.tie_to_target[0].id == (0, 1, 2)
    apart = resolve_targets(turned_sweeps(), nested_options(Refinement, tie))
    assert apart.parameterisation.crystal.unit_cell.restraints.tie_to_target[0].id == (1,)


def test_words_and_blocks_make_the_ties_that_they_say():
    """Three words of a command line are one tie; blocks of a file, as DIALS' users write them, are one each."""
    cell = "79,79,38,90,90,90"
    words = [f"tie_to_target.values={cell}", "tie_to_target.sigmas=1,1,1,0,0,0", "tie_to_target.id=0,2"]
    (tie,) = parse(RefineOptions, words)[0].refinement.parameterisation.crystal.unit_cell.restraints.tie_to_target
    assert (tie.values[2], tie.sigmas[0], tie.id) == (38.0, 1.0, (0, 2))
    blocks = "".join(f"tie_to_target {{\nvalues={cell.replace('38', c)}\nsigmas=1,1,1,0,0,0\nid={k}\n}}\n"
                     for k, c in enumerate(("38", "39")))
    scope = "refinement.parameterisation.crystal.unit_cell.restraints"
    options = parse_phil(RefineOptions, f"{scope} {{\n{blocks}}}")
    ties = options.refinement.parameterisation.crystal.unit_cell.restraints.tie_to_target
    assert [(t.values[2], t.id) for t in ties] == [(38.0, (0,)), (39.0, (1,))]


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
