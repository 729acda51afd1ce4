"""Models made of refined parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from refinement_data import collect, observed, sweep

from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem
from xdp.refinement.parameters.writeback import apply_parameters
from xdp.refinement.refine import refine_models


def test_varying_beam_is_written_at_scan_points():
    truth = ExperimentList([sweep()])
    options = Refinement.model_validate({"parameterisation": {"scan_varying": True, "beam": {"force_static": False}}})
    beam = refine_models(truth, observed(truth, n=250, d_min=3.5), options).experiments[0].beam
    points = np.asarray(beam.extra["s0_at_scan_points"])
    assert points.shape == (41, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1 / beam.wavelength, rtol=1e-9)
    np.testing.assert_allclose(points.mean(axis=0), beam.s0, atol=1e-5)


def test_shared_models_stay_shared_and_fixed_ones_the_same_object():
    one = sweep()
    pair = ExperimentList([one, replace(one, identifier="other images")], {"note": "kept"})
    options = Refinement.model_validate({"parameterisation": {"beam": {"fix": ["all"]}}})
    problem = build_problem(pair, collect(pair, observed(pair, n=40, d_min=4.0), options), options.parameterisation)
    moved = apply_parameters(problem, np.full(problem.size, 0.5), pair)
    assert moved.extra == {"note": "kept"}
    assert moved[0].beam is one.beam
    assert moved[0].crystal is moved[1].crystal
    assert moved[0].detector is moved[1].detector
    # 0.5 mm along the normal, fast and slow direction
    shift = np.subtract(moved[0].detector[0].origin, one.detector[0].origin)
    assert 0.5 < np.linalg.norm(shift) < 1.2
    np.testing.assert_array_equal(apply_parameters(problem, np.zeros(problem.size), pair)[0].detector[0].origin,
                                  one.detector[0].origin)
