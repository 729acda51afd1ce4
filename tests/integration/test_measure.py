"""Whole shoeboxes: flags of what cannot be summed, foreign pixels, radii of foregrounds, parts put together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from integration_data import make_series, options

from xdp.integration.hot_pixels.detect import BadPixels
from xdp.integration.integrate import _build_work, _TaskRun
from xdp.integration.measure import (
    Measured,
    compute_foreground_radius,
    exclude_other_lattices,
    measure_shoeboxes,
    outline_neighbourhood,
)
from xdp.integration.plan.prepare import prepare
from xdp.integration.profiles.model import GaussianRSModel
from xdp.integration.shoeboxes.extract import extract
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    small = make_series(tmp_path_factory.mktemp("small"), 6)
    chosen = options()
    return _build_work(prepare(small.experiments, small.reference, chosen), _TaskRun(chosen)).plan


def measure(plan, rows, bad=None, keep_full=False):
    table, sweep = plan.table, plan.sweeps[0]
    boxes = extract(plan.sources[0], rows, table["panel"], table["bbox"], sweep.first, sweep.last)
    return measure_shoeboxes(plan, sweep, boxes, outline_neighbourhood(plan, sweep, rows), bad, keep_full)


def inner_rows(plan):
    """Reflections whole on scan and panel."""
    bbox = plan.table["bbox"]
    width, height = plan.sweeps[0].model.known.detector[0].image_size
    return np.flatnonzero((bbox[:, 4] >= 0) & (bbox[:, 5] <= 6) & (bbox[:, 0] >= 0) & (bbox[:, 2] >= 0)
                          & (bbox[:, 1] <= width) & (bbox[:, 3] <= height))


def test_a_bad_pixel_in_the_foreground_makes_the_sum_fail(plan):
    rows = inner_rows(plan)[:20]
    good = measure(plan, rows)
    summed = (good.columns["flags"] & np.uint64(Flag.INTEGRATED_SUM)) != 0
    i = int(np.flatnonzero(summed)[0])
    x, y = np.floor(plan.table["xyzcal.px"][rows[i], :2]).astype(int)
    width = plan.sweeps[0].model.known.detector[0].image_size[0]
    none = np.zeros(0, np.int64)
    spoilt = measure(plan, rows, BadPixels((np.array([y * width + x]),), (none,), (width,)))
    assert int(spoilt.columns["flags"][i]) & Flag.FAILED_DURING_SUMMATION
    assert int(spoilt.columns["flags"][i]) & Flag.FOREGROUND_INCLUDES_BAD_PIXELS
    assert spoilt.columns["num_pixels.foreground"][i] < good.columns["num_pixels.foreground"][i]


def test_cores_hold_all_foreground_of_the_whole_boxes(plan):
    rows = inner_rows(plan)[:20]
    found = measure(plan, rows, keep_full=True)
    for k in range(len(rows)):
        counts = [np.count_nonzero(boxes.box(k)[1] & np.uint8(MaskCode.FOREGROUND))
                  for boxes in (found.cores, found.full)]
        assert counts[0] == counts[1] > 0
    assert len(found.cores.data) < len(found.full.data)
    assert measure(plan, rows).full is None


def test_parts_are_put_one_after_the_other(plan):
    rows = inner_rows(plan)[:12]
    whole = measure(plan, rows, keep_full=True)
    joined = Measured.concatenate([measure(plan, rows[:5], keep_full=True), measure(plan, rows[5:], keep_full=True)])
    np.testing.assert_array_equal(joined.rows, whole.rows)
    for name, column in whole.columns.items():
        np.testing.assert_array_equal(joined.columns[name], column)
    np.testing.assert_array_equal(joined.full.data, whole.full.data)


def test_pixels_of_another_lattice_become_invalid_and_own_neighbours_do_not(plan):
    rows = inner_rows(plan)[:8]
    boxes = measure(plan, rows).cores
    sweep = plan.sweeps[0]
    assert exclude_other_lattices(plan, sweep, rows, boxes) is boxes  # one lattice: nothing to exclude
    # the second lattice lies a pixel off: what is nearer to its reflections is theirs
    step = 0.172 / 80.0 * np.linalg.norm(plan.table["s1"][0])
    xyz = plan.table["xyzcal.px"] + [1.0, 0.0, 0.0]
    other = plan.table.with_columns(**{"id": np.ones(len(plan.table), np.int32), "s1": plan.table["s1"] + [step, 0, 0],
                                       "xyzcal.px": xyz})
    twice = ReflectionTable.concatenate([plan.table, other])
    both = dataclasses.replace(sweep, ids=(0, 1), experiments=sweep.experiments * 2)
    source = type(plan.sources[0])(both)
    double = dataclasses.replace(plan, table=twice, radius=np.tile(plan.radius, 2), sources=(source,))
    found = exclude_other_lattices(double, both, rows, boxes)
    valid, foreground = np.uint8(MaskCode.VALID), np.uint8(MaskCode.FOREGROUND)
    lost = (boxes.mask & valid != 0) & (found.mask & valid == 0)
    assert 0.2 < lost.sum() / np.count_nonzero(boxes.mask & foreground) < 0.8
    np.testing.assert_array_equal(found.data, boxes.data)


def test_radius_is_n_sigma_of_each_reflections_own_model():
    table = ReflectionTable({"id": np.array([1, 0, 1], np.int32), "xyzcal.px": np.zeros((3, 3))})
    models = [GaussianRSModel(3.0, 0.001, 0.002), GaussianRSModel(4.0, 0.002, 0.002)]
    np.testing.assert_allclose(compute_foreground_radius(models, [None, None], table), [0.008, 0.003, 0.008])


def test_tasks_get_the_angle_only_where_absorption_is_corrected(plan):
    assert "d" not in plan.keep_task_columns().table
    assert "xyzcal.mm" in plan.keep_task_columns().table
    without = dataclasses.replace(plan, options=plan.options.model_copy(update={"absorption_correction": ()}))
    assert "xyzcal.mm" not in without.keep_task_columns().table
