"""Hot and dead pixels: which are found, and that no pixel of a reflection is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hot_pixel_data import count_frames, make_flat, read_out, simulate, spoil
from integration_data import make_series, run

from xdp.integration.hot_pixels.detect import BadPixels, find_bad_pixels, mask_bad_pixels
from xdp.integration.hot_pixels.options import HotPixelOptions
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels

def find_pixels(case, options=None, trusted=None):
    """The hot and the dead pixels that are found, as sets of (slow, fast)."""
    experiment, frames, model, usable = case
    found = find_bad_pixels([experiment], count_frames(experiment, frames, trusted), [usable],
                            options or HotPixelOptions(), models=[model])
    width = frames.shape[2]
    return [{divmod(int(i), width) for i in pixels[0]} for pixels in (found.hot, found.dead)]


def test_hot_and_dead_pixels_are_found_among_reflections():
    case = simulate(photons=500.0)
    hot = [(25, 90, 400), (100, 201, 300), (150, 17, 8000), (60, 230, 1e5), (180, 100, 900)]
    dead = [(50, 60), (91, 120), (170, 200), (130, 33)]
    strong = case[1].max(axis=0)
    assert np.count_nonzero(strong > 50) > 300, "without bright reflections the test shows nothing"
    assert find_pixels(case) == [set(), set()]
    spoil(case[1], hot, dead)
    assert find_pixels(case) == [{(y, x) for y, x, _ in hot}, set(dead)]


@pytest.mark.parametrize("photons", [500.0, 50000.0])
def test_no_pixel_of_a_reflection_is_masked_in_fine_slices(photons):
    # Reflections last from 30 of these 120 frames to all of them; the background is as thin as the slices.
    case = simulate(120, 0.02, background=0.12, photons=photons)
    usable = case[3]
    at = {divmod(int(i), 240) for i in np.random.default_rng(3).choice(np.flatnonzero(usable), 20, replace=False)}
    lasting = (case[1] > 2).sum(axis=0)
    assert photons < 5000 or np.count_nonzero(lasting > 60) > 100, "without lasting reflections it shows nothing"
    assert find_pixels(case) == [set(), set()]
    spoil(case[1], [(y, x, 100.0) for y, x in at])
    hot, dead = find_pixels(case)
    assert not dead
    assert hot <= at
    # Those beside a bright reflection, which shines on them for much of these 2.4 degrees, stay.
    totals = case[1].sum(axis=0)
    quiet = {(y, x) for y, x in at if np.sort(totals[max(y - 1, 0):y + 2, max(x - 1, 0):x + 2], axis=None)[-2] < 400}
    assert len(quiet) >= 15
    assert hot >= quiet


def test_pixels_that_images_mark_are_neither_hot_nor_dead():
    case = make_flat()
    case[1][:, 10, 10] = -2
    case[1][:, 20, 20] = 2000000
    assert find_pixels(case) == [{(20, 20)}, {(10, 10)}]
    assert find_pixels(case, trusted=[(0, 1000000)]) == [set(), set()]


@pytest.mark.parametrize("trusted", [None, [(0.0, 32000.0)], [(-32768.0, 32000.0)]])
@pytest.mark.parametrize("background", [0.05, 3.0])
def test_counts_that_are_not_of_photons(background, trusted):
    """Gain 2, noise of 3 counts, a fifth to nearly half of the pixels below zero: as with photons, no good pixel."""
    experiment, frames, model, usable = simulate(background=background)
    frames = read_out(frames)
    assert 0.2 < np.mean(frames < 0) < 0.5
    assert find_pixels((experiment, frames, model, usable), trusted=trusted) == [set(), set()]
    hot = [(25, 90, 60), (100, 150, 300), (150, 100, 80)]
    photons = np.zeros_like(frames, dtype=float)
    spoil(photons, hot)
    for y, x, _ in hot:
        frames[:, y, x] = read_out(photons[:, y:y + 1, x:x + 1])[:, 0, 0]
    # a pixel that the read-out leaves at zero is dead; one that only sees no light has the noise of the others
    dead = [(30, 40), (80, 80)]
    spoil(frames, dead=dead)
    frames[:, 120, 60] = read_out(np.zeros((len(frames), 1, 1)))[:, 0, 0]
    assert find_pixels((experiment, frames, model, usable), trusted=trusted) == [{(y, x) for y, x, _ in hot}, set(dead)]


@pytest.mark.parametrize("background", [0.05, 0.5])
def test_good_pixels_beside_reflections_on_a_thin_background_are_not_dead(background):
    """A pixel among strong reflections counts nothing where there is next to no background."""
    assert find_pixels(simulate(background=background)) == [set(), set()]


def test_a_straight_shadow_and_its_corner_are_not_dead():
    case = make_flat(level=20.0)
    case[1][:, :30, 40:] = 0
    assert find_pixels(case) == [set(), set()]


def test_bright_lines_and_pairs_are_not_hot():
    case = make_flat()
    case[1][:, 12, :] += 200
    case[1][:, 30, 30:32] += 200
    assert find_pixels(case) == [set(), set()]


def test_switched_off_or_without_rotation_nothing_is_find_pixels():
    case = make_flat()
    spoil(case[1], [(30, 30, 500)], [(20, 20)])
    assert find_pixels(case) == [{(30, 30)}, {(20, 20)}]
    assert find_pixels(case, HotPixelOptions(mask=False)) == [set(), set()]
    short = (make_flat(3)[0], case[1][:3], case[2], case[3])
    assert find_pixels(short) == [set(), set()]
    found = find_bad_pixels([short[0]], count_frames(short[0], short[1]), None, HotPixelOptions(), models=[case[2]])
    assert "not sought" in found.describe()[0]
    assert "fewer than 4" in found.describe()[0]


@pytest.mark.parametrize(("name", "value", "pixel"), [
    ("min_ratio", 30.0, (10, 30, 80)), ("min_sigma", 100.0, (10, 30, 80))])
def test_weak_hot_pixels_are_a_matter_of_options(name, value, pixel):
    case = make_flat()
    spoil(case[1], [pixel])
    assert find_pixels(case)[0] == {pixel[:2]}
    assert find_pixels(case, HotPixelOptions(**{name: value}))[0] == set()


def test_min_fraction_asks_for_part_of_the_scan():
    case = make_flat()
    case[1][:12, 10, 30] += 500
    assert find_pixels(case)[0] == set()
    assert find_pixels(case, HotPixelOptions(min_fraction=0.5))[0] == {(10, 30)}


def test_min_widths_decides_where_neighbours_do_not():
    # A neighbour at a quarter of the hot pixel: wide enough for a reflection, so that only its duration tells.
    case = make_flat(24, 0.5)
    spoil(case[1], [(10, 30, 400), (10, 31, 80)])
    assert find_pixels(case)[0] == {(10, 30)}
    assert find_pixels(case, HotPixelOptions(min_widths=50.0))[0] == set()


def test_a_flickering_pixel_of_a_short_scan_stays():
    case = make_flat(15, 0.02)
    spoil(case[1], [(10, 30, 400), (30, 50, 400)])
    case[1][:8, 30, 50] //= 4
    assert find_pixels(case)[0] == {(10, 30)}


def test_dead_probability_sets_how_thin_a_background_may_be():
    case = make_flat(24, 0.5, level=0.8)
    case[1][:, 20, 20] = 0
    assert find_pixels(case, HotPixelOptions(dead_probability=1e-9))[1] == set()
    assert (20, 20) in find_pixels(case, HotPixelOptions(dead_probability=0.5))[1]


def test_bad_pixels_lose_their_bits_in_all_frames_of_a_box():
    rng = np.random.default_rng(2)
    n = 30
    low = np.stack([rng.integers(0, 30, n), rng.integers(0, 20, n), rng.integers(0, 5, n)], axis=1)
    bbox = np.stack([low, low + rng.integers(1, 9, (n, 3))], axis=2).reshape(n, 6).astype(np.int32)
    panel = rng.integers(0, 2, n)
    offsets = np.r_[0, np.cumsum(np.diff(bbox.reshape(-1, 3, 2))[:, :, 0].prod(axis=1))]
    boxes = Shoeboxes(panel, bbox, offsets, np.ones(offsets[-1]), np.full(offsets[-1], 31, np.uint8))
    bad = [rng.choice(40 * 30, 40, replace=False) for _ in range(2)]
    found = BadPixels(tuple(np.sort(b[:25]) for b in bad), tuple(np.sort(b[25:]) for b in bad), (40, 40))
    touched = mask_bad_pixels(boxes, found)
    kept = int(MaskCode.BACKGROUND | MaskCode.FOREGROUND)
    for i in range(n):
        x0, x1, y0, y1, _, _ = bbox[i]
        rows, columns = np.mgrid[y0:y1, x0:x1]
        is_bad = np.isin(rows * 40 + columns, bad[panel[i]])
        np.testing.assert_array_equal(boxes.box(i)[1], np.broadcast_to(np.where(is_bad, kept, 31),
                                                                       boxes.box(i)[1].shape))
        assert touched[i] == is_bad.any()
    assert 0 < touched.sum() < n


def test_the_log_says_where_they_are():
    one = BadPixels((np.array([5 * 40 + 7]),), (np.array([1, 2]),), (40,))
    assert one.describe() == ["Masked 1 hot and 2 dead pixels", "  hot (fast, slow): (7, 5)",
                              "  dead (fast, slow): (1, 0), (2, 0)"]
    many = BadPixels((np.arange(60), np.zeros(0, int)), (np.zeros(0, int),) * 2, (40, 40))
    assert many.describe()[1].endswith("and 10 more")
    assert "panel 0" in many.describe()[1]
    assert len(many) == 60


def test_integration_masks_what_it_finds(series, tmp_path, caplog):
    clean = run(series).reflections
    middle = np.argsort(np.hypot(*(clean["xyzcal.px"][:, :2] - [60.0, 50.0]).T))
    rows = [i for i in middle if abs(clean["xyzcal.px"][i, 2] - 6) < 3][:6]
    x, y = np.floor(clean["xyzcal.px"][rows, :2]).astype(int).T
    # Beside the centre of each of these reflections a hot pixel, on all frames.
    spoilt = make_series(tmp_path, change=lambda stack: stack.__setitem__((slice(None), y, x + 1), 20000))
    assert len(spoilt.experiments) == 1
    spoilt = dataclasses.replace(spoilt, reference=series.reference)
    with caplog.at_level("INFO"):
        masked = run(spoilt).reflections
    assert "Masked 6 hot and 0 dead pixels" in caplog.text
    plain = run(spoilt, "integration.hot_pixels.mask=False").reflections
    key = {tuple(h): i for i, h in enumerate(np.column_stack([clean["miller_index"], clean["entering"]]).tolist())}
    for table, is_right in ((masked, True), (plain, False)):
        at = [key.get(tuple(h), -1) for h in np.column_stack([table["miller_index"], table["entering"]]).tolist()]
        fitted = table.flags(Flag.INTEGRATED_PRF) & np.isin(at, rows)
        assert fitted.sum() >= 3
        difference = table["intensity.prf.value"][fitted] - clean["intensity.prf.value"][np.array(at)[fitted]]
        pull = np.abs(difference) / np.sqrt(clean["intensity.prf.variance"][np.array(at)[fitted]])
        # With a pixel less the fit has another, slightly larger, error: 4 sigma of its own is room enough.
        assert (pull.max() < 4.0) if is_right else (pull.min() > 10.0)
