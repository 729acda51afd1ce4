"""Profile fitting on shoeboxes with known intensities: unbiased, with honest variances, byte-equal in any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from fitting_data import learn_profiles

from xdp.integration.profiles.fit import count_background_pixels, fit_profiles
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels

WAYS = [{"fit_method": "reciprocal_space"}, {"fit_method": "detector_space"},
        {"fit_method": "detector_space", "deconvolution": True}]
PRF = np.uint64(Flag.INTEGRATED_PRF)
FAILED = np.uint64(Flag.FAILED_DURING_PROFILE_FITTING)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("intensity", [0.0, 30.0, 150.0])
def test_pulls_are_honest(drawn, strong, way, intensity):
    profiles = learn_profiles(drawn, strong, scan_step=20.0, grid_method="single", **way)
    pulls = []
    for seed in range(10):
        found = fit_profiles(profiles, drawn.table, drawn.count(np.full(len(drawn.table), intensity), 3.0, 10 + seed))
        ok = found["flags"] & PRF != 0
        assert ok.all()
        pull = (found["intensity.prf.value"] - intensity) / np.sqrt(found["intensity.prf.variance"])
        pulls.append(pull)
    pulls = np.concatenate(pulls)
    # 6000 pulls: their width is known to 1.5 %, their median to 0.02. The foreground holds 99 % of what was drawn, and
    # the mean of a likelihood's maximum is a little low
    width = np.subtract(*np.quantile(pulls, [0.75, 0.25])) / 1.349
    assert 0.93 < width < 1.07
    assert abs(np.median(pulls)) < 0.12


@pytest.mark.parametrize("way", WAYS)
def test_strong_intensities_are_found(drawn, strong, way):
    profiles = learn_profiles(drawn, strong, scan_step=20.0, **way)
    found = fit_profiles(profiles, drawn.table, strong)
    ratio = found["intensity.prf.value"] / 3000.0
    # 600 of them with 2 % each; the foreground holds 99 % of the Gaussian, and the profile is normalised to that
    assert np.median(ratio) == pytest.approx(0.99, abs=0.01)
    assert np.std(ratio) < 0.03
    assert np.mean(found["profile.correlation"]) > 0.95


def test_fitting_beats_summation_for_weak_reflections(drawn, strong):
    profiles = learn_profiles(drawn, strong)
    boxes = drawn.count(np.full(len(drawn.table), 30.0), 1.0, seed=5)
    found = fit_profiles(profiles, drawn.table, boxes)["intensity.prf.value"]
    is_fg = (boxes.mask & 4) != 0
    net = np.add.reduceat(np.where(is_fg, boxes.data - boxes.background, 0.0), boxes.offsets[:-1])
    assert np.std(found) < 0.75 * np.std(net)


@pytest.mark.parametrize("way", WAYS)
def test_missing_pixels_bias_nothing(drawn, strong, way):
    profiles = learn_profiles(drawn, strong, **way)
    intensity = np.full(len(drawn.table), 3000.0)
    boxes = drawn.count(intensity, 1.0, seed=8)
    mask = boxes.mask.copy()
    # the pixel at the predicted place, on all frames
    for r, (a, b) in enumerate(zip(boxes.offsets, boxes.offsets[1:], strict=False)):
        x, y = (drawn.table["xyzcal.px"][r, :2] - boxes.bbox[r, :4:2]).astype(int)
        mask[a:b].reshape(-1, 13, 13)[:, y, x] &= 0xFE
    holed = Shoeboxes(boxes.panel, boxes.bbox, boxes.offsets, boxes.data, mask, boxes.background)
    found = fit_profiles(profiles, drawn.table, holed)
    assert np.median(found["intensity.prf.value"]) == pytest.approx(2970, rel=0.02)


def test_threshold_and_fit_method_have_effect(drawn, strong):
    boxes = drawn.count(np.full(len(drawn.table), 300.0), 4.0, seed=9)
    values = [fit_profiles(learn_profiles(drawn, strong, **way), drawn.table, boxes)["intensity.prf.value"] for way in (
        {}, {"threshold": 0.2}, {"fit_method": "detector_space"}, {"fit_method": "detector_space", "threshold": 0.2},
        {"fit_method": "detector_space", "deconvolution": True}, {"grid_size": 3}, {"scan_step": 20.0},
        {"grid_method": "single"}, {"grid_method": "circular_grid"}, {"grid_method": "spherical_grid"})]
    for i, one in enumerate(values):
        for other in values[:i]:
            assert not np.array_equal(one, other)
            assert np.median(one / other) == pytest.approx(1.0, abs=0.02)


def test_without_foreground_fitting_fails_and_says_so(drawn, strong):
    profiles = learn_profiles(drawn, strong)
    mask = strong.mask.copy()
    first, second = strong.offsets[:2]
    mask[first:second] = 3
    flags = drawn.table["flags"].copy()
    flags[1] |= np.uint64(Flag.DONT_INTEGRATE)
    boxes = Shoeboxes(strong.panel, strong.bbox, strong.offsets, strong.data, mask, strong.background)
    found = fit_profiles(profiles, drawn.table.with_columns(flags=flags), boxes)
    assert found["flags"][:3].tolist() == [int(FAILED), 0, int(PRF)]
    assert found["intensity.prf.value"][:2].tolist() == [0.0, 0.0]
    assert found["intensity.prf.variance"][:2].tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("way", WAYS)
def test_very_strong_reflections_have_a_variance(drawn, strong, way):
    """Parts of a profile may sum to a little more than 1: what scatter takes off a variance must not be all of it."""
    profiles = learn_profiles(drawn, strong, **way)
    boxes = drawn.count(np.full(len(drawn.table), 1e7), 1.0, seed=6)
    found = fit_profiles(profiles, drawn.table, boxes)
    assert np.all(found["flags"] & PRF != 0)
    assert np.all(found["intensity.prf.variance"] > 0.9 * found["intensity.prf.value"])


def test_background_pixels_are_those_of_the_column_or_of_the_masks(drawn, strong):
    mask = strong.mask.copy()
    mask[:5] |= 16
    boxes = Shoeboxes(strong.panel, strong.bbox, strong.offsets, strong.data, mask, strong.background)
    used = np.add.reduceat((mask & 16) != 0, strong.offsets[:-1])
    assert np.array_equal(count_background_pixels(drawn.table, boxes), used)
    column = np.arange(len(drawn.table))
    table = drawn.table.with_columns(**{"num_pixels.background_used": column})
    assert np.array_equal(count_background_pixels(table, boxes), column)
