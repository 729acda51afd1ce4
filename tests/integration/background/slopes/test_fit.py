"""Backgrounds that follow their surroundings: the bend of a profile, and intensities at a panel's edge."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import make_series, options, run

from xdp.experiment.experiment import Experiment
from xdp.integration.background.slopes.fit import BackgroundShape
from xdp.integration.background.slopes.profile import RadialProfile, describe_places
from xdp.reflections.flags import Flag
from xdp.simulation.compare import match_truth
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan

pytestmark = pytest.mark.kernels

WIDTH, HEIGHT = 400, 340


def test_the_bend_is_that_of_the_profile():
    models = Experiment("x", make_beam(), make_detector((300, 260), distance=70.0), make_goniometer(), make_scan(2),
                        make_crystal())
    t = np.linspace(0.0, 1.0, 200)
    shape = BackgroundShape(models, RadialProfile(t, -20.0 * (t - 0.3) ** 2, 1.0))
    xy, half = np.array([[220.0, 180.0]]), np.array([[6.0, 6.0]])
    bend = shape.compute_bend(np.zeros(1, int), xy, half)[0]
    x, y = np.meshgrid(np.linspace(-5, 5, 11), np.linspace(-5, 5, 11))
    two_sine, log_factor = describe_places(models, np.zeros(1, int), xy[0, 0] + x[None], xy[0, 1] + y[None])
    wanted = (shape.profile.evaluate(two_sine) + log_factor)[0]
    # over a box the third order of the profile is 1e-4 of the level
    np.testing.assert_allclose(np.tensordot(bend, np.stack([x, y, x * x, y * y, x * y]), 1), wanted - wanted[5, 5],
                               atol=3e-4)


@pytest.fixture(scope="module")
def steep(tmp_path_factory):
    """Weak reflections on a strong background that falls off steeply."""
    return make_series(tmp_path_factory.mktemp("steep"), 12, size=(WIDTH, HEIGHT), background=300.0, photons=4000.0,
                       wilson_b=30.0, d_min=2.0)


def collect(series, *words):
    """Difference from the truth in sigmas, and whether a box reaches beyond the panel, of summed reflections."""
    table = run(series, *words).reflections
    table = table.select(table.flags(Flag.INTEGRATED_SUM) & (table["partiality"] > 0.99))
    near = match_truth(series.truth, table.with_columns(**{"xyzobs.px.value": table["xyzcal.px"]}))
    table, true = table.select(near >= 0), series.truth["photons"][near[near >= 0]]
    pull = (table["intensity.sum.value"] - true) / np.sqrt(table["intensity.sum.variance"])
    bbox = table["bbox"]
    beyond = (bbox[:, 0] < 0) | (bbox[:, 2] < 0) | (bbox[:, 1] > WIDTH) | (bbox[:, 3] > HEIGHT)
    # strong ones tell of spots' tails, weak ones of the background only
    weak = true < 12.0 * np.sqrt(table["intensity.sum.variance"])
    return pull[weak], beyond[weak]


def test_sums_beside_the_edge_of_a_panel_are_right(steep):
    level, beyond = collect(steep, "follow_slopes=False")
    assert beyond.sum() > 50
    # half of the surroundings is missing, that which is farther out and lower
    assert np.median(level[beyond]) < -1.0
    bent, beyond = collect(steep)
    # the median of n pulls has the standard error 1.25 / sqrt(n), the width by their quartiles 1.17 / sqrt(n)
    assert np.abs(np.median(bent[beyond])) < 3.0 * 1.25 / np.sqrt(beyond.sum())
    wide, right = (np.subtract(*np.quantile(pulls, [0.75, 0.25])) / 1.349 for pulls in (level, bent))
    assert abs(right - 1.0) < 3.0 * 1.17 / np.sqrt(len(bent)) < wide - 1.0


def test_algorithms_that_the_user_chose_stay_level(steep):
    for words in (["background.algorithm=glm"], ["background.algorithm=simple"]):
        one, two = (run(steep, *words, f"follow_slopes={value}").reflections for value in (True, False))
        np.testing.assert_array_equal(one["background.sum.value"], two["background.sum.value"])


def test_results_do_not_depend_on_blocks(steep):
    one, two = (run(steep, f"block.size={size}", "block.units=frames").reflections for size in (4, 12))
    for name in ("background.sum.value", "intensity.sum.value"):
        np.testing.assert_array_equal(one[name], two[name])


def test_hot_pixels_need_not_be_sought(steep):
    one, two = (run(steep, f"hot_pixels.mask={value}").reflections for value in (True, False))
    np.testing.assert_array_equal(one["background.sum.value"], two["background.sum.value"])
    assert options().integration.background.follow_slopes
