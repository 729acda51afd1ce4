"""Reference profiles: sums in any order, few references, what they look like."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from fitting_data import SIGMA_B, Drawn, draw, make_experiment

from xdp.integration.profiles.reference import ReferenceGrid
from xdp.reflections.flags import Flag

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw(make_experiment(), 300)


@pytest.fixture(scope="module")
def boxes(drawn):
    return drawn.count(np.full(len(drawn.table), 3000.0), 1.0, seed=1)


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


def test_profiles_of_few_references_are_averaged_with_the_gaussian_with_a_warning(drawn, boxes, caplog):
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
