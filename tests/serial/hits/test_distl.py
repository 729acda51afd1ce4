"""Tests of the Spotfinder recipe on small images with known answers."""

import numpy as np
import pytest

from xdp.serial.hits.distl import (
    DistlSpots,
    FlatGeometry,
    as_int_image,
    compute_p90,
    count_high_spots,
    find_distl_spots,
    is_compact,
)
from xdp.serial.hits.distl_options import CXI_SETTINGS, DistlOptions

GEOMETRY = FlatGeometry(0.1, 100.0, 1.0, (8.0, 8.0), 5000.0)


def draw_image(places=(), mean=20.0, shape=(160, 160), height=300):
    image = np.random.default_rng(1).poisson(mean, shape).astype(np.int32)
    for i, j in places:
        image[i - 1:i + 2, j - 1:j + 2] += height // 2
        image[i, j] += height // 2
    return image


def find(image, tiles=True, **changes):
    options = CXI_SETTINGS.model_copy(update=changes)
    return find_distl_spots(image, GEOMETRY, options, tiles=[(0, 0, *image.shape)] if tiles else None)


def test_spots_lie_where_they_were_drawn():
    places = [(30, 40), (80, 100), (120, 20)]
    image = draw_image(places)
    spots = find(image)
    strong = spots.height > 200
    assert list(zip(spots.slow[strong], spots.fast[strong], strict=True)) == places
    # the height is the pixel as it is, not above the background
    assert spots.height[strong].tolist() == [image[place] for place in places]
    assert np.all((spots.area[strong] >= 9) & (spots.area[strong] <= 11))  # a neighbour by chance
    np.testing.assert_allclose(spots.resolution[strong], GEOMETRY.resolution(
        [(i - 80) ** 2 + (j - 80) ** 2 for i, j in places]))


def test_each_parameter_has_its_effect():
    image = draw_image([(30, 40), (80, 100), (120, 20)])
    n = len(find(image).slow)
    assert len(find(image, minimum_spot_height=50.0).slow) < n
    areas = find(image, minimum_spot_area=8).area
    # strictly more pixels are wanted
    assert len(find(image, minimum_spot_area=int(areas.min())).slow) == (areas > areas.min()).sum() < len(areas)
    assert len(find(image, spot_area_maximum_factor=2.0).slow) < n
    assert len(find(image, peripheral_margin=25).slow) < n
    assert len(find(image, scanbox_windows=(120, 120, 120)).slow) > 0
    assert not np.array_equal(find(image, minimum_signal_height=0.5).score, find(image).score)
    stringy = draw_image()
    stringy[50, 40:45] += 200
    assert len(find(stringy, compactness_filter=False).slow) == len(find(stringy).slow) + 1
    bright = draw_image([(k * 16 + 20, k * 16 + 20) for k in range(8)])
    bright[100, 30] += 4000
    bright[99:102, 29:32] += 100
    assert len(find(bright, peak_intensity_maximum_factor=1.0).slow) < len(find(bright).slow)
    saturated = draw_image([(30, 40)])
    saturated[30, 40] = 6000
    assert len(find(saturated, report_overloads=True).slow) == len(find(saturated).slow) + 1


def test_resolution_limit_leaves_out_boxes_and_inner_changes_nothing():
    from xdp.serial.hits.distl_options import DistlResolutionOptions

    image = draw_image([(75, 85), (85, 75), (85, 90), (75, 70), (10, 10)])
    whole = find(image, scanbox_windows=(40, 40, 40))
    fine = GEOMETRY.resolution(37.5**2)
    inner = find(image, scanbox_windows=(40, 40, 40), res=DistlResolutionOptions(outer=float(fine)))
    assert (10, 10) in zip(whole.slow, whole.fast, strict=True)
    assert (10, 10) not in zip(inner.slow, inner.fast, strict=True)
    assert (75, 85) in zip(inner.slow, inner.fast, strict=True)
    other = find(image, res=DistlResolutionOptions(inner=5.0))
    assert len(other.slow) == len(find(image).slow)


def test_no_spots_give_the_same_columns():
    spots = find(np.full((160, 160), 5, np.int32))
    assert all(len(column) == 0 for column in spots)
    assert isinstance(spots, DistlSpots)
    assert len(find(np.zeros((160, 160), np.int32)).slow) == 0


def test_negative_half_of_the_noise_is_no_background_on_tiles():
    noise = np.random.default_rng(2).normal(0, 10, (160, 160))
    spots = find(noise)  # half of the pixels are left out, boxes grow: no error, hardly a spot
    assert len(spots.slow) < 10


@pytest.mark.parametrize(("flags", "p90", "n"), [(False, 0.0, 2), (True, 100.0, 2), (True, 250.0, 1), (True, 0.0, 2)])
def test_high_spots_are_counted_as_mod_hitfind_counts(flags, p90, n):
    height = np.array([450, 451, 700])
    spots = DistlSpots(height, height, height, height, height, height)
    assert count_high_spots(spots, 450, restrictive=flags, p90=p90) == n


def test_p90_is_an_element_not_an_interpolation():
    image = np.arange(95).reshape(5, 19)
    assert compute_p90(image) == 85
    assert compute_p90(image, [(0, 0, 1, 10)]) == 9


def test_whole_numbers_of_any_type():
    assert as_int_image(np.array([[1.6, np.nan, 3e9]]))[0].tolist() == [2, -2**31, 2**31 - 1]
    assert as_int_image(np.array([[2**32 - 1]], np.uint32))[0, 0] == 2**31 - 1
    assert as_int_image(np.array([[7]], np.uint16)).dtype == np.int32


def test_compactness_limits():
    area, pairs = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9]), np.array([0, 1, 3, 5, 6, 8, 10, 13, 19])
    assert is_compact(area, pairs).all()
    assert not is_compact(area[1:], pairs[1:] - 1).any()


def test_defaults_are_spotfinders():
    assert DistlOptions().peripheral_margin == 20
    assert CXI_SETTINGS.peripheral_margin == 1
    assert CXI_SETTINGS.minimum_spot_area == 3
    assert CXI_SETTINGS.compactness_filter
