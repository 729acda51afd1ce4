"""Covariances of reciprocal lattice points: their derivatives, models as dictionaries."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.integration.profiles.ellipsoid.shape import (
    ELEMENTS,
    EllipsoidModel,
    differentiate_covariance,
    make_covariance,
)


@pytest.mark.parametrize("name", ELEMENTS)
def test_covariances_are_symmetric_positive_and_have_the_derivatives_of_their_parameters(name):
    p = 0.5 + np.random.default_rng(1).random(len(ELEMENTS[name]))
    sigma = make_covariance(name, p)
    assert np.array_equal(sigma, sigma.T)
    assert np.linalg.eigvalsh(sigma)[0] > 0.0
    for k, slope in enumerate(differentiate_covariance(name, p)):
        step = np.zeros(len(p))
        step[k] = 1e-5
        numeric = (make_covariance(name, p + step) - make_covariance(name, p - step)) / 2e-5
        np.testing.assert_allclose(slope, numeric, atol=1e-9)  # sigma is quadratic: central differences are exact


def test_the_angular_models_leave_the_radial_axis_apart():
    for name in ("angular2", "angular4"):
        sigma = make_covariance(name, np.arange(1.0, len(ELEMENTS[name]) + 1))
        assert sigma[0, 2] == sigma[1, 2] == 0.0
    assert make_covariance("simple1", np.array([2.0])).tolist() == (4.0 * np.eye(3)).tolist()


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_model_survives_its_dictionary_and_a_sphere_is_round(name):
    model = EllipsoidModel.make_isotropic(name, 2e-3)
    np.testing.assert_allclose(model.sigma, 4e-6 * np.eye(3))
    assert EllipsoidModel.from_dict(model.to_dict()) == model
    for value in model.compute_mosaicity(0.5).values():
        assert value == pytest.approx(np.rad2deg(1e-3))
    with pytest.raises(FormatError, match="ellipsoid"):
        EllipsoidModel.from_dict({"__id__": "gaussian_rs"})
