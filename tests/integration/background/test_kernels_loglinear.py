"""Log-linear backgrounds: their equations, and a slope."""

from __future__ import annotations

import background_twins as twins
import numpy as np
import pytest
from background_data import each_box, make_boxes, parse_words

from xdp.integration.background import fit_background

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("surface", ["loglinear2d", "loglinear3d"])
def test_loglinear_glm_solves_its_equations(surface):
    boxes = make_boxes(6, level=20)
    found = fit_background(boxes, parse_words("algorithm=glm", f"glm.model.algorithm={surface}"))
    assert not found.failed.any()
    for _, data, mask, background in each_box(boxes):
        good = twins.usable(mask)
        parts = range(len(data)) if surface.endswith("2d") else [slice(None)]
        for part in parts:
            mean, counts = background[part][good[part]].astype(float), data[part][good[part]]
            psi = np.clip((counts - mean) / np.sqrt(mean), -1.345, 1.345)
            first, second = np.array([twins.expectations(m, 1.345) for m in mean]).T
            y, x = np.indices(data.shape)[1:, part][:, good[part]]
            design = np.column_stack([np.ones(len(mean)), y, x])
            score = design.T @ ((psi - first) * np.sqrt(mean))
            normal = (design.T * (second * mean**1.5)) @ design
            # The step that would still be due is shorter than the one that ended the iteration: 1e-3 of beta.
            step = np.linalg.solve(normal, score)
            assert np.linalg.norm(step) < 5e-3


def test_loglinear_follows_a_slope_that_a_constant_cannot():
    boxes = make_boxes(100, level=50, outliers=0.0)
    z, y, x = np.indices((3, 9, 10))
    truth = 50 * np.exp(0.04 * (x - 5) - 0.03 * (y - 4.5) + 0.05 * z)
    error = {}
    for surface in ("constant3d", "loglinear2d", "loglinear3d"):
        fit_background(boxes, parse_words("algorithm=glm", f"glm.model.algorithm={surface}"))
        error[surface] = np.sqrt(np.mean((boxes.background.reshape(-1, 3, 9, 10) - truth) ** 2))
    assert error["loglinear3d"] < error["loglinear2d"] < 0.5 * error["constant3d"]


def test_pixels_of_one_frame_have_no_slope_from_frame_to_frame():
    boxes, frames = (make_boxes(20, shape=(1, 9, 10), level=20) for _ in range(2))
    deep = make_boxes(20, shape=(3, 9, 10), level=20)
    deep.mask.reshape(20, 3, -1)[:, 1:] = 0
    for b, surface in ((boxes, "loglinear3d"), (frames, "loglinear2d"), (deep, "loglinear3d")):
        assert not fit_background(b, parse_words("algorithm=glm", f"glm.model.algorithm={surface}")).failed.any()
    np.testing.assert_array_equal(boxes.background, frames.background)
    per_frame = deep.background.reshape(20, 3, -1)
    np.testing.assert_array_equal(per_frame[:, 1:], per_frame[:, :1].repeat(2, axis=1))
