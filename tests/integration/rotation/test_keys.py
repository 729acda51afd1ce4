"""Keys of blocks' results: they change with what tasks see, and with nothing else."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
from integration_data import make_series, options

from xdp.integration.integrate import _build_work, _TaskRun
from xdp.integration.plan.prepare import prepare
from xdp.integration.rotation.keys import make_block_keys, make_division_key, stamp_background_files


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_series(tmp_path_factory.mktemp("small"), 6)


def work(small, *words):
    chosen = options("block.size=3", "block.units=frames", *words)
    return _build_work(prepare(small.experiments, small.reference, chosen), _TaskRun(chosen))


def keys(small, *words):
    made = work(small, *words)
    return make_block_keys(made.plan, made.blocks)


@pytest.fixture(scope="module")
def plain(small):
    return keys(small)


def test_each_block_has_its_key(small, plain):
    assert len(set(plain)) == len(plain) > 1
    assert keys(small) == plain


@pytest.mark.parametrize("word", ["background.algorithm=null", "hot_pixels.mask=False", "prediction.d_min=2.5"])
def test_parameters_of_tasks_count(small, plain, word):
    assert not set(keys(small, word)) & set(plain)


@pytest.mark.parametrize("word", ["nproc=2", "output.reflections=other.refl", "significance_filter.enable=True"])
def test_parameters_of_the_run_do_not_count(small, plain, word):
    assert keys(small, word) == plain


def test_reflections_and_files_count(small, plain):
    made = work(small)
    bbox = made.plan.table["bbox"].copy()
    bbox[0, 0] -= 1
    table = made.plan.table.with_columns(bbox=bbox)
    assert not set(make_block_keys(dataclasses.replace(made.plan, table=table), made.blocks)) & set(plain)
    times = os.stat(small.folder / "frames.npy")
    os.utime(small.folder / "frames.npy", ns=(1, 1))
    assert not set(keys(small)) & set(plain)
    os.utime(small.folder / "frames.npy", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert keys(small) == plain


def test_the_cut_into_blocks_has_a_key(small):
    blocks = work(small).blocks
    assert make_division_key(blocks) == make_division_key(list(blocks))
    assert make_division_key(blocks) != make_division_key(blocks[:-1])
    assert len(make_division_key(blocks)) == 9


def test_only_the_model_of_the_algorithm_in_use_counts():
    chosen = options("background.gmodel.model=model.pickle")
    assert stamp_background_files("constant3d", chosen) == []
    assert stamp_background_files("gmodel", chosen)[0][1:] == [None, None]
    assert stamp_background_files("gmodel", options()) == []


def test_the_table_is_not_changed_by_its_key(small):
    made = work(small)
    before = {name: made.plan.table[name].copy() for name in made.plan.table}
    make_block_keys(made.plan, made.blocks)
    for name, column in before.items():
        np.testing.assert_array_equal(made.plan.table[name], column)
