"""Minimisation, the step of the reduced system and covariances, against solutions of the whole system."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from refinement_data import collect, ideal_stills
from refinement_part import TETRAGONAL, count_parameters, make_part

from xdp.refinement.equations.engine import compute_covariance, minimise, solve_step
from xdp.refinement.equations.parts import NormalEquations
from xdp.refinement.equations.problem import build_normal_equations, compute_residuals, predict_part
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem


def test_minimise_finds_the_models_that_made_the_data():
    """Detector, orientation and cell are moved; noiseless data bring them back."""
    part = make_part(rotations=TETRAGONAL)
    fixed = replace(part, beam=replace(part.beam, free=()), setting=replace(part.setting, free=()))
    offset, slots = 0, []
    for slot in fixed.slots:
        slots.append(replace(slot, offset=offset))
        offset += slot.size
    part = replace(fixed, beam=slots[0], detector=(slots[1],), setting=slots[2], orientation=slots[3], cell=slots[4])
    truth = np.random.default_rng(5).normal(0, 1.0, offset)
    at = predict_part(part, truth)[1]
    part = replace(part, data=replace(part.data, observed=np.column_stack([at.x, at.y, at.third])))
    found = minimise(lambda p: [build_normal_equations(part, p)], np.zeros(offset), rms_change=1e-12)
    assert np.abs(compute_residuals(part, predict_part(part, found.parameters)[1])).max() < 1e-7
    np.testing.assert_allclose(found.parameters, truth, atol=1e-4)


def test_schur_step_equals_the_full_solution():
    """Two experiments share the detector; their crystals are eliminated."""
    first = make_part()
    second = make_part()
    shift = sum(s.size for s in first.slots[-2:])
    second = replace(second, orientation=replace(second.orientation, offset=first.orientation.offset + shift),
                     cell=replace(second.cell, offset=first.cell.offset + shift),
                     data=second.data.select(slice(0, 150)))
    size = count_parameters(first) + shift
    p = np.random.default_rng(6).normal(0, 0.3, size)
    normals = [build_normal_equations(part, p) for part in (first, second)]
    full, right = np.zeros((size, size)), np.zeros(size)
    for n in normals:
        full[np.ix_(n.columns, n.columns)] += n.matrix
        right[n.columns] += n.vector
    full[np.arange(size), np.arange(size)] *= 1.1
    # beam, setting and orientation are nearly dependent: the comparison is of what the step does to the residuals
    want, got = np.linalg.solve(full, -right), solve_step(normals, size, 0.1)
    assert np.allclose(full @ got, full @ want, rtol=1e-6, atol=1e-8 * np.abs(right).max())


def test_covariance_by_blocks_is_the_inverse_of_the_whole():
    stills = ideal_stills()
    options = Refinement.model_validate({"parameterisation": {
        "scan_varying": False, "beam": {"fix": ["all"]}}}).parameterisation
    data = collect(stills.truth, stills.table)
    problem = build_problem(stills.truth, data, options)
    normals = [build_normal_equations(part, np.zeros(problem.size)) for part in problem.parts]
    whole = np.zeros((problem.size, problem.size))
    for normal in normals:
        whole[np.ix_(normal.columns, normal.columns)] += normal.matrix
    scale = 2.0 * sum(n.loss for n in normals) / (1080 - problem.size)
    # a common turn of detector and crystals changes nothing: a small ridge makes both sides regular
    ridge = 1e-6 * np.diag(np.diag(whole))
    for normal in normals:
        own = ridge[np.ix_(normal.columns, normal.columns)]
        uses = sum(np.isin(normal.columns, n.columns).astype(int) for n in normals)
        normal.matrix[...] += own / uses
    want = np.sqrt(np.diag(np.linalg.inv(whole + ridge)) * scale)
    esds = compute_covariance(normals, problem.size, 1080).compute_esds(problem.size)
    np.testing.assert_allclose(esds, want, rtol=1e-4)


def test_covariance_of_nothing_known_is_not_infinite():
    empty = NormalEquations(np.array([0, 1]), np.diag([4.0, 0.0]), np.zeros(2), 2.0, count=2)
    assert compute_covariance([empty], 2, 6).compute_esds(2).tolist() == [0.5, 0.0]  # 2 * 2 / (6 - 2) = 1 times 1/4
