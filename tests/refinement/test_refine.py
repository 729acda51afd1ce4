"""Whole refinements of simulated observations against the models that made them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refinement_data import SIGMA, Simulated, disturbed, observed, still, sweep

from xdp.errors import XdpError
from xdp.experiment.cell_errors import cell_uncertainties
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.pixels import ray_intersection
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.metric import cell_from_b
from xdp.refinement.refine import refine_models
from xdp.reflections.flags import Flag
from xdp.simulation.compare import compute_misorientation


def options(**parts) -> Refinement:
    """Options from nested dictionaries."""
    return Refinement.model_validate(parts)


STATIC = options(parameterisation={"scan_varying": False})


def test_static_refinement_finds_the_models(one_sweep: Simulated):
    result = refine_models(disturbed(one_sweep.truth), one_sweep.table, STATIC)
    crystal, truth = result.experiments[0].crystal, one_sweep.truth[0].crystal
    # errors of 0.1 px and 0.1 frame, 480 reflections away from the spindle: uncertainties of 0.003 deg; the cell's size
    # goes with the distance, which these low angles tell to some 0.02 %; five of them
    assert compute_misorientation(crystal, truth) < 0.02
    np.testing.assert_allclose(crystal.unit_cell, truth.unit_cell, rtol=1e-3)
    rms = result.rmsds[0] / [0.172, 0.172, np.radians(0.5)]
    # rms of what remains equals the errors put in; some are left out as outliers, which cuts the tails
    np.testing.assert_allclose(rms, SIGMA, rtol=0.15)


def test_cell_is_known_as_well_as_it_says():
    """Over 12 repeats the true cell lies within the stated uncertainties as often as a normal law wants."""
    pulls = []
    null = options(parameterisation={"scan_varying": False}, reflections={"outlier": {"algorithm": "null"}})
    truth = ExperimentList([sweep()])
    for seed in range(12):
        crystal = refine_models(truth, observed(truth, n=200, seed=seed), null).experiments[0].crystal
        errors = cell_uncertainties(crystal)
        pulls += list((np.asarray(crystal.unit_cell)[[0, 2]] - [79.34, 37.81]) / errors[[0, 2]])
    # 24 correlated pulls of unit width: their rms is 1 +- 0.2
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_uncertainties_of_fixed_angles_vanish(one_sweep: Simulated):
    crystal = refine_models(one_sweep.truth, one_sweep.table, STATIC).experiments[0].crystal
    assert np.all(cell_uncertainties(crystal)[3:] < 1e-9)
    assert crystal.unit_cell[0] == pytest.approx(crystal.unit_cell[1], rel=1e-12)


def drifting(turn: float, growth: float, n_frames: int = 24, width: float = 5.0) -> ExperimentList:
    """A crystal that turns by `turn` rad about y and grows by the fraction `growth` over the scan, linearly."""
    from xdp.refinement.parameters.rotations import make_rotation

    e = sweep(n_frames, width)
    t = np.linspace(-0.5, 0.5, n_frames + 1)
    points = [make_rotation(np.array([0, 1.0, 0]), turn * f) @ e.crystal.A / (1 + growth * f) for f in t]
    return ExperimentList([replace(e, crystal=replace(e.crystal, A_at_scan_points=tuple(
        tuple(map(float, m.ravel())) for m in points)))])


def observed_drifting(truth: ExperimentList):
    """Reflections of a drifting crystal: each frame's are predicted with the setting of its middle."""
    from xdp.reflections.table import ReflectionTable

    e = truth[0]
    points = np.asarray(e.crystal.A_at_scan_points).reshape(-1, 3, 3)
    tables = []
    for k in range(e.scan.n_frames):
        real = np.linalg.inv(0.5 * (points[k] + points[k + 1]))
        a, b, c = (tuple(map(float, row)) for row in real)
        crystal = replace(e.crystal, real_space_a=a, real_space_b=b, real_space_c=c, A_at_scan_points=None)
        scan = replace(e.scan, image_range=(k + 1, k + 1), exposure_time=(0.1,), epochs=(0.0,),
                       oscillation=(float(e.scan.angle(k)), e.scan.oscillation[1]))
        one = ExperimentList([replace(e, crystal=crystal, scan=scan)])
        tables.append(observed(one, n=100, d_min=3.5, seed=k, noise=0.1))
    return ReflectionTable.concatenate(tables)


def test_scan_varying_cell_shows_radiation_damage():
    """A cell that grows by 0.4 % over 120 degrees while the crystal slips by 0.2 degrees."""
    truth = drifting(np.radians(0.2), 4e-3)
    start = ExperimentList([replace(truth[0], crystal=replace(truth[0].crystal, A_at_scan_points=None))])
    result = refine_models(start, observed_drifting(truth))
    points = np.asarray(result.experiments[0].crystal.A_at_scan_points).reshape(-1, 3, 3)
    want = np.asarray(truth[0].crystal.A_at_scan_points).reshape(-1, 3, 3)
    assert len(points) == 25
    # a linear change through smoothed nodes: the smoother flattens the ends, by up to a fifth of the change
    np.testing.assert_allclose(cell_from_b(points)[:, 0], cell_from_b(want)[:, 0], atol=0.25 * 0.004 * 79.34)
    growth = cell_from_b(points[[2, -3]])
    assert growth[1, 0] / growth[0, 0] - 1 == pytest.approx(4e-3 * 20 / 24, rel=0.2)
    # the slip, as far as it is not that of the detector about the beam, which predicts the same
    used = result.reflections.flags(Flag.USED_IN_REFINEMENT)
    assert used.mean() > 0.7  # at these low angles every fifth lies next to the spindle
    assert np.all(result.rmsds[0] < 0.15 * SIGMA * [0.172, 0.172, np.radians(5)])


def test_crystal_without_drift_stays_static_and_the_scan_varying_one_is_as_good(one_sweep: Simulated):
    automatic = refine_models(one_sweep.truth, one_sweep.table)
    assert automatic.experiments[0].crystal.A_at_scan_points is None
    forced = refine_models(one_sweep.truth, one_sweep.table, options(parameterisation={"scan_varying": True}))
    points = np.asarray(forced.experiments[0].crystal.A_at_scan_points).reshape(-1, 3, 3)
    truth = one_sweep.truth[0].crystal
    middle = np.linalg.inv(points[20])
    a, b, c = (tuple(row) for row in middle)
    # before the detector was tied in this stage, 20 degrees let it turn by 0.02 degrees against the crystal
    assert compute_misorientation(replace(truth, real_space_a=a, real_space_b=b, real_space_c=c), truth) < 0.015
    assert compute_misorientation(forced.experiments[0].crystal, truth) < 0.015


def test_stills_share_a_detector_and_find_it():
    """Fifteen stills: each has too little to say of the detector alone, together they place it."""
    detector = sweep().detector
    truth = ExperimentList([still(seed) for seed in range(15)])
    result = refine_models(disturbed(truth, shift=0.1, angle=5e-4, scale=1.0), observed(truth, n=80, d_min=3.0), STATIC)
    found = result.experiments[0].detector
    assert all(e.detector is found for e in result.experiments)
    # where the beam meets it, by 1200 spots of 0.017 mm; beam and detector may turn together about the crystals, which
    # says nothing
    centre, _ = ray_intersection(found, 0, result.experiments[0].beam.s0[None])
    want, _ = ray_intersection(detector, 0, truth[0].beam.s0[None])
    np.testing.assert_allclose(centre, want, atol=0.005)
    away = [compute_misorientation(e.crystal, t.crystal) for e, t in zip(result.experiments, truth, strict=True)]
    # 80 spots within 0.2 deg of the sphere place a still to 0.03 deg about the beam's normals
    assert np.median(away) < 0.06


def test_result_does_not_depend_on_the_order_of_experiments():
    truth = [still(seed) for seed in range(4)]
    forward = refine_models(ExperimentList(truth), observed(ExperimentList(truth), n=80, d_min=3.5, noise=0.0), STATIC)
    reverse = ExperimentList(truth[::-1])
    backward = refine_models(reverse, observed(reverse, n=80, d_min=3.5, noise=0.0), STATIC)
    np.testing.assert_allclose(forward.experiments[0].crystal.A, backward.experiments[3].crystal.A, atol=1e-6)


@pytest.mark.parametrize(("damage", "message"), [
    (lambda t: t.select(np.arange(0)), "none of 0 reflections is indexed"),
    (lambda t: t.with_columns(flags=np.zeros(len(t), np.uint64)), "is indexed"),
    (lambda t: t.with_columns(panel=np.full(len(t), 3, np.uint64)), "panel 3"),
    (lambda t: t.with_columns(miller_index=t["miller_index"][:, [1, 2, 0]].copy()), "do not belong to this"),
])
def test_reflections_that_cannot_be_refined_are_refused(one_sweep: Simulated, damage, message: str):
    with pytest.raises(XdpError, match=message):
        refine_models(one_sweep.truth, damage(one_sweep.table), STATIC)


def test_missing_crystals_and_columns_are_errors(one_sweep: Simulated):
    with pytest.raises(XdpError, match="needs a crystal"):
        refine_models(ExperimentList([replace(one_sweep.truth[0], crystal=None)]), one_sweep.table)
    with pytest.raises(XdpError, match="no experiments"):
        refine_models(ExperimentList([]), one_sweep.table)
    from xdp.reflections.table import ReflectionTable

    without = ReflectionTable({k: one_sweep.table[k] for k in one_sweep.table if k != "miller_index"})
    with pytest.raises(XdpError, match="no column miller_index"):
        refine_models(one_sweep.truth, without)
