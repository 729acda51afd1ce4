from __future__ import annotations

import numpy as np
import pytest

from xdp.simulation import make_beam, make_crystal, make_detector, simulate_stills
from xdp.simulation.background import expect_background


@pytest.fixture(scope="module")
def shots(quiet):
    one, two = make_crystal(orientation=1), make_crystal(orientation=2)
    return simulate_stills([one, None, [one, two]], make_beam(), make_detector((200, 180), distance=60.0),
                           options=quiet, seed=3)


def test_each_crystal_is_an_experiment_and_each_shot_a_frame(shots):
    assert shots.n_frames == 3
    assert [experiment.identifier for experiment in shots.experiments] == ["shot-0-0", "shot-2-0", "shot-2-1"]
    assert sorted(set(zip(shots.truth["id"].tolist(), shots.truth["xyzcal.px"][:, 2].tolist(), strict=True))) == [
        (0, 0.5), (1, 2.5), (2, 2.5)]
    assert set(shots.truth.identifiers) == {0, 1, 2}


def test_photons_of_a_shot_are_those_of_its_crystals(shots, quiet):
    experiment = shots.experiments[0]
    floor = expect_background(experiment.detector, experiment.beam, 0, quiet.background)
    for frame, members in [(0, [0]), (1, []), (2, [1, 2])]:
        expected = shots.truth["intensity.sum.value"][np.isin(shots.truth["id"], members)].sum()
        assert shots.expected(frame)[0].sum() - floor.sum() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_partiality_falls_with_the_distance_from_the_sphere(shots, quiet):
    angle, partiality = np.rad2deg(shots.truth["delpsical.rad"]), shots.truth["partiality"]
    np.testing.assert_allclose(partiality, np.exp(-0.5 * (angle / quiet.sigma_m) ** 2), rtol=1e-12)
    assert partiality.max() > 0.9
    assert np.abs(angle).max() <= 4 * quiet.sigma_m


def test_only_blanks_give_an_empty_truth(quiet):
    blank = simulate_stills([None], make_beam(), make_detector((60, 50)), options=quiet)
    assert len(blank.truth) == 0
    assert blank.stack().shape == (1, 1, 50, 60)
