"""What is given and not used is named in one line of the log; what is usual is not."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from integration_data import make_series, options, run

from xdp.integration.integrate import integrate
from xdp.integration.plan.unused_inputs import find_unused_inputs

PROFILE = {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": 0.05, "sigma_m": 0.1}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_series(tmp_path_factory.mktemp("small"), 6)


def with_points(experiment, n, model="crystal"):
    """An experiment with `n` models along the scan."""
    if model == "crystal":
        points = tuple(map(tuple, np.tile(experiment.crystal.A.ravel(), (n, 1)).tolist()))
        return replace(experiment, crystal=replace(experiment.crystal, A_at_scan_points=points))
    if model == "beam":
        extra = {"s0_at_scan_points": [list(experiment.beam.s0)] * n}
        return replace(experiment, beam=replace(experiment.beam, extra=extra))
    extra = {"setting_rotation_at_scan_points": [np.eye(3).ravel().tolist()] * n}
    return replace(experiment, goniometer=replace(experiment.goniometer, extra=extra))


def test_the_usual_inputs_are_not_named(small):
    assert find_unused_inputs(small.experiments, small.reference, options()) == []
    assert find_unused_inputs([with_points(small.experiments[0], 7)], None, options()) == []


@pytest.mark.parametrize(("model", "n"), [("crystal", 5), ("beam", 6), ("goniometer", 7)])
def test_models_along_the_scan_that_do_not_fit_are_named(small, model, n):
    [line] = find_unused_inputs([with_points(small.experiments[0], n, model)], None, options())
    assert line.startswith(f"Models of the {model} along the scan are not used")


def test_goniometers_follow_where_the_crystal_varies(small):
    both = with_points(with_points(small.experiments[0], 7), 7, "goniometer")
    assert find_unused_inputs([both], None, options()) == []
    lines = find_unused_inputs([both], None, options("prediction.force_static=True"))
    assert len(lines) == 2
    assert all("force_static=True" in line for line in lines)


def test_maps_scaling_models_and_columns_are_named_with_their_experiments(small):
    plain = small.experiments[0]
    distorted = replace(plain, imageset=replace(plain.imageset, dx="dx.pickle", dy="dy.pickle"))
    scaled = replace(plain, scaling_model={"__id__": "physical"})
    odd = small.reference.with_columns(colour=np.zeros(len(small.reference)), weight=np.ones(len(small.reference)))
    lines = find_unused_inputs([plain, distorted, scaled, scaled], odd, options())
    assert [line.split(" (exp")[-1] for line in lines] == [
        "eriment 1)", "eriments 2, 3)", "Columns of the reference spots that are not used: colour, weight"]
    many = find_unused_inputs([scaled] * 9, None, options())
    assert many == ["Scaling models are of earlier intensities and are not used (9 experiments)"]


def test_profile_models_that_are_made_anew_are_named(small, caplog):
    own = replace(small.experiments[0], profile=PROFILE)
    [line] = find_unused_inputs([own], small.reference, options())
    assert "create_profile_model=False keeps" in line
    assert find_unused_inputs([own], small.reference, options("create_profile_model=False")) == []
    assert find_unused_inputs([own], None, options()) == []


@pytest.mark.kernels
def test_the_log_has_the_line_and_intensities_do_not_change(small, caplog):
    plain = run(small)
    odd = small.reference.with_columns(colour=np.zeros(len(small.reference)))
    with caplog.at_level(logging.INFO):
        found = integrate(small.experiments, odd, options())
    assert caplog.text.count("Columns of the reference spots that are not used: colour") == 1
    assert found.reflections == plain.reflections
