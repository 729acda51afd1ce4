"""Parameters that are named one by one stay where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from parameter_tables import nested_options
from refinement_data import collect, disturbed, observed, quarters, share_crystal, still, sweep, turned_sweeps

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.fix_list import is_named, split_words
from xdp.refinement.parameters.setup import build_problem, list_unknown_names
from xdp.refinement.parameters.sweeps import copy_shared_crystals
from xdp.refinement.refine import refine, refine_models

P = "parameterisation."
STATIC = {P + "scan_varying": False}


def free_names(experiments: ExperimentList, settings: dict, cells: dict | None = None) -> list[str]:
    """The names of all parameters that are refined, each after its kind and the number of the block."""
    options = nested_options(Refinement, settings).parameterisation
    table = observed(experiments, n=30, d_min=4.0)
    problem = build_problem(experiments, collect(experiments, table), options, cells=cells)
    owners: dict[str, list] = {}
    found = []
    for key, slot in problem.slots.items():
        seen = owners.setdefault(key.kind, [])
        seen.append(key)
        found += [f"{key.kind}{len(seen)}.{name}" for name in slot.list_names()]
    return found


def test_words_are_split_and_match_parts_of_names_or_numbers():
    assert split_words(["(Dist,", "Tau1)", "2"]) == ["Dist", "Tau1", "2"]
    assert split_words(None) == []
    assert is_named("Group2", "Detector1Group2Dist", 6)
    assert not is_named("Tau3", "Detector1Tau1", 3)
    assert is_named("3", "Detector1Tau1", 3)
    assert not is_named("1", "Detector1Tau1", 3)  # a number, no part of a name


@pytest.mark.parametrize(("words", "left"), [
    (("Dist,Tau1",), ["Shift1", "Shift2", "Tau2", "Tau3"]),
    (("Dist", "Tau"), ["Shift1", "Shift2"]),
    (("0", "5"), ["Shift1", "Shift2", "Tau1", "Tau2"]),
    (("Detector1Shift",), ["Dist", "Tau1", "Tau2", "Tau3"]),
    (("Detector1",), []),
])
def test_detector_keeps_what_is_named(words: tuple[str, ...], left: list[str]):
    names = free_names(ExperimentList([sweep()]), {P + "detector.fix_list": words})
    assert [n.split(".")[1] for n in names if n.startswith("detector")] == left


def test_fix_and_fix_list_add_up():
    both = {P + "detector.fix": "orientation", P + "detector.fix_list": ("Dist",)}
    names = free_names(ExperimentList([sweep()]), both)
    assert [n for n in names if n.startswith("detector")] == ["detector1.Shift1", "detector1.Shift2"]


def test_fixed_parameters_do_not_move():
    """The detector is 0.05 mm off along all three axes; only the two that are free come back."""
    truth = ExperimentList([sweep()])
    start, table = disturbed(truth, angle=5e-4, shift=0.05), observed(truth, n=250, d_min=3.5)
    found = refine_models(start, table, nested_options(Refinement, STATIC | {P + "detector.fix_list": ("Dist,Tau",)}))
    before, after = (e[0].detector.d_matrix(0) for e in (start, found.experiments))
    np.testing.assert_allclose(after[:, :2], before[:, :2], atol=1e-12)
    assert after[2, 2] == pytest.approx(before[2, 2], abs=1e-9)
    true = truth[0].detector.d_matrix(0)
    assert np.all(np.abs(after[:2, 2] - true[:2, 2]) < 0.3 * np.abs(before[:2, 2] - true[:2, 2]))


def test_groups_of_a_hierarchy_have_numbers():
    experiments = ExperimentList([replace(sweep(), detector=quarters())])
    level = {P + "detector.hierarchy_level": 1}
    second = free_names(experiments, level | {P + "detector.fix_list": ("Group2",)})
    assert {n for n in second if n.startswith("detector")} == {
        f"detector1.{name}" for name in ("Dist", "Shift1", "Shift2", "Tau1", "Tau2", "Tau3")}
    one = free_names(experiments, level | {P + "detector.fix_list": ("Group1Dist", "11")})
    assert len([n for n in one if n.startswith("detector")]) == 10
    assert "detector1.Dist" not in one
    assert "detector2.Tau3" not in one  # number 11 of 12


def test_models_have_numbers():
    pair = ExperimentList([sweep(seed=0), sweep(seed=1)])
    names = free_names(pair, {P + "crystal.orientation.fix_list": ("Crystal2",),
                              P + "crystal.unit_cell.fix_list": ("Crystal1g_param_1", "Crystal2g_param_0")})
    assert [n for n in names if n.startswith("orientation")] == [f"orientation1.Phi{k}" for k in (1, 2, 3)]
    assert [n for n in names if n.startswith("cell")] == ["cell1.g_param_0", "cell2.g_param_1"]


def test_copies_of_a_crystal_have_its_number():
    experiments, cells = copy_shared_crystals(share_crystal(turned_sweeps()))
    names = free_names(experiments, {P + "crystal.orientation.fix_list": ("Crystal1Phi2",)}, cells)
    assert [n for n in names if n.startswith("orientation")] == [
        f"orientation{k}.Phi{axis}" for k in (1, 2, 3) for axis in (1, 3)]


def test_words_that_name_nothing_are_refused():
    truth = ExperimentList([sweep()])
    table = observed(truth, n=50, d_min=4.0)
    with pytest.raises(XdpError, match=r"fix_list: Dost names no parameter; there are Detector1Dist, .*Tau3$"):
        refine(truth, table, {"detector.fix_list": ("Dost",)})
    with pytest.raises(XdpError, match=r"detector\.fix_list: 6 names no"):
        refine(truth, table, {"detector.fix_list": ("0,6",)})
    stills = ExperimentList([still()])
    (line,) = list_unknown_names(stills, nested_options(
        Refinement, {P + "goniometer.fix_list": ("Gamma1",)}).parameterisation)
    assert line == "goniometer.fix_list: Gamma1 names no parameter; there are none"
    assert list_unknown_names(stills, Refinement().parameterisation) == []
