from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.profiles.model import estimate_model
from xdp.integration.profiles.mosaic.estimate import SCALES, estimate_spread
from xdp.integration.profiles.mosaic.options import MosaicOptions
from xdp.integration.profiles.mosaic.spread import MosaicSpread
from xdp.integration.profiles.options import GaussianRSOptions

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("eta", [2e-3, 6e-3])
def test_rotation_of_blocks_is_recovered_from_found_spots(turning, make_found, eta):
    spots = make_found(MosaicSpread(4e-6, eta ** 2 * np.eye(3), 0.0))
    found = estimate_spread(turning, spots, 8e-6, MosaicOptions())
    assert np.sqrt(found.mean_rotation) == pytest.approx(eta, rel=0.06)
    assert np.sqrt(found.divergence) == pytest.approx(2e-3, rel=0.05)
    assert SCALES[0] <= found.scale <= SCALES[1]


def test_foregrounds_stay_as_large_on_the_average(turning, make_found):
    spots = make_found(MosaicSpread(4e-6, 16e-6 * np.eye(3), 0.0))
    model = estimate_model(turning, spots)
    widths = model.compute_axis_widths(turning, spots)
    if SCALES[0] < model.spread.scale < SCALES[1]:
        assert np.sqrt(0.5 * np.mean(widths ** 2) * 2) == pytest.approx(float(model.sigma_b), rel=1e-6)


def test_spots_that_are_all_alike_have_one_width(turning, make_found):
    spots = make_found(MosaicSpread(4e-6, np.zeros((3, 3)), 0.0))
    assert estimate_spread(turning, spots, 8e-6, MosaicOptions()) is None


def test_the_option_leaves_the_model_as_it_was(turning, make_found):
    spots = make_found(MosaicSpread(4e-6, 16e-6 * np.eye(3), 0.0), 100)
    off = estimate_model(turning, spots, GaussianRSOptions(mosaic=MosaicOptions(enable=False)))
    on = estimate_model(turning, spots)
    assert off.spread is None
    assert on.spread is not None
    assert (float(on.sigma_b), float(on.sigma_m)) == (float(off.sigma_b), float(off.sigma_m))


def test_few_spots_do_no_harm(turning, make_found):
    spots = make_found(MosaicSpread(4e-6, 16e-6 * np.eye(3), 0.0), 6)
    assert estimate_model(turning, spots).spread is None
