"""Every parameter of refinement does something: a list of all, with what each changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from parameter_tables import leaves, nested_options
from refinement_data import Simulated, disturbed, observed, still, sweep

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem, panel_groups
from xdp.refinement.refine import Refined, refine_models
from xdp.reflections.flags import Flag

P, R = "parameterisation.", "reflections."
STATIC = {P + "scan_varying": False}
VARYING = {P + "scan_varying": True}

#: For each parameter: another value, and the settings under which it is compared with its default.
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    P + "auto_reduction.min_nref_per_parameter": (150, STATIC),
    P + "beam.fix": (("all",), STATIC),
    P + "beam.force_static": (False, VARYING),
    P + "beam.smoother.interval_width_degrees": (5.0, VARYING | {P + "beam.force_static": False}),
    P + "beam.smoother.absolute_num_intervals": (3, VARYING | {P + "beam.force_static": False}),
    P + "crystal.fix": ("cell", STATIC),
    P + "crystal.unit_cell.force_static": (True, VARYING),
    P + "crystal.unit_cell.smoother.interval_width_degrees": (5.0, VARYING),
    P + "crystal.unit_cell.smoother.absolute_num_intervals": (3, VARYING),
    P + "crystal.orientation.force_static": (True, VARYING),
    P + "crystal.orientation.smoother.interval_width_degrees": (5.0, VARYING),
    P + "crystal.orientation.smoother.absolute_num_intervals": (3, VARYING),
    P + "detector.fix": ("distance", STATIC),
    P + "detector.force_static": (False, VARYING),
    P + "detector.smoother.interval_width_degrees": (5.0, VARYING | {P + "detector.force_static": False}),
    P + "detector.smoother.absolute_num_intervals": (3, VARYING | {P + "detector.force_static": False}),
    P + "goniometer.fix": (("in_beam_plane",), STATIC),
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
    R + "weighting_strategy.delpsi_constant", R + "outlier.minimum_number_of_reflections",
    R + "outlier.separate_experiments", R + "outlier.separate_panels", R + "outlier.separate_blocks",
    R + "outlier.block_width", R + "outlier.tukey.iqr_multiplier", R + "outlier.mcd.alpha", R + "outlier.mcd.n_trials",
    R + "outlier.mcd.k1", R + "outlier.mcd.k3", R + "outlier.mcd.threshold_probability",
    R + "outlier.sauter_poon.px_sz",
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


def test_weight_of_delta_psi(start: Simulated):
    truth = ExperimentList([still(3)])
    table = observed(truth, n=150, d_min=2.8)
    strong, weak, none = (
        refine_models(truth, table, nested(STATIC | {R + f"weighting_strategy.{k}": v})).rmsds[0, 2]
        for k, v in (("delpsi_constant", 1e8), ("delpsi_constant", 1e5), ("override", "statistical")))
    assert strong < weak <= none
    with pytest.raises(XdpError, match="experiments rotate"):
        refine_models(start.truth, start.table, nested({R + "weighting_strategy.override": "stills"}))


def test_cell_is_drawn_to_its_target(start: Simulated):
    tie = P + "crystal.unit_cell.restraints.tie_to_target."
    target = (79.0, 79.0, 38.0, 90.0, 90.0, 90.0)

    def cell(*sigmas: float) -> tuple[float, ...]:
        settings = STATIC | {tie + "values": target, tie + "sigmas": sigmas}
        return refine_models(start.truth, start.table, nested(settings)).experiments[0].crystal.unit_cell

    free = refine_models(start.truth, start.table, nested(STATIC)).experiments[0].crystal.unit_cell
    np.testing.assert_allclose(cell(1e-5, 1e-5, 1e-5, 0, 0, 0), target, atol=1e-3)
    np.testing.assert_allclose(cell(0, 0, 0, 0, 0, 0), free, atol=1e-3)
    c_only = cell(0, 0, 1e-5, 0, 0, 0)
    assert abs(c_only[2] - 38.0) < 1e-3
    assert abs(c_only[0] - 79.0) > 0.05
    with pytest.raises(XdpError, match="both values and sigmas"):
        refine_models(start.truth, start.table, nested(STATIC | {tie + "values": target}))


def two_crystals(n_second: int) -> Simulated:
    """Two sweeps on one detector, the second with few reflections."""
    truth = ExperimentList([sweep(seed=0), sweep(seed=1)])
    table = observed(truth, n=250, d_min=3.5)
    second = np.flatnonzero(table["id"] == 1)[n_second:]
    return Simulated(truth, table.select(np.setdiff1d(np.arange(len(table)), second)))


def test_too_few_reflections_hold_one_crystal():
    few = two_crystals(7)
    action = P + "auto_reduction.action"
    held = refine_models(few.truth, few.table, nested(STATIC))
    assert held.experiments[1].crystal == few.truth[1].crystal
    assert held.experiments[0].crystal != few.truth[0].crystal
    assert held.reflections.flags(Flag.USED_IN_REFINEMENT)[few.table["id"] == 1].any()
    removed = refine_models(few.truth, few.table, nested(STATIC | {action: "remove"}))
    assert removed.experiments[1].crystal == few.truth[1].crystal
    assert removed.steps[-1].n_reflections < held.steps[-1].n_reflections
    with pytest.raises(XdpError, match=r"crystal 1: \d+ reflections are too few for 5 parameters"):
        refine_models(few.truth, few.table, nested(STATIC | {action: "fail"}))
    least = P + "auto_reduction.min_nref_per_parameter"
    assert refine_models(few.truth, few.table,
                         nested(STATIC | {least: 1})).experiments[1].crystal != few.truth[1].crystal


def test_nothing_left_to_refine_is_told(start: Simulated):
    with pytest.raises(XdpError, match="nothing to refine"):
        refine_models(start.truth, start.table, nested(
            {P + "crystal.fix": "all", P + "detector.fix": "all", P + "beam.fix": ("all",)}))
    with pytest.raises(XdpError, match="nothing to refine"):
        refine_models(start.truth, start.table.select(np.arange(4)), nested(STATIC))


def test_beam_keeps_to_the_plane_of_the_spindle(start: Simulated):
    """The name says what is fixed: by default the beam may turn within the plane of beam and spindle only."""
    refined = refine_models(start.truth, start.table, nested(STATIC)).experiments[0].beam.unit_s0
    out_of_plane = np.cross([1.0, 0.0, 0.0], start.truth[0].beam.unit_s0)
    assert abs(refined @ out_of_plane) < 1e-12
    assert abs(refined[0]) > 1e-7


def test_names_of_detectors_that_do_not_fit_are_told(start: Simulated):
    from xdp.experiment.detector import Detector

    one = start.truth[0].detector
    two = Detector((one[0], one[0]))
    with pytest.raises(XdpError, match="has 2 panels"):
        panel_groups(two, "single", 0)
    with pytest.raises(XdpError, match="no hierarchy"):
        panel_groups(two, "hierarchical", 0)
    assert [g.tolist() for g in panel_groups(two, "multiple", 3)] == [[0, 1]]


def test_crystal_that_two_sweeps_share_stays_static():
    e = sweep()
    pair = ExperimentList([e, replace(e, scan=replace(e.scan), identifier="other")])
    table = observed(pair, n=60, d_min=4.0)
    from xdp.refinement.refine import _observations
    from xdp.refinement.selection import with_mm

    data, _ = _observations(pair, with_mm(pair, table), Refinement())
    problem = build_problem(pair, data, Refinement().parameterisation, scan_varying=True)
    assert all(slot.smoother is None for slot in problem.slots.values())
