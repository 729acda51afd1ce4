"""The two passes of a Laue run: how frames get to tasks, and what is left behind."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest
from clients import InlineClient

from xdp.laue import run as module
from xdp.laue.background import Trimming
from xdp.laue.options import LaueSpotsOptions
from xdp.laue.run import Run
from xdp.laue.stack import ImageStack, RowTiles
from xdp.simulation.laue import write_laue_scan

HOW = Trimming(18, 0.0)


@pytest.fixture
def make(tmp_path):
    """Make a run that is closed in the end."""
    with contextlib.ExitStack() as stack:
        def make(path, client=None, **words):
            images = stack.enter_context(contextlib.closing(ImageStack(path)))
            options = LaueSpotsOptions(**words)
            return stack.enter_context(contextlib.closing(Run(images, options, HOW, client, tmp_path)))

        yield make


def test_workers_and_threads_find_the_same_background(scan_file, make):
    stats, bits = make(scan_file, mp={"nproc": 2}).compute_backgrounds()
    there, same_bits = make(scan_file, InlineClient(), rows=32).compute_backgrounds()
    assert np.array_equal(bits, same_bits)
    assert set(stats) == set(there)
    for name, values in stats.items():
        np.testing.assert_array_equal(values, there[name])


def test_frames_in_whole_chunks_go_through_a_scratch_file_that_is_removed(scan, tmp_path, make):
    whole = tmp_path / "whole.h5"
    write_laue_scan(whole, scan, chunks=(1, 70, 90))
    run = make(whole, rows=25)
    run.compute_backgrounds()
    assert isinstance(run._frames, RowTiles)
    assert len(os.listdir(tmp_path)) == 2
    run.close()
    assert os.listdir(tmp_path) == ["whole.h5"]


def test_many_mask_bits_lie_in_a_file_without_a_name(scan_file, tmp_path, make, monkeypatch):
    before = make(scan_file).compute_backgrounds()[1]
    monkeypatch.setattr(module, "_BITS_IN_MEMORY", 0)
    bits = make(scan_file, InlineClient()).compute_backgrounds()[1]
    assert isinstance(bits, np.memmap)
    assert np.array_equal(bits, before)


def test_masks_have_the_bits_of_their_frames():
    bits = np.arange(24).reshape(6, 2, 2)
    tasks = module._MaskTasks([np.array([0, 3]), np.array([5])], bits)
    assert len(tasks) == 2
    number, frames, some = tasks[0]
    assert (number, frames.tolist()) == (0, [0, 3])
    assert np.array_equal(some, bits[[0, 3]])
    assert [task[0] for task in tasks[1:]] == [1]
    assert [task[0] for task in tasks] == [0, 1]
