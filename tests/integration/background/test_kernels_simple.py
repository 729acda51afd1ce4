"""Least squares with every rejection, beside slow twins."""

from __future__ import annotations

import background_twins as twins
import numpy as np
import pytest
from background_data import each_box, make_boxes, parse_words

from xdp.integration.background import fit_background

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("model", ["constant2d", "constant3d", "linear2d", "linear3d"])
@pytest.mark.parametrize("outlier", ["null", "nsigma", "truncated", "normal", "plane", "tukey"])
def test_simple_is_its_twin(outlier, model):
    boxes = make_boxes(15, seed=3)
    found = fit_background(boxes, parse_words("algorithm=simple", f"simple.outlier.algorithm={outlier}",
                                          f"simple.model.algorithm={model}"))
    assert not found.failed.any()
    for i, data, mask, background in each_box(boxes):
        data = data.astype(float)
        good = twins.usable(mask)
        if outlier == "plane":
            keep = twins.rejected_from_plane(data, mask)
        else:
            keep = np.zeros(data.shape, bool)
            keep[good] = twins.rejected(data[good], outlier)
        np.testing.assert_array_equal(mask & 16 != 0, keep)
        expected = twins.least_squares(data, keep, model)
        # Stored in single precision, good to 6e-8.
        np.testing.assert_allclose(background, expected, rtol=1e-6, atol=1e-5)
        assert found.columns["background.mean"][i] == pytest.approx(data[keep].mean())
        assert found.columns["background.mse"][i] == pytest.approx(np.mean((expected - data)[keep] ** 2), rel=1e-5)
        assert found.columns["background.dispersion"][i] == pytest.approx(
            data[keep].var(ddof=1) / data[keep].mean(), rel=1e-5)


def test_negative_mean_fails_simple():
    boxes = make_boxes(2)
    boxes.data[:270] -= 1000
    found = fit_background(boxes, parse_words("algorithm=simple"))
    assert found.failed.tolist() == [True, False]
    assert found.columns["background.mean"][0] < 0
    assert found.columns["background.mse"][0] == 0


@pytest.mark.parametrize("n_frames", [1, 3])
def test_pixels_of_one_frame_have_no_slope_from_frame_to_frame(n_frames):
    """Boxes of one frame, and boxes of which only one frame has background."""
    boxes, other = (make_boxes(40, shape=(n_frames, 9, 10)) for _ in range(2))
    for b in (boxes, other):
        b.mask.reshape(40, n_frames, -1)[:, 1:] = 0
    found = fit_background(boxes, parse_words("algorithm=simple", "simple.model.algorithm=linear3d"))
    assert not found.failed.any()
    for _, data, mask, background in each_box(boxes):
        plane = twins.least_squares(data[:1].astype(float), mask[:1] & 16 != 0, "linear2d")
        np.testing.assert_allclose(background, np.broadcast_to(plane, data.shape), rtol=1e-6, atol=1e-5)
    if n_frames == 1:
        fit_background(other, parse_words("algorithm=simple", "simple.model.algorithm=linear2d"))
        np.testing.assert_array_equal(boxes.background, other.background)
