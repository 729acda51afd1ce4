"""Masks: shapes, resolution, trusted range, files; against brute force over pixels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdp.errors import FormatError, OptionError
from xdp.experiment import Beam, Detector, Experiment, ImageSet, Panel
from xdp.experiment.pixels import resolution
from xdp.images.masks import pixel_masks as masks
from xdp.images.masks.options import IceRings, MaskOptions, Untrusted
from xdp.images.masks.pickles import write_map_pickle, write_mask_pickle


def full(shape=(20, 30)) -> np.ndarray:
    return np.ones(shape, bool)


def masked(mask: np.ndarray) -> set:
    return set(map(tuple, np.argwhere(~mask).tolist()))


def panel(**changes) -> Panel:
    model = {"fast_axis": (1.0, 0.0, 0.0), "slow_axis": (0.0, -1.0, 0.0), "origin": (-3.0, 2.0, -20.0),
             "image_size": (30, 20), "pixel_size": (0.2, 0.2), "trusted_range": (0.0, 1000.0)}
    return Panel(**(model | changes))


def test_border_masks_all_four_edges_and_nothing_at_zero():
    mask = full()
    masks.mask_border(mask, 0)
    assert mask.all()
    masks.mask_border(mask, 3)
    assert mask.sum() == (20 - 6) * (30 - 6)
    assert mask[3:-3, 3:-3].all()


def test_rectangle_leaves_its_upper_ends_out():
    mask = full()
    masks.mask_rectangle(mask, 2, 5, 7, 9)
    assert masked(mask) == set(itertools.product((7, 8), (2, 3, 4)))


@pytest.mark.parametrize("box", [(5, 5, 1, 2), (0, 31, 0, 5), (-1, 3, 0, 5), (1, 2, 3, 21), (9, 3, 1, 2)])
def test_rectangle_outside_of_the_panel_is_refused(box):
    with pytest.raises(OptionError, match=r"untrusted\.rectangle"):
        masks.mask_rectangle(full(), *box)


@settings(max_examples=30, deadline=None)
@given(st.integers(-5, 35), st.integers(-5, 25), st.integers(1, 12))
def test_circle_is_measured_from_whole_pixel_numbers(xc, yc, radius):
    mask = full()
    expected = {(y, x) for y, x in np.ndindex(20, 30) if (x - xc) ** 2 + (y - yc) ** 2 < radius**2}
    try:
        masks.mask_circle(mask, xc, yc, radius)
    except OptionError:
        assert not expected
        return
    assert masked(mask) == expected


def test_circle_without_radius_is_refused():
    with pytest.raises(OptionError, match="r > 0"):
        masks.mask_circle(full(), 5, 5, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 19)), min_size=3, max_size=7))
def test_polygon_masks_pixels_whose_centres_are_inside(corners):
    mask = full()
    masks.mask_polygon(mask, corners)
    assert masked(mask) == {(y, x) for y, x in np.ndindex(20, 30) if crossings(corners, x + 0.5, y + 0.5) % 2}


def crossings(corners, x, y) -> int:
    """How often a ray from (x, y) towards larger fast crosses the polygon's edges."""
    count = 0
    for (xa, ya), (xb, yb) in zip(corners, [corners[-1], *corners[:-1]], strict=True):
        if (ya > y) != (yb > y) and x < (xb - xa) * (y - ya) / (yb - ya) + xa:
            count += 1
    return count


def test_polygon_needs_three_corners_inside():
    with pytest.raises(OptionError, match="at least 3 corners"):
        masks.mask_polygon(full(), [(1, 1), (5, 5)])
    with pytest.raises(OptionError, match="outside"):
        masks.mask_polygon(full(), [(100, 100), (120, 100), (110, 130)])


def test_pixel_is_slow_then_fast():
    mask = full()
    masks.mask_pixel(mask, 3, 25)
    assert masked(mask) == {(3, 25)}
    with pytest.raises(OptionError, match=r"untrusted\.pixel"):
        masks.mask_pixel(mask, 25, 3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 20), st.floats(1, 20)), max_size=5), st.integers(0, 99))
def test_resolution_ranges_include_both_ends_in_any_order(ranges, seed):
    d = np.random.default_rng(seed).uniform(0.5, 25, (7, 9))
    if ranges:
        d[0, 0], d[0, 1] = ranges[0]
    mask = np.ones(d.shape, bool)
    masks.mask_resolution(mask, d, ranges)
    expected = np.ones(d.shape, bool)
    for low, high in ranges:
        expected &= ~((d >= min(low, high)) & (d <= max(low, high)))
    np.testing.assert_array_equal(mask, expected)


def test_ice_rings_are_those_of_hexagonal_ice():
    ranges = masks.ice_ring_ranges(IceRings(filter=True), 1.9)
    middles = [1 / math.sqrt((1 / a**2 + 1 / b**2) / 2) for a, b in ranges]
    # the well known rings of ice Ih (Å): 3.90 3.67 3.44 2.67 2.25 2.07 1.95 1.92
    for ring in (3.90, 3.67, 3.44, 2.67, 2.25, 2.07, 1.95, 1.92):
        assert min(abs(ring - m) for m in middles) < 0.01
    for a, b in ranges:
        assert 1 / a**2 - 1 / b**2 == pytest.approx(0.002, rel=1e-9)


def test_ring_wider_than_its_distance_from_zero_reaches_to_infinity():
    (low, high), *_ = masks.ice_ring_ranges(IceRings(filter=True, width=10.0), 3.0)
    assert high == math.inf
    assert low < 0.5


def test_unknown_space_group_is_refused():
    with pytest.raises(OptionError, match="space_group"):
        masks.ring_positions(IceRings(space_group="P 9 9 9"), 2.0)


def test_generated_mask_joins_everything_on_its_panel():
    detector = Detector((panel(), panel(origin=(3.0, 2.0, -20.0))))
    beam = Beam((0.0, 0.0, 1.0), 1.0)
    options = MaskOptions(border=1, d_min=5.0, untrusted=(Untrusted(panel=1, rectangle=(4, 8, 4, 8)),))
    first, second = masks.generate_mask(detector, beam, options)
    centres = np.stack(np.meshgrid(np.arange(30) + 0.5, np.arange(20) + 0.5), axis=-1).reshape(-1, 2)
    for index, mask in enumerate((first, second)):
        expected = resolution(detector, beam, index, centres).reshape(20, 30) > 5.0
        expected[[0, -1]] = expected[:, [0, -1]] = False
        if index == 1:
            expected[4:8, 4:8] = False
        np.testing.assert_array_equal(mask, expected)


def test_region_without_shape_masks_its_whole_panel():
    detector, beam = Detector((panel(), panel())), Beam((0.0, 0.0, 1.0), 1.0)
    first, second = masks.generate_mask(detector, beam, MaskOptions(untrusted=(Untrusted(panel=1),)))
    assert first.all()
    assert not second.any()


@pytest.mark.parametrize(("limits", "dtype", "maximum", "expected"), [
    ((0.0, 1000.0), np.uint16, None, (0, 1000)),
    ((-5.0, 1e6), np.uint16, None, (0, 65535)),
    ((0.5, 99.5), np.int32, None, (1, 99)),
    ((0.5, 99.5), np.float32, None, (0.5, 99.5)),
    ((0.0, 1000.0), np.int32, 60.5, (0, 60)),
    ((0.0, math.inf), np.int32, None, (0, 2**31 - 1)),
])
def test_trusted_limits_include_both_ends(limits, dtype, maximum, expected):
    assert masks.trusted_limits(panel(trusted_range=limits), np.dtype(dtype), maximum) == expected


def test_combine_is_the_logical_and_and_none_is_all_good():
    a, b = full(), full()
    a[0], b[:, 0] = False, False
    joined, = masks.combine([a], None, [b])
    np.testing.assert_array_equal(joined, a & b)
    assert masks.combine(None, None) is None


def experiment(mask_file=None, **changes) -> Experiment:
    return Experiment(beam=Beam((0.0, 0.0, 1.0), 1.0), detector=Detector((panel(**changes),)),
                      imageset=ImageSet("ImageSet", images=("x",), mask=mask_file))


class KnownMask:
    """A reader whose format knows a bad pixel."""

    def static_mask(self):
        mask = full()
        mask[1, 1] = False
        return [mask]


def test_static_mask_joins_file_or_format_with_rectangles(tmp_path):
    mask = full()
    mask[5, 6] = False
    write_mask_pickle(tmp_path / "file.mask", [mask])
    rectangle = set(itertools.product((2, 3), (10,)))
    assert masks.static_mask(experiment()) is None
    assert masked(masks.static_mask(experiment(mask=((10, 2, 11, 4),)))[0]) == rectangle
    assert masked(masks.static_mask(experiment(), KnownMask())[0]) == {(1, 1)}
    with_file = experiment(str(tmp_path / "file.mask"), mask=((10, 2, 11, 4),))
    assert masked(masks.static_mask(with_file, KnownMask())[0]) == rectangle | {(5, 6)}


def test_mask_files_of_other_shape_or_kind_are_refused(tmp_path):
    write_mask_pickle(tmp_path / "wide.mask", [full((20, 31))])
    with pytest.raises(FormatError, match=r"wide\.mask: .*\(20, 30\).*got .*\(20, 31\)"):
        masks.read_mask(str(tmp_path / "wide.mask"), [(20, 30)])
    with pytest.raises(FormatError, match="1 panel"):
        masks.read_mask(str(tmp_path / "wide.mask"), [(20, 31), (20, 31)])
    write_map_pickle(tmp_path / "gain.pickle", [np.ones((20, 30))])
    with pytest.raises(FormatError, match="true and false"):
        masks.read_mask(str(tmp_path / "gain.pickle"), [(20, 30)])


def test_usable_pixels_are_trusted_and_not_masked():
    image = np.full((20, 30), 10, np.int32)
    image[0, 0], image[0, 1], image[0, 2] = -1, 1001, 1000
    usable, = masks.usable_pixels(experiment(), KnownMask(), [image])
    assert masked(usable) == {(0, 0), (0, 1), (1, 1)}
