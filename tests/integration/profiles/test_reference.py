"""Reference profiles: the transform beside a slow twin, sums in any order, few references, what they look like."""

from __future__ import annotations

import itertools
import logging
import math

import numpy as np
import pytest
from fitting_data import SIGMA_B, Drawn, draw, make_experiment
from scipy.special import erf

from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles._kernels_reference import ONE, WEIGHT_ONE
from xdp.integration.profiles.reference import ReferenceGrid
from xdp.prediction.kabsch import to_kabsch, zeta
from xdp.reflections.flags import Flag

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw(make_experiment(), 300)


@pytest.fixture(scope="module")
def boxes(drawn):
    return drawn.count(np.full(len(drawn.table), 3000.0), 1.0, seed=1)


def slow_transform(drawn: Drawn, boxes, r: int, n_points: int) -> np.ndarray:
    """Share a box's net counts among grid points, pixel by pixel, point by point, frame by frame."""
    grid = drawn.grid()
    experiment, table = drawn.experiment, drawn.table
    data, mask, background = boxes.box(r)
    x0, _, y0, _, z0, _ = (int(v) for v in boxes.bbox[r])
    s1, xyz = table["s1"][r], table["xyzcal.px"][r]
    at = px_to_s1(experiment.detector, experiment.beam, 0, xyz[None, :2])
    z = zeta(s1, experiment.beam.s0, experiment.goniometer.rotation_axis_lab)
    out = np.zeros((11, 11, 11))
    edges = (np.arange(12) - 5.5) * grid.steps[1]
    for k, j, i in np.argwhere((mask & 5) == 5):
        a, b = sorted((z0 + k + np.arange(2) - xyz[2]) * np.deg2rad(0.5) * z)
        norm = np.sqrt(2.0) * grid.sigma_m
        shares = np.array([max(erf(min(b, e1) / norm) - erf(max(a, e0) / norm), 0.0)
                           for e0, e1 in itertools.pairwise(edges)])
        shares /= erf(b / norm) - erf(a / norm)
        fine = (np.arange(n_points) + 0.5) / n_points
        points = np.stack(np.meshgrid(x0 + i + fine, y0 + j + fine), axis=-1).reshape(-1, 2)
        rays = px_to_s1(experiment.detector, experiment.beam, 0, points) + (s1 - at)
        c = to_kabsch(rays, 0.0, s1, experiment.beam.s0, experiment.goniometer.rotation_axis_lab, 0.0)[:, :2]
        value = float(data[k, j, i] - background[k, j, i]) / len(points)
        for g1, g2 in np.floor(c / grid.steps[0] + 5.5).astype(int):
            if 0 <= g1 < 11 and 0 <= g2 < 11:
                out[:, g2, g1] += value * shares
    return out / out.sum()


def n_points(drawn: Drawn, r: int) -> int:
    """Points along a pixel's side: two a cell of the grid, by the pixel's area in cells."""
    e, s1 = drawn.experiment, drawn.table["s1"][r]
    ends = drawn.table["xyzcal.px"][r, :2] + np.array([[-0.5, 0], [0.5, 0], [0, -0.5], [0, 0.5]])
    c = to_kabsch(px_to_s1(e.detector, e.beam, 0, ends), 0.0, s1, e.beam.s0, e.goniometer.rotation_axis_lab, 0.0)[:, :2]
    area = abs(np.linalg.det(np.stack([c[1] - c[0], c[3] - c[2]]))) / drawn.grid().steps[0] ** 2
    return min(max(math.ceil(2.0 * math.sqrt(area)), 2), 6)


def test_the_transform_shares_counts_like_its_slow_twin(drawn, boxes):
    for r in range(5):
        sums = ReferenceGrid(drawn.grid(grid_method="single", scan_step=20.0))
        one = np.zeros(len(drawn.table), bool)
        one[r] = True
        flags = np.where(one, drawn.table["flags"], np.uint64(0))
        assert np.array_equal(sums.accumulate(drawn.table.with_columns(flags=flags), boxes), one)
        found = sums.sums[0, 0].reshape(11, 11, 11) / (sums.weights[0, 0] * float(ONE))
        same, fine = slow_transform(drawn, boxes, r, n_points(drawn, r)), slow_transform(drawn, boxes, r, 12)
        # a point on a cell's border may fall on either side, since the kernel takes pixels as parallelograms
        assert np.abs(found - same).sum() < 0.06
        # few points a pixel tell single cells less well than sums
        for axis in ((1, 2), (0, 1), (0, 2)):
            assert np.abs(found.sum(axis=axis) - fine.sum(axis=axis)).max() < 0.05
        centre = (np.arange(11) - 5) @ found.sum(axis=(0, 1)), (np.arange(11) - 5) @ fine.sum(axis=(0, 1))
        assert centre[0] == pytest.approx(centre[1], abs=0.1)


def test_sums_do_not_depend_on_blocks_or_order(drawn, boxes):
    grid = drawn.grid(scan_step=2.0)
    whole = ReferenceGrid(grid)
    whole.accumulate(drawn.table, boxes)
    parts = []
    order = np.random.default_rng(0).permutation(len(drawn.table))
    for rows in np.array_split(order, 7):
        part = ReferenceGrid(grid)
        part.accumulate(drawn.table.select(rows), boxes.select(rows))
        parts.append(part)
    merged = parts[3]
    for i in (6, 0, 5, 1, 4, 2):
        merged = merged.merge(parts[i])
    for name in ("sums", "weights", "areas", "counts"):
        assert np.array_equal(getattr(whole, name), getattr(merged, name))
    for name in ("profiles", "sharp"):
        assert getattr(whole.finish(), name).tobytes() == getattr(merged.finish(), name).tobytes()


def test_groups_of_references_can_be_left_out(drawn, boxes):
    group = np.arange(len(drawn.table)) % 3
    sums = ReferenceGrid(drawn.grid(), n_partitions=3)
    sums.accumulate(drawn.table, boxes, group)
    rest = ReferenceGrid(drawn.grid())
    rows = np.flatnonzero(group != 1)
    rest.accumulate(drawn.table.select(rows), boxes.select(rows))
    assert np.array_equal(sums.finish(without=1).profiles, rest.finish().profiles)
    assert sums.counts.tolist() == np.bincount(group).tolist()


def test_profiles_have_the_width_of_the_spots(drawn, boxes):
    sums = ReferenceGrid(drawn.grid(grid_method="single", scan_step=20.0))
    sums.accumulate(drawn.table, boxes)
    found = sums.finish()
    assert found.profiles.sum() == pytest.approx(1.0)
    sharp = found.sharp[0].reshape(11, 13, 13)
    x = (np.arange(13) - 6) * sums.grid.steps[0]
    for axis in ((0, 1), (0, 2)):
        line = sharp.sum(axis=axis)
        assert line @ x == pytest.approx(0.0, abs=0.03 * SIGMA_B)
        # linear interpolation between grid points adds a sixth of a step squared
        wide = np.sqrt(line @ x ** 2 + sums.grid.steps[0] ** 2 / 6.0)
        assert wide == pytest.approx(SIGMA_B, rel=0.05)


@pytest.mark.parametrize("spoil", ["partial", "not a reference", "not summed", "pixel not valid", "pixel not its own",
                                   "off the panel"])
def test_only_whole_reference_spots_are_used(drawn, boxes, spoil):
    table, mask = drawn.table, boxes.mask.copy()
    where = np.flatnonzero(mask[:boxes.offsets[1]] & 4)[0]
    flags, bbox, partiality = table["flags"].copy(), table["bbox"].copy(), table["partiality"].copy()
    if spoil == "partial":
        partiality[0] = 0.98
    elif spoil == "not a reference":
        flags[0] &= ~np.uint64(Flag.REFERENCE_SPOT)
    elif spoil == "not summed":
        flags[0] &= ~np.uint64(Flag.INTEGRATED_SUM)
    elif spoil == "pixel not valid":
        mask[where] &= 0xFE
    elif spoil == "pixel not its own":
        mask[where] |= 32
    else:
        bbox[0, 0] = -1
    table = table.with_columns(flags=flags, bbox=bbox, partiality=partiality)
    changed = type(boxes)(boxes.panel, boxes.bbox, boxes.offsets, boxes.data, mask, boxes.background)
    used = ReferenceGrid(drawn.grid()).accumulate(table, changed)
    assert not used[0]
    assert used[1:].all()


def test_few_references_lean_on_the_gaussian_with_a_warning(drawn, boxes, caplog):
    grid = drawn.grid(grid_method="single", scan_step=20.0)
    shapes = {}
    for n in (0, 10, 60, 300):
        sums = ReferenceGrid(grid)
        sums.accumulate(drawn.table.select(slice(n)), boxes.select(slice(n)))
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            shapes[n] = sums.finish().profiles[0]
            assert (f"Only {n} reflections" in caplog.text) == (n < 100)
    gaussian = grid.make_gaussian(grid.estimate_pixel_area())
    gap = {n: np.abs(shape - gaussian).sum() for n, shape in shapes.items()}
    assert gap[0] < 1e-6
    # with few references half of the weight is the prior's; with many none
    assert gap[0] < gap[10]
    assert np.abs(shapes[60] - shapes[300]).sum() < 0.1


def test_weights_are_whole_numbers(drawn, boxes):
    sums = ReferenceGrid(drawn.grid())
    sums.accumulate(drawn.table, boxes)
    assert sums.sums.dtype == sums.weights.dtype == np.int64
    # one reflection in the middle of a profile weighs 1: less than twice their number in all, spread over neighbours
    assert 0.3 * len(drawn.table) < sums.weights.sum() / WEIGHT_ONE < 3.0 * len(drawn.table)
