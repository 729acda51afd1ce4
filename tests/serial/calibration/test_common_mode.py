"""The common mode of a section, against slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from calibration_twins import find_common_mode_slowly, fit_chebyshev_slowly

from xdp.errors import OptionError
from xdp.serial.calibration.common_mode import find_common_mode, find_gaussian_centre, fit_chebyshev


@pytest.fixture
def section():
    """An offset of 7.3 with noise of 3, some light, and pixels that do not work."""
    rng = np.random.default_rng(3)
    pixels = rng.normal(7.3, 3.0, (20, 30))
    pixels[4:7, 5:12] += rng.poisson(40.0, (3, 7))
    stddev = np.full(pixels.shape, 3.0)
    stddev[0, :4] = 0.0
    pixels[0, :4] = 1e6
    return pixels, stddev


@pytest.mark.parametrize(("algorithm", "tolerance"), [("mean", 1e-9), ("median", 1e-9), ("mode", 1e-9),
                                                      ("gaussian", 1e-3)])
def test_offsets_equal_the_slow_twin(section, algorithm, tolerance):
    (offset,) = find_common_mode([section[0]], [section[1]], algorithm)
    # Two minimisers of the same sum of squares end within 1e-3 of a bin.
    assert offset == pytest.approx(find_common_mode_slowly(*section, algorithm), abs=tolerance)


@pytest.mark.parametrize("algorithm", ["median", "gaussian"])
def test_the_offset_is_found(section, algorithm):
    (offset,) = find_common_mode([section[0]], [section[1]], algorithm)
    assert offset == pytest.approx(7.3, abs=0.5)


def test_panels_of_a_section_share_the_offset(section):
    pixels, stddev = section
    both = find_common_mode([pixels, pixels + 2.0], [stddev, stddev], "median")
    used = pixels[stddev > 0]
    assert both[0] == both[1] == pytest.approx(np.median(np.concatenate([used, used + 2.0])))


def test_none_and_unknown(section):
    assert find_common_mode([section[0]], [section[1]], "none")[0] == 0.0
    with pytest.raises(OptionError, match="chebyshev"):
        find_common_mode([section[0]], [section[1]], "mad")


@pytest.mark.parametrize("algorithm", ["mean", "median", "mode", "gaussian", "chebyshev"])
def test_sections_without_working_pixels_have_none(section, algorithm):
    offsets = find_common_mode([section[0]], [np.zeros(section[1].shape)], algorithm)
    assert np.all(offsets[0] == 0.0)


def test_a_polynomial_equals_the_slow_twin(section):
    pixels, stddev = section
    x, y = np.arange(30), np.arange(20)
    pixels = pixels + 0.02 * (x[None, :] - 10.0) ** 2 - 0.3 * y[:, None]
    fitted = fit_chebyshev(pixels, stddev > 0)
    assert np.abs(fitted - fit_chebyshev_slowly(pixels, stddev > 0)).max() < 1e-8


def test_a_polynomial_leaves_rows_out(section):
    pixels, stddev = section
    roi = slice(4, 7), slice(0, 30)
    active = stddev > 0
    active[roi] = False
    assert np.allclose(fit_chebyshev(pixels, stddev > 0, roi), fit_chebyshev_slowly(pixels, active))


def test_a_fit_that_fails_gives_the_mode():
    assert find_gaussian_centre(np.array([0.0, 30.0])) == pytest.approx(0.4)
    assert find_gaussian_centre(np.full(10, 500.0)) == 0.0
