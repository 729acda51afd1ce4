"""Thresholds against slow NumPy twins that follow the formulas window by window."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.spotfinding.options import DispersionOptions, RadialProfileOptions
from xdp.spotfinding.threshold import _kernels_dispersion as dispersion
from xdp.spotfinding.threshold import _kernels_extended as extended
from xdp.spotfinding.threshold.dispersion import Thresholder
from xdp.spotfinding.threshold.radial_profile import RadialThresholder, blur_image, compute_ring_statistics

pytestmark = pytest.mark.kernels

BIG = 2**24
ALGORITHMS = ["dispersion", "dispersion_extended"]


def window(j, i, half, shape):
    return (slice(max(0, j - half[0]), min(shape[0], j + half[0] + 1)),
            slice(max(0, i - half[1]), min(shape[1], i + half[1] + 1)))


def slow_dispersed(image, use, options, with_mean):
    """Over-dispersed pixels, and of them those that exceed their mean, in exact (Python) whole numbers."""
    out = np.zeros(image.shape, bool)
    area = np.prod(2 * np.array(options.kernel_size) + 1)
    least = options.min_local if options.min_local > 0 else area
    g = 1.0 if options.gain is None else options.gain
    for j, i in np.argwhere(use):
        w = window(j, i, options.kernel_size, image.shape)
        values = image[w][use[w] & (image[w] < BIG)].astype(object)
        m, x, y, v = len(values), sum(values), sum(values**2), image[j, i]
        if m < least or x < 0:
            continue
        out[j, i] = m * y - x * x > g * x * (m - 1 + options.sigma_background * np.sqrt(2 * (m - 1)))
        if with_mean:
            out[j, i] &= v > options.global_threshold and m * float(v) - x > options.sigma_strong * np.sqrt(g * x * m)
    return out


def slow_strong(image, use, options, algorithm):
    """The whole threshold, window by window."""
    peaks = slow_dispersed(image, use, options, algorithm == "dispersion")
    if algorithm == "dispersion":
        return peaks
    radius, g = min(options.kernel_size) - 1, 1.0 if options.gain is None else options.gain
    eroded = np.array([[peaks[window(j, i, (radius, radius), image.shape)].all() for i in range(image.shape[1])]
                       for j in range(image.shape[0])])
    background = use & ~eroded & (image < BIG)
    out = np.zeros(image.shape, bool)
    for j, i in np.argwhere(eroded):
        w = window(j, i, np.array(options.kernel_size) + 2, image.shape)
        values = image[w][background[w]].astype(object)
        if sum(values) < 0:
            continue
        mean = sum(values) / len(values) if len(values) > 1 else 0.0
        v = image[j, i]
        out[j, i] = v > options.global_threshold and v >= mean + options.sigma_strong * np.sqrt(g * mean)
    return out


def picture(seed=3, background=2.0, shape=(60, 75), dtype="i4"):
    """Counts with spots, and a mask with a gap, a hole and single pixels out."""
    rng = np.random.default_rng(seed)
    image = rng.poisson(background, shape)
    for y, x, peak in zip(*(rng.integers(1, high, 25) for high in (shape[0] - 1, shape[1] - 1, 900)), strict=True):
        image[y - 1:y + 2, x - 1:x + 2] += rng.poisson(peak * np.outer([1, 3, 1], [1, 3, 1]) / 25)
    use = rng.random(shape) > 0.03
    use[20:24], use[40:50, 10:20] = False, False
    return image.astype(dtype), use


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


def test_status_codes_are_no_counts():
    assert dispersion.UNFIT < 0
    assert dispersion.BUSY < 0
    assert dispersion.UNFIT != dispersion.BUSY


def test_ring_statistics_are_numpy_quantiles():
    rng = np.random.default_rng(0)
    values, bins = rng.normal(size=400), rng.integers(0, 9, 400)
    bins[bins == 4] = 5
    median, spread = compute_ring_statistics(values, bins, 9)
    for k in range(9):
        ring = values[bins == k]
        expected = (np.median(ring), np.subtract(*np.quantile(ring, [0.75, 0.25]))) if len(ring) else (0.0, 0.0)
        np.testing.assert_allclose((median[k], spread[k]), expected, rtol=1e-12)


def test_radial_profile_finds_what_exceeds_its_ring():
    y, x = np.mgrid[:60, :60]
    angle = np.hypot(y - 30, x - 30) / 100
    image = np.rint(100 * np.exp(-angle * 5)).astype(np.int32)
    image[12, 40] += 60
    image[50, 50] += 60
    valid = np.ones(image.shape, bool)
    valid[50, 50] = False
    found = RadialThresholder(image.shape, valid, options=RadialProfileOptions(n_bins=20), two_theta=angle).find(image)
    assert found.index.tolist() == [12 * 60 + 40]
    smoothed = blur_image(image.astype(float), np.full((3, 3), 1 / 9))
    assert smoothed[12, 40] == pytest.approx(image[11:14, 39:42].mean())
    assert smoothed[0, 0] == pytest.approx((4 * image[0, 0] + 2 * image[0, 1] + 2 * image[1, 0] + image[1, 1]) / 9)


@pytest.mark.kernels
@pytest.mark.parametrize("width", [1, 63, 64, 65, 128, 150])
@pytest.mark.parametrize("radius", [0, 1, 2, 5])
def test_bits_are_eroded_as_pixels_are(width, radius):
    rng = np.random.default_rng(width + radius)
    mask = rng.random((40, width)) < 0.97 ** (1 / (1 + radius))
    expected = np.array([[mask[window(j, i, (radius, radius), mask.shape)].all() for i in range(width)]
                         for j in range(40)])
    bits = extended.erode_bits(np.flatnonzero(mask), mask.shape, radius)
    found = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, :width].astype(bool)
    assert expected.any() or radius == 5
    np.testing.assert_array_equal(found, expected)
