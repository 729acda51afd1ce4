"""Keys of chunk results: they change with everything that a result depends on, and with nothing else."""

from __future__ import annotations

import dataclasses
import os

import pytest
from sweeps import background, options, sweep

from xdp.experiment import Detector, ExperimentList
from xdp.spotfinding.find import make_spot_rules
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.run.keys import ChunkKeys
from xdp.spotfinding.run.searches import plan_searches


@pytest.fixture
def experiments(tmp_path):
    return sweep(tmp_path, background(10))


def keys(experiments, *words):
    chosen = options(*words)
    finder = FrameFinder(plan_searches(experiments)[0], chosen.spotfinder, chosen.maximum_trusted_value)
    return ChunkKeys(finder, make_spot_rules(experiments, chosen))


def test_chunks_differ_and_the_same_chunk_has_the_same_key(experiments):
    made = keys(experiments)
    chunks = [(0, 5), (5, 10), (0, 4), (0, 10)]
    assert len({made.make_chunk_key(*chunk) for chunk in chunks}) == 4
    again = keys(experiments)
    assert [again.make_chunk_key(*chunk) for chunk in chunks] == [made.make_chunk_key(*chunk) for chunk in chunks]


@pytest.mark.parametrize("word", ["sigma_strong=4", "min_spot_size=2", "untrusted.circle=30,30,5", "d_min=2",
                                  "algorithm=dispersion", "maximum_trusted_value=100", "lookup.mask=other.pickle"])
def test_parameters_of_the_search_count(experiments, word):
    assert keys(experiments, word).make_chunk_key(0, 5) != keys(experiments).make_chunk_key(0, 5)


@pytest.mark.parametrize("word", ["nproc=3", "chunksize=5", "output.reflections=other.refl", "hot_mask_prefix=other"])
def test_parameters_of_the_run_do_not_count(experiments, word):
    assert keys(experiments, word).make_chunk_key(0, 5) == keys(experiments).make_chunk_key(0, 5)


def test_models_and_files_count(experiments, tmp_path):
    before = keys(experiments).make_chunk_key(0, 5)
    one, = experiments
    panel = dataclasses.replace(one.detector[0], gain=2.0)
    moved = ExperimentList([dataclasses.replace(one, detector=Detector((panel,)))])
    assert keys(moved).make_chunk_key(0, 5) != before
    os.utime(tmp_path / "sweep.npy", ns=(1, 1))
    assert keys(experiments).make_chunk_key(0, 5) != before
