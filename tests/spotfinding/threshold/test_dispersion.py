"""Thresholds against slow NumPy twins that follow the formulas window by window."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threshold_twins import BIG, picture, slow_strong

from xdp.errors import OptionError
from xdp.spotfinding.options import DispersionOptions
from xdp.spotfinding.threshold.dispersion import Thresholder

pytestmark = pytest.mark.kernels

ALGORITHMS = ["dispersion", "dispersion_extended"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("parameters", [
    {}, {"kernel_size": (5, 2)}, {"kernel_size": (1, 4), "min_local": 0}, {"gain": 2.5, "global_threshold": 9},
    {"min_local": 20, "gain": 0.5}, {"sigma_background": 1.0, "sigma_strong": 0.5}])
def test_strong_pixels_follow_the_formulas(algorithm, parameters):
    image, use = picture()
    options = DispersionOptions(**parameters)
    expected = slow_strong(image, use, options, algorithm)
    assert expected.sum() > 20
    found = Thresholder(image.shape, use, options=options, algorithm=algorithm).strong_mask(image)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "u4", "f4", "f8", "i8"])
def test_all_number_types_give_the_same(algorithm, dtype):
    image, use = picture()
    image = np.minimum(image, 255)
    expected = Thresholder(image.shape, use, options=DispersionOptions(), algorithm=algorithm).find(image)
    found = Thresholder(image.shape, use, options=DispersionOptions(), algorithm=algorithm).find(image.astype(dtype))
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.value, image.ravel()[found.index])
    assert found.index.dtype == np.int32
    assert found.value.dtype == np.float64


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_exact_sums_and_summed_area_tables_agree(algorithm):
    """Halves are exact in both; times two they are whole, and take the other way."""
    image, use = picture(background=30.0)
    whole = Thresholder(image.shape, use, options=DispersionOptions(gain=1.0), algorithm=algorithm)
    half = Thresholder(image.shape, use, options=DispersionOptions(gain=0.5), algorithm=algorithm)
    odd = image | 1
    np.testing.assert_array_equal(half.find(odd / 2).index, whole.find(odd).index)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_huge_and_negative_counts(algorithm):
    image, use = picture()
    image[5, 5], image[30, 0], image[50:53, 60:63], image[10, 10:14] = BIG, 2**30, BIG + 7, BIG - 1
    image[33:36, 33:36] = -40
    expected = slow_strong(image, use, DispersionOptions(), algorithm)
    found = Thresholder(image.shape, use, options=DispersionOptions(), algorithm=algorithm).strong_mask(image)
    np.testing.assert_array_equal(found, expected)
    image[0, 0] = -(2**26)  # fits no 32-bit sum: the table takes over
    expected = slow_strong(image, use, DispersionOptions(), algorithm)
    found = Thresholder(image.shape, use, options=DispersionOptions(), algorithm=algorithm).strong_mask(image)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_many_large_counts_switch_to_wide_sums(algorithm):
    image, use = picture(background=9000.0)
    image[10:12, 10:12] *= 3
    finder = Thresholder(image.shape, use, options=DispersionOptions(), algorithm=algorithm)
    np.testing.assert_array_equal(finder.strong_mask(image), slow_strong(image, use, DispersionOptions(), algorithm))
    assert finder._work._square_type is np.int64


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pixels_outside_the_trusted_range_count_as_invalid(algorithm):
    image, use = picture()
    image[::9, ::7] = 65535
    image[3, 3] = -1
    options = DispersionOptions()
    found = Thresholder(image.shape, use, options=options, algorithm=algorithm, trusted_range=(0, 400)).find(image)
    narrowed = Thresholder(image.shape, use & (image >= 0) & (image <= 400), options=options, algorithm=algorithm)
    np.testing.assert_array_equal(found.index, narrowed.find(image).index)
    assert found.value.max() <= 400
    by_frame = Thresholder(image.shape, options=options, algorithm=algorithm, trusted_range=(0, 400))
    np.testing.assert_array_equal(by_frame.find(image, use).index, found.index)
    none = Thresholder(image.shape, options=options, algorithm=algorithm, trusted_range=(2.5, 2.7))
    assert len(none.find(image).index) == 0


def test_trusted_range_includes_both_ends():
    image = np.zeros((20, 20), np.uint16)
    image[10, 10] = 50
    for high, count in ((50, 1), (49, 0)):
        finder = Thresholder(image.shape, options=DispersionOptions(), trusted_range=(0, high))
        assert len(finder.find(image).index) == count


def test_correction_by_gain_map_and_pedestal():
    image, use = picture()
    gain = np.full(image.shape, 2.0)
    finder = Thresholder(image.shape, use, options=DispersionOptions(), gain_map=gain, pedestal=3)
    plain = Thresholder(image.shape, use, options=DispersionOptions())
    found = finder.find(image * 2 + 3)
    np.testing.assert_array_equal(found.index, plain.find(image).index)
    np.testing.assert_array_equal(found.value, image.ravel()[found.index])


def test_region_of_interest_is_an_image_of_its_own():
    image, use = picture()
    finder = Thresholder(image.shape, use, options=DispersionOptions(), region_of_interest=(12, 61, 5, 33))
    part = Thresholder((28, 49), use[5:33, 12:61], options=DispersionOptions())
    expected = np.zeros(image.shape, bool)
    expected[5:33, 12:61] = part.strong_mask(image[5:33, 12:61])
    assert expected.any()
    np.testing.assert_array_equal(finder.strong_mask(image), expected)


def test_frames_do_not_influence_each_other():
    """Buffers are kept from frame to frame, and each thread has its own."""
    frames = [picture(seed)[0] for seed in range(6)]
    use = picture()[1]
    finder = Thresholder(frames[0].shape, use, options=DispersionOptions(), algorithm="dispersion_extended")
    alone = [Thresholder(f.shape, use, options=DispersionOptions(), algorithm="dispersion_extended").find(f).index
             for f in frames]
    results: dict[int, np.ndarray] = {}

    def work(number):
        for k in range(number, len(frames), 3):
            results[k] = finder.find(frames[k]).index

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, expected in enumerate(alone):
        np.testing.assert_array_equal(results[k], expected)


def test_nan_and_infinity_are_left_out():
    image, use = picture()
    broken = image.astype(float) + 0.5
    broken[7, 7], broken[40, 40] = np.nan, np.inf
    rest = use.copy()
    rest[7, 7] = rest[40, 40] = False
    found = Thresholder(image.shape, use, options=DispersionOptions(), trusted_range=(0, 1e9)).strong_mask(broken)
    clean = np.where(np.isfinite(broken), broken, 0.0)
    np.testing.assert_array_equal(found, Thresholder(image.shape, rest, options=DispersionOptions()).strong_mask(clean))


@pytest.mark.parametrize(("parameters", "message"), [
    ({"kernel_size": (0, 3)}, "kernel_size"), ({"min_local": 1}, "min_local"), ({"min_local": 50}, "min_local"),
    ({"gain": 0.0}, "gain"), ({"sigma_strong": -1.0}, "sigma_strong"), ({"global_threshold": -2.0}, "global_thresh")])
def test_parameters_out_of_bounds_are_refused(parameters, message):
    with pytest.raises(OptionError, match=message):
        Thresholder((9, 9), options=DispersionOptions(**parameters))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match="mask of shape"):
        Thresholder((9, 9), np.ones((9, 8), bool), options=DispersionOptions())
    with pytest.raises(OptionError, match="region_of_interest"):
        Thresholder((9, 9), options=DispersionOptions(), region_of_interest=(0, 10, 0, 9))
    with pytest.raises(OptionError, match="image of shape"):
        Thresholder((9, 9), options=DispersionOptions()).find(np.zeros((9, 8)))
    with pytest.raises(OptionError, match="algorithm"):
        Thresholder((9, 9), options=DispersionOptions(), algorithm="otsu")
