from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
from integration_data import make_series, run
from scipy.stats import poisson

from xdp.experiment import Experiment
from xdp.integration.hot_pixels._kernels import CAP, add_counts, count_isolated, find_low
from xdp.integration.hot_pixels.detect import MOST_FRAMES, BadPixels, PixelCounts, find_bad_pixels, mask_bad_pixels
from xdp.integration.hot_pixels.options import HotPixelOptions
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.simulation import (
    make_beam,
    make_crystal,
    make_detector,
    make_goniometer,
    make_scan,
    simulate_rotation,
)
from xdp.simulation.options import SimulationOptions

pytestmark = pytest.mark.kernels

SIZE = (64, 80)


def simulated(n_frames=24, width=0.5, *, background=3.0, photons=5000.0, sigma_m=0.1, seed=1):
    """A small crystal series without defects: experiment, frames (n, slow, fast), model, usable pixels."""
    options = SimulationOptions(background=background, photons=photons, hot_pixels=0, dead_pixels=0, sigma_m=sigma_m)
    series = simulate_rotation(make_crystal(orientation=seed), make_beam(), make_detector((240, 220), distance=80.0),
                               make_goniometer(), make_scan(n_frames, width), options=options, seed=seed)
    frames = np.stack([panels[0] for panels in series.images()])
    model = SimpleNamespace(n_sigma=3.0, sigma_b=np.deg2rad(options.sigma_b), sigma_m=np.deg2rad(sigma_m))
    return series.experiments[0], frames, model, ~series.defects.gaps[0]


def flat(n_frames=24, width=0.5, level=4.0, seed=0):
    """Background alone on a small panel, with models."""
    rng = np.random.default_rng(seed)
    model = SimpleNamespace(n_sigma=3.0, sigma_b=np.deg2rad(0.04), sigma_m=np.deg2rad(0.1))
    scan = make_scan(n_frames, width)
    experiment = Experiment(scan=scan, goniometer=make_goniometer(), beam=make_beam(),
                            detector=make_detector(SIZE[::-1], distance=80.0))
    return experiment, rng.poisson(level, (n_frames, *SIZE)).astype(np.int32), model, np.ones(SIZE, bool)


def spoil(frames, hot=(), dead=(), seed=5):
    """Let pixels (slow, fast, mean count) be hot, and pixels (slow, fast) dead."""
    rng = np.random.default_rng(seed)
    for slow, fast, mean in hot:
        frames[:, slow, fast] = rng.poisson(mean, len(frames))
    for slow, fast in dead:
        frames[:, slow, fast] = 0


def counted(experiment, frames, trusted=None):
    """The counts of all frames."""
    first, last = experiment.scan.array_range
    counts = PixelCounts((first, last), [frames.shape[1:]], trusted)
    for z in range(first, last):
        counts.add(z, [frames[z - first]])
    return counts


def sought(case, options=None, trusted=None):
    """Sets of (slow, fast) that are found hot and dead."""
    experiment, frames, model, usable = case
    found = find_bad_pixels([experiment], counted(experiment, frames, trusted), [usable],
                            options or HotPixelOptions(), models=[model])
    width = frames.shape[2]
    return [{divmod(int(i), width) for i in pixels[0]} for pixels in (found.hot, found.dead)]


def test_counts_are_added_within_limits():
    for dtype, values in ((np.int32, [-2, 0, 7, CAP + 5]), (np.uint16, [0, 1, 7, 65535]),
                          (np.float32, [-1.0, 0.0, 7.0, 1e9])):
        sums = np.full((2, 2), 10, np.uint32)
        limits = dtype(0), dtype(min(CAP, np.iinfo(dtype).max) if dtype != np.float32 else CAP)
        add_counts(np.array(values, dtype).reshape(2, 2), *limits, sums)
        np.testing.assert_array_equal(sums.ravel(), 10 + np.clip(np.array(values, np.float64), 0, CAP).astype(np.int64))


def slow_isolated(sums, valid, ratio, n_sigma):
    """Twin of the kernel."""
    found = np.zeros(sums.shape, bool)
    for y, x in np.ndindex(*sums.shape):
        near = [float(sums[v, u]) for v in range(max(y - 1, 0), min(y + 2, sums.shape[0]))
                for u in range(max(x - 1, 0), min(x + 2, sums.shape[1])) if (v, u) != (y, x) and valid[v, u]]
        c, m = float(sums[y, x]), max([1.0, *near])
        found[y, x] = valid[y, x] and len(near) >= 3 and c - ratio * m > n_sigma * math.sqrt(c + ratio**2 * m)
    return found


def slow_low(sums, valid, fraction, log_probability):
    """Twin of the kernel."""
    found = []
    for y, x in np.ndindex(*sums.shape):
        near = sorted(float(sums[v, u]) for v in range(max(y - 2, 0), min(y + 3, sums.shape[0]))
                      for u in range(max(x - 2, 0), min(x + 3, sums.shape[1])) if (v, u) != (y, x) and valid[v, u])
        if not valid[y, x] or len(near) < 12:
            continue
        c, e = float(sums[y, x]), near[3 * len(near) // 10]
        if e > 0 and c <= fraction * e and c - e - (c * math.log(c / e) if c else 0.0) < log_probability:
            found.append(y * sums.shape[1] + x)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_kernels_do_as_their_slow_twins(seed):
    rng = np.random.default_rng(seed)
    sums = rng.poisson(30, (25, 31)).astype(np.uint32)
    places = rng.integers(0, sums.size, 40)
    sums.flat[places[:20]] = rng.integers(100, 3000, 20)
    sums.flat[places[20:]] = rng.integers(0, 2, 20)
    valid = rng.random(sums.shape) > 0.2
    times = np.zeros(sums.shape, np.uint8)
    count_isolated(sums, valid, 3.0, 8.0, times)
    expected = slow_isolated(sums, valid, 3.0, 8.0)
    assert expected.sum() > 3
    np.testing.assert_array_equal(times, expected)
    found = np.zeros(100, np.int64)
    n = find_low(sums, valid, 0.05, -15.0, found)
    low = slow_low(sums, valid, 0.05, -15.0)
    assert n == len(low) > 3
    assert sorted(found[:n]) == low


def test_the_bound_of_the_probability_is_not_below_it():
    for e in (5.0, 20.0, 60.0):
        c = np.arange(0, int(e))
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = np.where(c > 0, c - e - c * np.log(c / e), -e)
        assert np.all(poisson.logcdf(c, e) <= bound + 1e-12)


def test_hot_and_dead_pixels_are_found_among_reflections():
    case = simulated(photons=500.0)
    hot = [(25, 90, 400), (100, 201, 300), (150, 17, 8000), (60, 230, 1e5), (180, 100, 900)]
    dead = [(50, 60), (91, 120), (170, 200), (130, 33)]
    strong = case[1].max(axis=0)
    assert np.count_nonzero(strong > 50) > 300, "without bright reflections the test shows nothing"
    assert sought(case) == [set(), set()]
    spoil(case[1], hot, dead)
    assert sought(case) == [{(y, x) for y, x, _ in hot}, set(dead)]


@pytest.mark.parametrize("photons", [500.0, 50000.0])
def test_no_pixel_of_a_reflection_is_masked_in_fine_slices(photons):
    # Reflections last from 30 of these 120 frames to all of them; the background is as thin as the slices.
    case = simulated(120, 0.02, background=0.12, photons=photons)
    usable = case[3]
    at = {divmod(int(i), 240) for i in np.random.default_rng(3).choice(np.flatnonzero(usable), 20, replace=False)}
    lasting = (case[1] > 2).sum(axis=0)
    assert photons < 5000 or np.count_nonzero(lasting > 60) > 100, "without lasting reflections it shows nothing"
    assert sought(case) == [set(), set()]
    spoil(case[1], [(y, x, 100.0) for y, x in at])
    hot, dead = sought(case)
    assert not dead
    assert hot <= at
    # Those beside a bright reflection, which shines on them for much of these 2.4 degrees, stay.
    totals = case[1].sum(axis=0)
    quiet = {(y, x) for y, x in at if np.sort(totals[max(y - 1, 0):y + 2, max(x - 1, 0):x + 2], axis=None)[-2] < 400}
    assert len(quiet) >= 15
    assert hot >= quiet


def test_counts_of_blocks_are_those_of_the_scan():
    experiment, frames, model, usable = simulated(19)
    spoil(frames, [(100, 201, 3000)], [(50, 60)])
    whole = counted(experiment, frames)
    parts = []
    for first, last in ((0, 3), (3, 11), (11, 12), (12, 19)):
        part = PixelCounts(experiment.scan.array_range, [frames.shape[1:]])
        for z in reversed(range(first, last)):
            part.add(z, [frames[z]])
        parts.append(PixelCounts.from_arrays(part.arrays()))
    joined = PixelCounts.merged(reversed(parts))
    assert joined.sums.keys() == whole.sums.keys() == set(range(8))
    for span in whole.sums:
        np.testing.assert_array_equal(joined.sums[span][0], whole.sums[span][0])
    np.testing.assert_array_equal(joined.n_frames, whole.n_frames)
    np.testing.assert_array_equal(joined.usable(), whole.usable())
    assert whole.n_frames.sum() == 19
    found = find_bad_pixels([experiment], joined, [usable], HotPixelOptions(), models=[model])
    assert (found.hot[0].tolist(), found.dead[0].tolist()) == ([100 * 240 + 201], [50 * 240 + 60])


def test_long_scans_are_sampled():
    counts = PixelCounts((100, 100 + 3 * MOST_FRAMES), [(2, 2)])
    taken = [z for z in range(90, 110 + 3 * MOST_FRAMES) if counts.span(z) >= 0]
    assert taken == list(range(100, 100 + 3 * MOST_FRAMES, 3))
    assert {counts.span(z) for z in taken} == set(range(8))


def test_pixels_that_images_mark_are_neither_hot_nor_dead():
    case = flat()
    case[1][:, 10, 10] = -2
    case[1][:, 20, 20] = 2000000
    assert sought(case) == [{(20, 20)}, {(10, 10)}]
    assert sought(case, trusted=[(0, 1000000)]) == [set(), set()]


def test_a_straight_shadow_and_its_corner_are_not_dead():
    case = flat(level=20.0)
    case[1][:, :30, 40:] = 0
    assert sought(case) == [set(), set()]


def test_bright_lines_and_pairs_are_not_hot():
    case = flat()
    case[1][:, 12, :] += 200
    case[1][:, 30, 30:32] += 200
    assert sought(case) == [set(), set()]


def test_switched_off_or_without_rotation_nothing_is_sought():
    case = flat()
    spoil(case[1], [(30, 30, 500)], [(20, 20)])
    assert sought(case) == [{(30, 30)}, {(20, 20)}]
    assert sought(case, HotPixelOptions(mask=False)) == [set(), set()]
    short = (flat(3)[0], case[1][:3], case[2], case[3])
    assert sought(short) == [set(), set()]
    found = find_bad_pixels([short[0]], counted(short[0], short[1]), None, HotPixelOptions(), models=[case[2]])
    assert "not sought" in found.describe()[0]
    assert "fewer than 4" in found.describe()[0]


@pytest.mark.parametrize(("name", "value", "pixel"), [
    ("min_ratio", 30.0, (10, 30, 80)), ("min_sigma", 100.0, (10, 30, 80))])
def test_weak_hot_pixels_are_a_matter_of_options(name, value, pixel):
    case = flat()
    spoil(case[1], [pixel])
    assert sought(case)[0] == {pixel[:2]}
    assert sought(case, HotPixelOptions(**{name: value}))[0] == set()


def test_min_fraction_asks_for_part_of_the_scan():
    case = flat()
    case[1][:12, 10, 30] += 500
    assert sought(case)[0] == set()
    assert sought(case, HotPixelOptions(min_fraction=0.5))[0] == {(10, 30)}


def test_min_widths_decides_where_neighbours_do_not():
    # A neighbour at a quarter of the hot pixel: wide enough for a reflection, so that only its duration tells.
    case = flat(24, 0.5)
    spoil(case[1], [(10, 30, 400), (10, 31, 80)])
    assert sought(case)[0] == {(10, 30)}
    assert sought(case, HotPixelOptions(min_widths=50.0))[0] == set()


def test_a_flickering_pixel_of_a_short_scan_stays():
    case = flat(15, 0.02)
    spoil(case[1], [(10, 30, 400), (30, 50, 400)])
    case[1][:8, 30, 50] //= 4
    assert sought(case)[0] == {(10, 30)}


def test_dead_probability_sets_how_thin_a_background_may_be():
    case = flat(24, 0.5, level=0.8)
    case[1][:, 20, 20] = 0
    assert sought(case, HotPixelOptions(dead_probability=1e-9))[1] == set()
    assert (20, 20) in sought(case, HotPixelOptions(dead_probability=0.5))[1]


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
