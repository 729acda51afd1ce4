"""Every parameter of refinement does something: a list of all, with what each changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from parameter_tables import leaves, nested_options
from refinement_data import Simulated, disturbed, observed, sweep

from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.refine import refine_models
from xdp.refinement.result import Refined

P, R = "parameterisation.", "reflections."
STATIC = {P + "scan_varying": False}
VARYING = {P + "scan_varying": True}

#: For each parameter: another value, and the settings under which it is compared with its default.
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    P + "auto_reduction.min_nref_per_parameter": (150, STATIC),
    P + "beam.fix": (("all",), STATIC),
    P + "beam.fix_list": (("Mu2",), STATIC),
    P + "beam.force_static": (False, VARYING),
    P + "beam.smoother.interval_width_degrees": (5.0, VARYING | {P + "beam.force_static": False}),
    P + "beam.smoother.absolute_num_intervals": (3, VARYING | {P + "beam.force_static": False}),
    P + "crystal.fix": ("cell", STATIC),
    P + "crystal.unit_cell.fix_list": (("g_param_0",), STATIC),
    P + "crystal.orientation.fix_list": (("Crystal1Phi1",), STATIC),
    P + "crystal.unit_cell.force_static": (True, VARYING),
    P + "crystal.unit_cell.smoother.interval_width_degrees": (5.0, VARYING),
    P + "crystal.unit_cell.smoother.absolute_num_intervals": (3, VARYING),
    P + "crystal.orientation.force_static": (True, VARYING),
    P + "crystal.orientation.smoother.interval_width_degrees": (5.0, VARYING),
    P + "crystal.orientation.smoother.absolute_num_intervals": (3, VARYING),
    P + "detector.fix": ("distance", STATIC),
    P + "detector.fix_list": (("Dist,Tau1",), STATIC),
    P + "detector.force_static": (False, VARYING),
    P + "detector.smoother.interval_width_degrees": (5.0, VARYING | {P + "detector.force_static": False}),
    P + "detector.smoother.absolute_num_intervals": (3, VARYING | {P + "detector.force_static": False}),
    P + "goniometer.fix": (("in_beam_plane",), STATIC),
    P + "goniometer.fix_list": (("Gamma1",), STATIC | {P + "goniometer.fix": None}),
    P + "scan_varying": (True, {}),
    "refinery.engine": ("GaussNewton", STATIC),
    "refinery.max_iterations": (1, STATIC),
    "target.bin_size_fraction": (100.0, STATIC),
    "target.absolute_cutoffs": ((1.0, 1.0, 1.0), STATIC | {"target.rmsd_cutoff": "absolute"}),
    "target.rmsd_cutoff": ("absolute", STATIC | {"target.absolute_cutoffs": (1.0, 1.0, 1.0)}),
    R + "reflections_per_degree": (5.0, STATIC | {R + "minimum_sample_size": 50}),
    R + "minimum_sample_size": (50, STATIC | {R + "reflections_per_degree": 5.0}),
    R + "maximum_sample_size": (100, STATIC),
    R + "random_seed": (7, STATIC | {R + "maximum_sample_size": 100}),
    R + "close_to_spindle_cutoff": (0.1, STATIC),
    R + "scan_margin": (3.0, STATIC),
    R + "weighting_strategy.override": ("constant", STATIC),
    R + "weighting_strategy.constants": ((1.0, 1.0, 1e4), STATIC | {R + "weighting_strategy.override": "constant"}),
    R + "outlier.algorithm": ("tukey", STATIC),
}

#: Parameters whose effect other tests show, in this module or in test_outliers.
ELSEWHERE = {
    P + "auto_reduction.action", P + "detector.panels", P + "detector.hierarchy_level",
    P + "crystal.unit_cell.restraints.tie_to_target.values", P + "crystal.unit_cell.restraints.tie_to_target.sigmas",
    P + "crystal.unit_cell.restraints.tie_to_target.id",
    R + "weighting_strategy.delpsi_constant", R + "outlier.minimum_number_of_reflections",
    R + "outlier.separate_experiments", R + "outlier.separate_panels", R + "outlier.separate_blocks",
    R + "outlier.block_width", R + "outlier.tukey.iqr_multiplier", R + "outlier.mcd.alpha", R + "outlier.mcd.n_trials",
    R + "outlier.mcd.k1", R + "outlier.mcd.k3", R + "outlier.mcd.threshold_probability",
    R + "outlier.sauter_poon.px_sz", "mp.nproc",
}


def nested(settings: dict[str, Any]) -> Refinement:
    """Options from dotted names."""
    return nested_options(Refinement, settings)


def test_no_parameter_is_without_a_test():
    assert leaves(Refinement) == CASES.keys() | ELSEWHERE


def fingerprint(result: Refined) -> np.ndarray:
    """Everything that a parameter could change, as numbers."""
    table = result.reflections
    return np.concatenate([[len(result.steps), len(result.values)], table["xyzcal.mm"].ravel(),
                           table["flags"].astype(float), result.experiments[0].crystal.A.ravel()])


@pytest.fixture(scope="module")
def start() -> Simulated:
    truth = ExperimentList([sweep()])
    return Simulated(disturbed(truth, angle=5e-4, shift=0.05), observed(truth, n=250, d_min=3.5))


@pytest.fixture(scope="module")
def refined_by(start: Simulated) -> Callable[[tuple], np.ndarray]:
    """The fingerprint of what settings give, computed once for all parameters that are compared with it."""
    @cache
    def found(settings: tuple[tuple[str, Any], ...]) -> np.ndarray:
        return fingerprint(refine_models(start.truth, start.table, nested(dict(settings))))

    return found


@pytest.mark.parametrize("path", CASES)
def test_parameter_changes_the_result(path: str, start: Simulated, refined_by: Callable[[tuple], np.ndarray]):
    value, settings = CASES[path]
    base = refined_by(tuple(settings.items()))
    other = fingerprint(refine_models(start.truth, start.table, nested(settings | {path: value})))
    assert base.shape != other.shape or not np.allclose(base, other, rtol=1e-9, atol=0)


def test_static_macrocycles_and_reflections_per_degree_auto(start: Simulated):
    once, twice = (refine_models(start.truth, start.table, nested(STATIC), n_static_macrocycles=n) for n in (1, 2))
    assert twice.steps[0].loss < once.steps[0].loss


@pytest.mark.parametrize("engine", ["SimpleLBFGS", "LBFGScurvs", "SparseLevMar"])
def test_engines_of_dials_are_the_damped_one(start: Simulated, refined_by: Callable[[tuple], np.ndarray], engine: str):
    base = refined_by(tuple(STATIC.items()))
    other = fingerprint(refine_models(start.truth, start.table, nested(STATIC | {"refinery.engine": engine})))
    np.testing.assert_array_equal(base, other)
    assert nested({"refinery.engine": engine}).list_unused() == [
        f"refinery.engine={engine}: LevMar is used, which comes to the same minimum"]


def test_cores_are_accepted_and_said_not_to_be_used(start: Simulated, refined_by: Callable[[tuple], np.ndarray]):
    base = refined_by(tuple(STATIC.items()))
    other = fingerprint(refine_models(start.truth, start.table, nested(STATIC | {"mp.nproc": 4})))
    np.testing.assert_array_equal(base, other)
    assert Refinement().list_unused() == []
