"""Damaged files and random command lines end in work or in one line: no traceback, no hang, no warning of NumPy.

A twentieth of what is worth running now and then: ``python tests/support/fuzzing.py 10000 2000``.
"""

from __future__ import annotations

import contextlib
import resource
import shutil

import pytest
from fuzz_inputs import make_inputs
from fuzzing import fuzz_commands, fuzz_files, report

from xdp.cli.main import main

FILES, COMMANDS = 500, 100
MEMORY = 1 << 30


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a small good file of each kind."""
    folder = tmp_path_factory.mktemp("fuzz") / "inputs"
    folder.mkdir()
    make_inputs(folder)
    with contextlib.chdir(folder.parent):  # compiles what the commands would else compile within their time
        for name in ("good.expt", "good.refl", "frames.npy", "good.mask"):
            shutil.copy(folder / name, name)
        assert main(["integrate", "good.expt", "good.refl"]) == 0
    return folder


@pytest.fixture
def peak_memory():
    """What the test may add to the highest memory of this process, in bytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MEMORY


def test_damaged_files(inputs, peak_memory):
    made = fuzz_files(inputs, FILES, seed=1)
    assert not made.troubles, report(made)


def test_random_command_lines(inputs, peak_memory):
    made = fuzz_commands(inputs, COMMANDS, seed=1)
    assert not made.troubles, report(made)
