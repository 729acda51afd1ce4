"""The filters of mod_average, each by what it does."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.serial.calibration.dark import Dark
from xdp.serial.calibration.filters import ImageFilters, compute_skewness
from xdp.serial.calibration.options import AverageOptions

IMAGE = [np.array([[-5.0, 3.0, 8.0, 20.0]])]
DARK = Dark([np.array([[10.0, 10.0, 10.0, 99.0]])], [np.array([[1.0, 0.0, 2.0, 3.0]])])
GAIN = [np.array([[1.0, 5.0, 1.0, 1.0]])]


@pytest.mark.parametrize(("options", "wanted"), [
    ({"flags": ("inactive",)}, [-5, 0, 8, 20]), ({"flags": ("noelastic",)}, [-5, 3, 8, 0]),
    ({"flags": ("nonoise",)}, [0, 0, 8, 20]), ({"flags": ("symnoise",)}, [-5, 0, 8, 20]),
    ({"flags": ("symnoise",), "symnoise_threshold": 6.0}, [0, 0, 8, 20]),
    ({"flags": ("sigma_scaling",)}, [-10, 3, 8, 20 / 1.5]), ({"hot_threshold": 2.0}, [-5, 3, 8, 0]),
    ({"gain_threshold": 4.0}, [-5, 0, 8, 20]),
    ({"photon_threshold": 3.0, "two_photon_threshold": 10.0}, [0, 1, 1, 2])])
def test_filters(options, wanted):
    assert ImageFilters(AverageOptions(**options), DARK, GAIN).apply(IMAGE)[0].tolist() == [pytest.approx(wanted)]


def test_images_with_little_skewness_are_left_out():
    filters = ImageFilters(AverageOptions(flags=("skew",)), Dark([np.zeros((1, 4))], [np.ones((1, 4))]), None)
    assert filters.apply([np.array([[1.0, 2.0, 3.0, 4.0]])]) is None
    assert filters.apply([np.array([[0.0, 0.0, 0.0, 9.0]])]) is not None
    assert compute_skewness(np.ones(5)) == 0.0


@pytest.mark.parametrize(("options", "dark", "message"), [
    ({"flags": ("inactive",)}, None, "deviation"), ({"hot_threshold": 1.0}, None, "dark_path"),
    ({"gain_threshold": 1.0}, DARK, "gain_map_path"), ({"photon_threshold": 1.0}, DARK, "both")])
def test_what_a_filter_needs_is_said(options, dark, message):
    with pytest.raises(OptionError, match=message):
        ImageFilters(AverageOptions(**options), dark, None)
