"""Robust means and medians beside slow twins."""

from __future__ import annotations

import background_twins as twins
import numpy as np
import pytest
from background_data import each_box, find_used, make_boxes, parse_words

from xdp.integration.background import fit_background
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("tuning", [0.8, 1.345, 4.0])
def test_glm_constant3d_solves_its_equation(tuning):
    boxes = make_boxes()
    found = fit_background(boxes, parse_words("algorithm=glm", f"glm.robust.tuning_constant={tuning}"))
    for i, data, mask, background in each_box(boxes):
        expected = twins.robust_mean(data[twins.usable(mask)].astype(float), tuning)
        # The steps end when one is shorter than a thousandth of the logarithm, at most 6: what is left is less.
        assert found.columns["background.mean"][i] == pytest.approx(expected, rel=6e-3)
        assert np.ptp(background) == 0.0
        assert np.array_equal(mask & 16 != 0, twins.usable(mask))
    assert not found.failed.any()


def test_glm_without_a_tuning_constant_is_the_mean():
    boxes = make_boxes(outliers=0.05)
    found = fit_background(boxes, parse_words("algorithm=glm", "glm.robust.tuning_constant=None"))
    for i, data, mask, _ in each_box(boxes):
        assert found.columns["background.mean"][i] == pytest.approx(data[twins.usable(mask)].mean(), rel=2e-3)


def test_glm_is_hardly_moved_by_outliers():
    both = [make_boxes(200, level=5, outliers=share) for share in (0.0, 0.03)]
    glm = [fit_background(b, parse_words("algorithm=glm")).columns["background.mean"].mean() for b in both]
    mean = [fit_background(b, parse_words("algorithm=simple")).columns["background.mean"].mean() for b in both]
    # 3 % of pixels at 300 raise the mean by 9; Huber's cut lets each count as one of 1.3 sigma.
    assert mean[1] - mean[0] > 8.0
    assert glm[1] - glm[0] < 0.2


@pytest.mark.parametrize("seed", range(3))
def test_glm_is_unbiased_for_poisson_counts(seed):
    boxes = make_boxes(400, level=1.3, seed=seed, outliers=0.0)
    flat = Shoeboxes(boxes.panel, boxes.bbox, boxes.offsets,
                     np.random.default_rng(seed).poisson(1.3, boxes.n_pixels).astype(np.float32), boxes.mask)
    mean = fit_background(flat, parse_words("algorithm=glm")).columns["background.mean"].mean()
    # 400 boxes of some 200 pixels: sigma 1.14 / sqrt(80000) = 0.004, and 5 % more for robustness; 4 sigma.
    assert mean == pytest.approx(1.3, abs=0.017)


def test_a_frame_of_glm_constant2d_is_a_box_of_constant3d():
    boxes = make_boxes(shape=(4, 8, 8))
    frames = Shoeboxes(np.zeros(80), np.tile([0, 8, 0, 8, 0, 1], (80, 1)), np.arange(81) * 64, boxes.data, boxes.mask)
    fit_background(boxes, parse_words("algorithm=glm", "glm.model.algorithm=constant2d"))
    fit_background(frames, parse_words("algorithm=glm", "glm.model.algorithm=constant3d"))
    np.testing.assert_array_equal(boxes.background, frames.background)
    assert len(np.unique(boxes.box(0)[2])) == 4


def test_nothing_but_zeros_is_no_background():
    boxes = make_boxes(3)
    boxes.data[:] = 0
    found = fit_background(boxes, parse_words("algorithm=glm"))
    assert not found.failed.any()
    assert 0.0 <= boxes.background.max() < 1e-12


@pytest.mark.parametrize("spoil", ["few", "negative"])
def test_where_glm_fails(spoil):
    boxes = make_boxes(3)
    if spoil == "few":
        boxes.mask[300:540] = 2
    else:
        boxes.data[270], boxes.mask[270] = -1, 3
    found = fit_background(boxes, parse_words("algorithm=glm", "glm.min_pixels=31"))
    assert found.failed.tolist() == [False, True, False]
    assert found.columns["background.mean"][1] == 0.0
    assert not boxes.background[270:540].any()
    assert not find_used(boxes)[270:540].any()


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_median(scale):
    boxes = make_boxes(30)
    boxes.data[:] *= scale  # Counts that are not whole take another way through the kernel.
    found = fit_background(boxes, parse_words("algorithm=median"))
    for i, data, mask, _ in each_box(boxes):
        counts = np.sort(data[twins.usable(mask)])
        assert found.columns["background.mean"][i] == counts[len(counts) // 2]
