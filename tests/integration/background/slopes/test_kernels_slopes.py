"""Boxes that are no longer level: the equations, what is left level, and slopes that a level cannot follow."""

from __future__ import annotations

import background_twins as twins
import numpy as np
import pytest
from background_data import each_box, make_boxes, parse_words

from xdp.integration.background import fit_background
from xdp.integration.background._kernels_pixels import BackgroundPixels
from xdp.integration.background.slopes._kernels_slopes import SlopePriors, follow_slopes

pytestmark = pytest.mark.kernels

CENTRE = np.array([5.2, 4.1])
BEND = np.array([0.05, -0.02, -0.004, 0.002, 0.001])


def bend_at(x, y):
    return BEND @ np.stack([x, y, x * x, y * y, x * y])


def make_level(n, level, outliers=0.05):
    """Boxes of 3 x 9 x 10 pixels about one centre, with Poisson counts of the bend and two slopes, and a level."""
    boxes = make_boxes(n, level=level, outliers=0.0)
    assert boxes.data.size == n * 270
    boxes.bbox[:] = (0, 10, 0, 9, 0, 3)
    _, y, x = np.indices((3, 9, 10))
    x, y = x + 0.5 - CENTRE[0], y + 0.5 - CENTRE[1]
    truth = level * np.exp(bend_at(x.ravel(), y.ravel()) + 0.03 * x.ravel() - 0.02 * y.ravel())
    rng = np.random.default_rng(3)
    counts = rng.poisson(truth, (n, 270))
    counts[rng.random(counts.shape) < outliers] += int(20 * np.sqrt(level))
    boxes.data[:] = counts.ravel()
    found = fit_background(boxes, parse_words("algorithm=glm"))
    return boxes, found.columns["background.mean"].copy(), truth


def follow(boxes, mean, tuning=1.345, precision=400.0, dispersion=1.0):
    n = len(boxes)
    priors = SlopePriors(np.tile(CENTRE, (n, 1)), np.tile(BEND, (n, 1)), precision)
    pixels = BackgroundPixels(boxes.bbox, boxes.offsets, boxes.data, boxes.mask, boxes.background)
    return follow_slopes(pixels, priors, tuning, np.full(n, dispersion), mean)


@pytest.mark.parametrize(("tuning", "dispersion"), [(1.345, 1.0), (np.inf, 2.5)])
def test_what_is_found_solves_the_equations(tuning, dispersion):
    boxes, mean, _ = make_level(6, 60.0)
    assert follow(boxes, mean, tuning, dispersion=dispersion) == 6
    for i, data, mask, background in each_box(boxes):
        used = (mask & 16) != 0
        mu, counts = background[used].astype(float), data[used].astype(float)
        _, y, x = (v[used] + 0.5 for v in np.indices(data.shape))
        x, y = x - CENTRE[0], y - CENTRE[1]
        # level and slopes by the logarithm, which has nothing else but the bend
        design = np.column_stack([np.ones(len(mu)), x, y])
        beta = np.linalg.lstsq(design, np.log(mu) - bend_at(x, y), rcond=None)[0]
        np.testing.assert_allclose(np.exp(design @ beta + bend_at(x, y)), mu, rtol=1e-5)
        sigma = np.sqrt(mu * dispersion)
        level = np.exp(beta[0]) / dispersion
        first, second = twins.expectations(level, tuning) if np.isfinite(tuning) else (0.0, 1.0 / np.sqrt(level))
        psi = np.clip((counts - mu) / sigma, -tuning, tuning) - first
        score = design.T @ (psi * sigma / dispersion) - [0.0, 400.0 * beta[1], 400.0 * beta[2]]
        normal = (design.T * (second * np.sqrt(level) * mu / dispersion)) @ design + np.diag([0.0, 400.0, 400.0])
        # the step that would still be due changes chi^2 by less than a hundredth of what ended the iteration
        assert score @ np.linalg.solve(normal, score) < 1e-4
        assert mean[i] == pytest.approx(mu.mean(), rel=1e-6)


def test_slopes_are_followed_that_a_level_cannot_follow():
    boxes, mean, truth = make_level(60, 80.0)
    before = np.abs(boxes.background.reshape(60, -1) / truth - 1.0).mean()
    follow(boxes, mean)
    after = np.abs(boxes.background.reshape(60, -1) / truth - 1.0).mean()
    # 120 pixels of 80 counts know a level to 1.1 %, and two slopes add some 2 % at the edges
    assert after < 0.02 < 0.1 < before


def test_a_strong_prior_leaves_the_bend_alone():
    boxes, mean, _ = make_level(20, 80.0, outliers=0.0)
    follow(boxes, mean, precision=1e12)
    _, y, x = np.indices((3, 9, 10))
    shape = np.exp(bend_at((x + 0.5 - CENTRE[0]).ravel(), (y + 0.5 - CENTRE[1]).ravel()))
    ratio = boxes.background.reshape(20, -1) / shape
    # single precision of the stored background
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(270), rtol=1e-6)


def test_boxes_stay_level_where_it_makes_no_difference():
    boxes, mean, _ = make_level(20, 0.02, outliers=0.0)
    before, mean_before = boxes.background.copy(), mean.copy()
    assert follow(boxes, mean, precision=1e8) == 0
    np.testing.assert_array_equal(boxes.background, before)
    np.testing.assert_array_equal(mean, mean_before)


def test_levels_that_have_no_logarithm_stay():
    boxes, mean, _ = make_level(4, 60.0)
    boxes.background[:540] = 0.0
    boxes.background[540:810] = -3.0
    before = boxes.background[:810].copy()
    assert follow(boxes, mean) == 1
    np.testing.assert_array_equal(boxes.background[:810], before)
