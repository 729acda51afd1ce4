"""Spot lists: errors and spurious spots as asked for, cells of each Bravais type, detectors moved as a whole."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.experiment.experiment import Experiment
from xdp.prediction.reflections import predict_rotation
from xdp.simulation.compare import match_truth
from xdp.simulation.models import make_beam, make_detector, make_goniometer, make_scan
from xdp.simulation.spot_lists import (
    HALL,
    draw_cell,
    draw_crystal,
    make_spots,
    remove_crystal,
    shift_experiment,
    simulate_spot_list,
)


@pytest.fixture(scope="module")
def experiment():
    return Experiment("a", make_beam(), make_detector((300, 260)), make_goniometer(), make_scan(20, 0.5),
                      draw_crystal("oP", (40.0, 55.0, 70.0, 90.0, 90.0, 90.0), 2))


def test_centroids_have_the_errors_that_were_asked_for(experiment):
    found = simulate_spot_list([experiment], np.random.default_rng(0), n_spots=400, sigma_px=0.3, sigma_frame=0.2)
    truth = predict_rotation(experiment, 2.0)
    rows = match_truth(truth, found.table, distance=3.0)
    same = (truth["miller_index"][rows] == found.miller_index).all(axis=1)
    assert same.mean() > 0.95
    error = (found.table["xyzobs.px.value"] - truth["xyzcal.px"][rows])[same]
    # of 400 spots a standard deviation is known to 4 %
    np.testing.assert_allclose(error.std(axis=0), [0.3, 0.3, 0.2], rtol=0.15)


def test_spurious_spots_are_the_fraction_of_all_and_have_no_crystal(experiment):
    found = simulate_spot_list([experiment, experiment], np.random.default_rng(1), n_spots=300, spurious=0.25)
    assert len(found.table) == 400
    assert (found.crystal == -1).sum() == 100
    assert not found.miller_index[found.crystal == -1].any()
    assert sorted(np.bincount(found.crystal[found.crystal >= 0]).tolist()) == [150, 150]
    z = np.floor(found.table["xyzobs.px.value"][:, 2])
    assert np.all(np.diff(z) >= 0)


@pytest.mark.parametrize("lattice", sorted(HALL))
def test_cells_and_crystals_are_of_their_bravais_type(lattice):
    cell = draw_cell(lattice, 30.0, 90.0, np.random.default_rng(5))
    crystal = draw_crystal(lattice, cell, 7)
    np.testing.assert_allclose(crystal.unit_cell, cell, rtol=1e-9)
    assert all(30.0 <= edge <= 90.0 for edge in cell[:3])
    group = crystal.space_group
    assert gemmi.UnitCell(*cell).is_compatible_with_spacegroup(group)
    assert group.centring_type() == ("R" if lattice == "hR" else lattice[1])


def test_a_shifted_detector_is_off_along_its_own_axes(experiment):
    wrong = shift_experiment(experiment, (0.9, -0.6))
    before, after = (e.detector.d_matrix(0) for e in (experiment, wrong))
    np.testing.assert_allclose(after[:, 2] - before[:, 2], before[:, :2] @ [0.9, -0.6], atol=1e-12)
    np.testing.assert_allclose(after[:, :2], before[:, :2], atol=1e-12)


def test_examples_come_as_import_gives_them(experiment):
    experiments, spots = make_spots(n_frames=10, n_spots=50)
    assert experiments[0].crystal is None
    assert 0 < len(spots) <= 50
    assert remove_crystal(experiment)[0].crystal is None
