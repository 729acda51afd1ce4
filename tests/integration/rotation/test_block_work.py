"""What tasks share: which reflections reach into a block, and how results are named."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from integration_data import make_series, options

from xdp.integration.integrate import _build_work, _TaskRun
from xdp.integration.plan.prepare import prepare
from xdp.integration.rotation.block_work import list_experiments


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_series(tmp_path_factory.mktemp("small"), 6)


def make_work(small, *words):
    chosen = options("block.size=2", "block.units=frames", *words)
    return _build_work(prepare(small.experiments, small.reference, chosen), _TaskRun(chosen))


def test_rows_of_a_block_are_those_whose_boxes_reach_into_it(small):
    work = make_work(small)
    bbox = work.plan.table["bbox"]
    assert len(work.blocks) == 3
    for block in work.blocks:
        expected = np.flatnonzero((bbox[:, 4] < block.last) & (bbox[:, 5] > block.first) & (work.owner >= 0))
        np.testing.assert_array_equal(work.find_rows(block), expected)
        assert len(expected) > 10


def test_reflections_that_are_not_integrated_are_not_found(small):
    work = make_work(small)
    owner = np.where(np.arange(len(work.owner)) % 3 == 0, -1, work.owner)
    rows = dataclasses.replace(work, owner=owner).find_rows(work.blocks[0])
    assert np.all(rows % 3 != 0)


def test_subsets_share_the_reflections_of_their_frames(small):
    whole, split = make_work(small), make_work(small, "n_subset_split=2")
    parts = [split.find_rows(block) for block in split.blocks if block.first == 0]
    assert len(parts) == 2
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), whole.find_rows(whole.blocks[0]))


def test_names_of_boxes_tell_the_division_into_blocks(small):
    work = dataclasses.replace(make_work(small), cut="-abc")
    assert work.name_result("sums", 1) == "sums-1"
    assert work.name_result("boxes", 1) == "boxes-1-abc"


def test_experiments_are_listed_by_number(small):
    work = make_work(small)
    sweep = work.plan.sweeps[0]
    first = sweep.experiments[0]
    second = dataclasses.replace(first, identifier="second")
    turned = dataclasses.replace(sweep, ids=(1, 0), experiments=(second, first))
    source = work.plan.sources[0]
    source = type(source)(turned)
    assert list_experiments(dataclasses.replace(work.plan, sources=(source,))) == [first, second]
