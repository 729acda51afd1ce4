"""Panels come back to where they truly are; halves disagree by the true error; bad input is said plainly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from metrology_data import BEAM, PIXEL, make_shots

import xdp
from xdp.errors import OptionError, XdpError
from xdp.experiment import ExperimentList
from xdp.reflections.flags import Flag
from xdp.serial.metrology.draw import make_quadrant_detector
from xdp.serial.metrology.halves import compare_detectors
from xdp.serial.metrology.refine_metrology import refine_metrology, select_shots

pytestmark = pytest.mark.kernels


def compare(truth, found):
    last = found.levels[-1]
    return compare_detectors("truth", truth, found.detector, last.covariances, [g.panels for g in last.groups], BEAM,
                             is_distance_free=True)


@pytest.fixture(scope="module")
def refined():
    """100 shots with 5 % false spots, panels moved by half a pixel, quadrants by one, halves as well."""
    truth, experiments, table = make_shots(100, false_share=0.05)
    return truth, experiments, table, refine_metrology(experiments, table, split_dataset=True)


def test_panels_come_back_to_their_true_places(refined):
    truth, _, _, found = refined
    off = compare(truth, found)
    # some 230 spots a panel with errors of 0.2 px, tilts and distances free: formal errors are 0.05 px
    assert np.abs(off.shifts[:, :2]).max() < 0.2 * PIXEL
    assert 0.4 < off.chi_square < 1.6
    before, after = found.levels[0].rmsds[0], found.levels[-1].rmsds[1]
    assert before[0] > 5.0 * after[0]
    assert after[0] < 0.025  # 0.2 px, and the false spots that are near


def test_halves_disagree_by_the_true_error(refined):
    truth, _, _, found = refined
    true = np.sqrt(np.mean(compare(truth, found).shifts[:, :2] ** 2))
    seen = np.mean([np.sqrt(np.mean(half.shifts[:, :2] ** 2)) for half in found.halves]) / 2.0
    assert 0.5 < seen / true < 2.0  # of 32 shifts each, of which five are taken out
    assert len(found.parts) == 2
    assert "odd and even shots" in found.report.facts


def test_the_table_holds_predictions_of_the_refined_models(refined):
    _, experiments, table, found = refined
    used = found.reflections.flags(Flag.USED_IN_REFINEMENT)
    residuals = (found.reflections["xyzcal.mm"] - found.reflections["xyzobs.mm.value"])[used, :2]
    last = found.levels[-1]
    np.testing.assert_allclose(np.sqrt(np.mean(residuals**2, axis=0)), last.rmsds[1][:2], rtol=1e-6)
    assert np.count_nonzero(used) == int(last.fit.sums.loss[4])
    assert found.reflections["id"].max() < len(found.experiments) <= len(experiments)
    assert len(found.experiments.unique("detector")) == 1
    # a tetragonal cell stays one
    cell = found.experiments[0].known.crystal.unit_cell
    assert cell[0] == pytest.approx(cell[1], rel=1e-9)
    assert len(found.reflections) <= len(table)


def test_xdp_refine_agrees(refined):
    """The same level refined by xdp refine, on the reflections that were used here, gives the same residuals."""
    _, _, _, found = refined
    table = found.reflections
    table = table.select(table.flags(Flag.USED_IN_REFINEMENT))
    again = xdp.refine(found.experiments, table, {
        "refinement.reflections.outlier.algorithm": None, "refinement.parameterisation.beam.fix": "all",
        "refinement.parameterisation.detector.hierarchy_level": 2})
    residuals = (again.reflections["xyzcal.mm"] - again.reflections["xyzobs.mm.value"])[:, :2]
    np.testing.assert_allclose(np.sqrt(np.mean(residuals**2, axis=0)), found.levels[-1].rmsds[1][:2], rtol=2e-3)


def test_threads_do_not_change_the_result():
    _, experiments, table = make_shots(12, n_spots=60)
    one, two = (refine_metrology(experiments, table, {"mp.nproc": n, "refine_to_hierarchy_level": 1}) for n in (1, 2))
    assert one.detector == two.detector
    assert one.experiments[3].known.crystal == two.experiments[3].known.crystal


def test_panels_with_few_spots_move_with_their_neighbours():
    truth, experiments, table = make_shots(60, {1: 0.2})
    poor = table["panel"] == 5
    keep = ~poor | (np.cumsum(poor) <= 5)
    found = refine_metrology(experiments, table.select(keep))
    assert found.levels[-1].held == ("Q1S1",)
    off = compare(truth, found)
    assert np.abs(off.shifts[5, :2]).max() < 0.5 * PIXEL  # it was two pixels off
    assert np.all(found.levels[-1].covariances[5] == 0.0)


def test_expanding_begins_with_the_inner_panels():
    _, experiments, table = make_shots(40, {2: 0.05})
    found = refine_metrology(experiments, table, method="expanding")
    assert [level.name for level in found.levels][:4] == ["step0_level0", "step0_level1", "step0_level2",
                                                          "step1_level2"]
    assert len(found.levels) == 6
    assert len(found.levels[0].held) == 0
    assert len(found.levels[2].held) == 12


def test_the_energy_is_found_where_cells_are_known():
    truth, experiments, table = make_shots(40, {}, cell_spread=0.0)
    beam = experiments[0].known.beam
    off = ExperimentList([replace(e, beam=replace(e.known.beam, wavelength=e.known.beam.wavelength * 1.003))
                          for e in experiments])
    found = refine_metrology(off, table, refine_energy=True, refine_to_hierarchy_level=0,
                             **{"refinement.parameterisation.crystal.fix": "cell"})
    assert found.experiments[0].known.beam.wavelength == pytest.approx(beam.wavelength, rel=3e-4)
    assert len(truth) == 16


def test_flat_refinement_has_no_tilts_and_one_distance():
    _, experiments, table = make_shots(30, {2: 0.05})
    flat = refine_metrology(experiments, table, flat_refinement=True)
    assert [len(level.fit.modes.values) for level in flat.levels] == [3, 11, 47]
    shared = refine_metrology(experiments, table, flat_refinement=True, flat_refinement_with_distance=True)
    assert [len(level.fit.modes.values) for level in shared.levels] == [3, 12, 48]


def test_select_shots_renumbers(refined):
    _, _, table, _ = refined
    part = select_shots(table, np.array([3, 7]), 100)
    assert np.unique(part["id"]).tolist() == [0, 1]
    assert len(part) == np.count_nonzero(np.isin(table["id"], [3, 7]))


@pytest.fixture(scope="module")
def few():
    return make_shots(6, {}, n_spots=20)[1:]


def change(table, **columns):
    return table.with_columns(**columns)


def test_one_shot_is_too_few_for_the_panels():
    _, experiments, table = make_shots(1, {}, n_spots=20)
    with pytest.raises(XdpError, match="a single shot is left"):
        refine_metrology(experiments, table)


def test_shots_of_two_detectors_are_refused(few):
    experiments, table = few
    other = make_quadrant_detector(sensors=1)
    mixed = ExperimentList([*experiments[:5], replace(experiments[5], detector=other)])
    with pytest.raises(XdpError, match="the shots are of 2 detectors"):
        refine_metrology(mixed, table)


def test_a_level_that_the_tree_does_not_have_is_refused(few):
    with pytest.raises(OptionError, match="the levels 0 to 2"):
        refine_metrology(*few, refine_to_hierarchy_level=3)


def test_shots_without_crystal_or_energy_are_refused(few):
    experiments, table = few
    with pytest.raises(XdpError, match="experiment 0 has no crystal"):
        refine_metrology(ExperimentList([replace(e, crystal=None) for e in experiments]), table)
    beam = replace(experiments[0].known.beam, wavelength=float("nan"))
    with pytest.raises(XdpError, match="no photon energy"):
        refine_metrology(ExperimentList([replace(e, beam=beam) for e in experiments]), table)
    with pytest.raises(XdpError, match="there are no experiments"):
        refine_metrology(ExperimentList([]), table)


def test_positions_that_are_not_finite_are_left_out(few):
    experiments, table = few
    xyz = table["xyzobs.px.value"].copy()
    xyz[:10] = np.nan
    found = refine_metrology(experiments, change(table, **{"xyzobs.px.value": xyz}), refine_to_hierarchy_level=0)
    assert np.isfinite(found.detector.d_matrix(0)).all()
    with pytest.raises(XdpError, match="none of"):
        refine_metrology(experiments, change(table, **{"xyzobs.px.value": np.full_like(xyz, np.nan)}))


def test_all_shots_in_one_orientation_leave_directions_that_are_not_moved():
    _, experiments, table = make_shots(1, {}, n_spots=150)
    one = ExperimentList([replace(experiments[0], identifier=f"shot-{i}") for i in range(12)])
    many = table.concatenate([table.with_columns(id=np.full(len(table), i, np.int32)) for i in range(12)])
    found = refine_metrology(one, many, refine_to_hierarchy_level=0)
    shift = found.detector.d_matrix(0)[:, 2] - one[0].known.detector.d_matrix(0)[:, 2]
    assert np.abs(shift).max() < 2.0  # no flight along what a single orientation cannot tell


def test_cells_that_differ_by_a_tenth_are_refined_each(few):
    _, experiments, table = make_shots(40, {2: 0.03}, cell_spread=0.1)
    found = refine_metrology(experiments, table)
    assert found.levels[-1].rmsds[1][0] < 0.025


def test_few_reflections_fail_where_that_is_asked_for(few):
    with pytest.raises(XdpError, match=r"auto_reduction.action=fail"):
        refine_metrology(*few, **{"refinement.parameterisation.auto_reduction.action": "fail"})
