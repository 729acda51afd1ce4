"""The passes over blocks: boxes cut in parts are whole again, sums do not depend on blocks, results can be remade."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from integration_data import make_series, options

from xdp.integration.integrate import _build_work, _TaskRun
from xdp.integration.plan.prepare import prepare
from xdp.integration.rotation.tasks import (
    BATCH_PIXELS,
    extract_block,
    fit_block,
    load_boxes,
    load_fits,
    load_sums,
    merge_reference_sums,
    process_block,
    split_into_batches,
)
from xdp.reflections.flags import Flag

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_series(tmp_path_factory.mktemp("small"), 6)


def make_work(small, size, folder=None):
    chosen = options(f"block.size={size}", "block.units=frames")
    return _build_work(prepare(small.experiments, small.reference, chosen), _TaskRun(chosen, folder=folder))


@pytest.fixture(scope="module")
def measured(small):
    """The work of three blocks after two passes."""
    work = make_work(small, 2)
    for number in range(3):
        extract_block(work, number)
    for number in range(3):
        process_block(work, number)
    return work


def test_parts_of_boxes_add_up_to_the_whole(measured):
    bbox = measured.plan.table["bbox"]
    frames = np.zeros(len(bbox), int)
    for number, block in enumerate(measured.blocks):
        for owner in range(number, 3):
            part = load_boxes(measured, number, owner)
            if part is not None:
                here = part.between(0, len(bbox) - 1)
                assert np.all(measured.owner[here.rows] == owner)
                frames[here.rows] += (np.minimum(bbox[here.rows, 5], block.last)
                                      - np.maximum(bbox[here.rows, 4], block.first))
    np.testing.assert_array_equal(frames, np.where(measured.owner >= 0, bbox[:, 5] - bbox[:, 4], 0))


def test_each_reflection_is_measured_once_by_its_owner(measured):
    rows = [load_sums(measured, number, ("rows",))["rows"] for number in range(3)]
    for number, own in enumerate(rows):
        assert np.all(measured.owner[own] == number)
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.flatnonzero(measured.owner >= 0))


def test_reference_sums_do_not_depend_on_blocks(small, measured):
    one = make_work(small, 6)
    extract_block(one, 0)
    process_block(one, 0)
    mine, whole = merge_reference_sums(measured)[0], merge_reference_sums(one)[0]
    assert whole.counts.sum() > 20
    for name in ("sums", "weights", "areas", "counts"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(whole, name))


def test_damaged_results_are_made_again(small, tmp_path):
    work = make_work(small, 3, tmp_path)
    process_block(work, 0)
    before = load_sums(work, 0)
    work.store.path(work.name_result("sums", 0)).write_bytes(b"no archive")
    work.store.path(work.name_result("boxes", 0)).unlink()
    after = load_sums(work, 0)
    assert set(after) == set(before)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


def test_fits_are_those_of_the_profiles(measured):
    sums = merge_reference_sums(measured)
    work = dataclasses.replace(measured, profiles={i: grid.finish() for i, grid in sums.items()})
    fit_block(work, 1)
    fits = load_fits(work, 1)
    flags, variance = fits["column.flags"], fits["column.intensity.prf.variance"]
    is_fitted = (flags & np.uint64(Flag.INTEGRATED_PRF)) != 0
    assert is_fitted.sum() > 20
    np.testing.assert_array_equal(variance > 0.0, is_fitted)
    assert np.all(np.isnan(fits["validation"]))  # no group of references was held out
    sums = load_sums(work, 1, ("column.",))
    both = is_fitted & ((sums["column.flags"] & np.uint64(Flag.INTEGRATED_SUM)) != 0)
    # strong data without defects: both measure the same counts
    ratio = fits["column.intensity.prf.value"][both] / sums["column.intensity.sum.value"][both]
    assert both.sum() > 20
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)


def test_batches_keep_the_rows_and_their_size():
    generator = np.random.default_rng(0)
    sides = generator.integers(1, 200, (300, 3))
    bbox = np.stack([np.zeros_like(sides), sides], axis=2).reshape(-1, 6)
    rows = np.arange(10, 300)
    batches = split_into_batches(rows, bbox)
    np.testing.assert_array_equal(np.concatenate(batches), rows)
    volumes = [np.prod(sides[batch], axis=1) for batch in batches]
    # a batch ends with the first box that passes a multiple of the limit
    assert len(batches) > 10
    assert all(v.sum() < BATCH_PIXELS + v.max() for v in volumes)
