from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from partiality_data import ETA, SIZE, make_spots, measure_turn, simulate_domain_shot, turn_crystal

from xdp.errors import XdpError
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.stills.shot import integrate_shot

PROFILE = {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": 0.08, "sigma_m": 0.0}


@pytest.fixture(scope="module")
def shot():
    return simulate_domain_shot(1)


@pytest.fixture(scope="module")
def found(shot):
    start = replace(turn_crystal(shot.experiment, [0.02, -0.02, 0.01]), profile=PROFILE)
    return integrate_shot(shot.panels, [start], [make_spots(shot)], partiality=PartialityOptions(bandwidth=0.0))


def test_partialities_and_intensities_are_true(shot, found):
    assert not found.failures
    table, truth = found.reflections, shot.truth
    row = {tuple(h): i for i, h in enumerate(truth["miller_index"].tolist())}
    pairs = np.array([(i, row[tuple(h)]) for i, h in enumerate(table["miller_index"].tolist()) if tuple(h) in row])
    mine, true = table.select(pairs[:, 0]), truth.select(pairs[:, 1])
    seen = true["partiality"] > 0.1
    assert np.corrcoef(mine["partiality"][seen], true["partiality"][seen])[0, 1] > 0.98
    pull = (mine["intensity.sum.value"] - true["intensity.sum.value"]) / np.sqrt(mine["intensity.sum.variance"])
    assert 0.8 < np.subtract(*np.quantile(pull[seen], [0.75, 0.25])) / 1.349 < 1.2
    full = mine["intensity.sum.value"] * mine["lp"] / mine["partiality"]
    assert np.corrcoef(full[seen], true["intensity.true"][seen])[0, 1] > 0.95
    assert np.all(table["partiality.variance"] >= 0.0)


def test_the_crystal_is_refined_and_says_its_widths(shot, found):
    experiment = found.experiments[0]
    assert np.linalg.norm(measure_turn(experiment, shot.experiment)) < 0.01
    model = experiment.crystal.extra["partiality"]
    assert model["size"] == pytest.approx(SIZE, rel=0.3)
    assert model["rotation"] == pytest.approx(ETA, rel=0.3)
    assert found.fits[0].widths.shape == (3,)


def test_a_crystal_that_fails_does_not_take_the_others_along(shot):
    start = replace(shot.experiment, profile=PROFILE)
    spots = make_spots(shot)
    bad = replace(start, profile=None)
    found = integrate_shot(shot.panels, [bad, start], [spots, spots],
                           partiality=PartialityOptions(bandwidth=0.0, prediction_cycles=1))
    assert [number for number, _ in found.failures] == [0]
    assert found.numbers == (1,)
    assert set(found.reflections["id"].tolist()) == {0}


def test_nothing_is_left_of_a_shot_without_profiles(shot):
    found = integrate_shot(shot.panels, [replace(shot.experiment, profile=None)], [make_spots(shot)])
    assert found.reflections is None
    assert "profile" in found.failures[0][1]


def test_lists_must_agree(shot):
    with pytest.raises(XdpError, match="1 experiments and 0 tables"):
        integrate_shot(shot.panels, [shot.experiment], [])
