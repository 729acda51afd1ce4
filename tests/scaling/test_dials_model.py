"""Our smooth scales at the nodes of DIALS' models."""

from __future__ import annotations

import numpy as np
from scaling_data import make_table

from xdp.scaling.dials_model import describe_for_dials
from xdp.scaling.error_model import ErrorModel
from xdp.scaling.model import plan_model
from xdp.scaling.options import ScaleOptions


def test_nodes_have_the_values_of_the_splines():
    experiments, _, _ = make_table(n_frames=90, d_min=4.0)
    model = plan_model(experiments, ScaleOptions())
    p = np.zeros(model.n_parameters)
    p[model.get_part("scale", 0).columns] = 0.25
    p[model.get_part("decay", 0).columns] = -3.0
    found = describe_for_dials(model, p, experiments[0], 0, ErrorModel.make(1.1, 0.02))
    assert found["__id__"] == "physical"
    np.testing.assert_allclose(found["scale"]["parameters"], np.exp(0.25))
    np.testing.assert_allclose(found["decay"]["parameters"], -3.0)
    settings = found["configuration_parameters"]
    # 90 degrees: seven intervals, a node outside each end
    assert found["scale"]["n_parameters"] == 9
    assert np.isclose(settings["s_norm_fac"], 0.999 * 7 / 90)
    assert settings["valid_image_range"] == [1, 90]


def test_one_scale_and_one_b_factor_are_kb():
    experiments, _, _ = make_table(n_frames=40, d_min=4.0)
    model = plan_model(experiments, ScaleOptions(model="KB"))
    found = describe_for_dials(model, np.array([np.log(2.0), 1.5]), experiments[0], 0, ErrorModel.make())
    assert found["__id__"] == "KB"
    assert found["scale"]["parameters"] == [2.0]
    assert found["decay"]["parameters"] == [1.5]
