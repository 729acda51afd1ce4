"""A global model scaled to shoeboxes, beside a slow twin."""

from __future__ import annotations

import background_twins as twins
import numpy as np
import pytest
from background_data import parse_gmodel_words

from xdp.integration.background import fit_background
from xdp.integration.background.global_model import GlobalModel
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels


def under(model: GlobalModel, boxes: Shoeboxes, i: int) -> np.ndarray:
    """The model under box i."""
    x0, x1, y0, y1, z0, z1 = boxes.bbox[i]
    image = np.pad(model.panels[boxes.panel[i]], 10)
    return np.broadcast_to(image[y0 + 10:y1 + 10, x0 + 10:x1 + 10], (z1 - z0, y1 - y0, x1 - x0))


@pytest.mark.parametrize("robust", [False, True])
def test_the_model_is_scaled_to_each_box(robust, model, boxes):
    """The effect of integration.background.gmodel.robust.algorithm."""
    found = fit_background(boxes, parse_gmodel_words(f"gmodel.robust.algorithm={robust}"), model=model)
    assert not found.failed.any()
    for i in range(5):
        data, mask, background = boxes.box(i)
        good = (mask & 3) == 3  # A neighbour's pixels count too, as in DIALS.
        image = under(model, boxes, i)
        scale = data[good].sum() / image[good].sum()
        if robust:
            scale = twins.weighted_scale(image[good], data[good].astype(float), 3.0)
            assert scale == pytest.approx(4.0, rel=0.12)  # 160 pixels of 8 counts and more: sigma below 3 %.
        assert found.columns["background.scale"][i] == pytest.approx(scale, rel=1e-9)
        np.testing.assert_allclose(background, scale * image, rtol=1e-6)
        assert found.columns["background.mean"][i] == pytest.approx(scale * image[good].mean(), rel=1e-6)
        assert np.array_equal(mask & 16 != 0, good)


def test_the_tuning_constant_moves_the_cut(model, boxes):
    """The effect of integration.background.gmodel.robust.tuning_constant."""
    scales = {}
    for tuning in (0.5, 1.345, 1e4, None):
        words = ["gmodel.robust.algorithm=True", f"gmodel.robust.tuning_constant={tuning}"]
        scales[tuning] = fit_background(boxes, parse_gmodel_words(*words), model=model).columns["background.scale"]
    on_panel = np.arange(5) != 3  # The outlier of box 3 lies off the panel, where the model is 0.
    assert scales[0.5].mean() < scales[1.345].mean()
    assert np.all(scales[1.345][on_panel] <= scales[1e4][on_panel])
    assert scales[1.345].mean() < scales[1e4].mean()
    np.testing.assert_array_equal(scales[1e4], scales[None])


def test_min_pixels_of_gmodel(model, boxes):
    """The effect of integration.background.gmodel.min_pixels."""
    n = int(((boxes.box(0)[1] & 3) == 3).sum())
    assert not fit_background(boxes, parse_gmodel_words(f"gmodel.min_pixels={n}"), model=model).failed.any()
    assert fit_background(boxes, parse_gmodel_words(f"gmodel.min_pixels={n + 1}"), model=model).failed.all()


def test_where_the_model_is_zero_there_is_no_background(model, boxes):
    dark = GlobalModel(tuple(np.zeros_like(panel) for panel in model.panels))
    found = fit_background(boxes, parse_gmodel_words(), model=dark)
    assert found.failed.all()
    assert not boxes.background.any()
