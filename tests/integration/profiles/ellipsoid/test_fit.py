"""The ellipsoid model of a still, from its image to the widths that made it."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.integration.profiles.ellipsoid.fit import fit_ellipsoid
from xdp.integration.profiles.ellipsoid.options import EllipsoidOptions
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel

pytestmark = pytest.mark.kernels


def test_the_model_that_drew_the_spots_is_found(drawn):
    experiment, model = fit_ellipsoid(drawn.experiment, drawn.spots, EllipsoidOptions(), drawn.cut,
                                      drawn.fit_background)
    assert EllipsoidModel.from_dict(experiment.profile) == model
    wavelength = drawn.experiment.beam.wavelength
    # some ninety spots: shapes are known well, distances from the sphere to 1 / sqrt(2 * 90) = 8 %; pixels of 0.16
    # degrees blur
    for name, width in drawn.model.compute_mosaicity(wavelength).items():
        assert model.compute_mosaicity(wavelength)[name] == pytest.approx(width, rel=0.2)
    # the crystal was right and stays so, as far as points of 2e-3 at 0.3 in a cell of 25 A tell
    assert np.abs(experiment.crystal.A @ np.linalg.inv(drawn.experiment.crystal.A) - np.eye(3)).max() < 0.01


def test_fixed_crystals_stay(drawn):
    options = EllipsoidOptions.model_validate({"unit_cell": {"fixed": True}, "orientation": {"fixed": True}})
    experiment, _ = fit_ellipsoid(drawn.experiment, drawn.spots, options, drawn.cut, drawn.fit_background)
    assert experiment.crystal == drawn.experiment.crystal


def test_spots_without_shoeboxes_do_not_serve(drawn):
    bare = type(drawn.spots)({name: drawn.spots[name] for name in drawn.spots if name != "shoebox"})
    with pytest.raises(XdpError, match="shoeboxes"):
        fit_ellipsoid(drawn.experiment, bare, EllipsoidOptions(), drawn.cut, drawn.fit_background)
