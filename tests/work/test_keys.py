"""Keys of results, and stamps of files."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sweeps import options

from xdp.experiment import Beam
from xdp.options import AUTO
from xdp.work.keys import make_key, stamp_file


@dataclass(frozen=True)
class Rules:
    """Some parameters."""

    smallest: int
    limits: tuple[float, float]


class Block(NamedTuple):
    """Some numbers."""

    first: int
    last: int


PARTS = ["text", 3, 3.5, None, True, (1, 2), {"a": 1, "b": [2]}, np.arange(3), np.arange(3.0), np.arange(4)[::2],
         np.zeros((0, 2)), np.float32(0.1), Rules(3, (0.0, 1.0)), Rules(4, (0.0, 1.0)), Block(0, 20), Path("a/b"), AUTO,
         options("d_min=2"), options("d_min=3"), Beam((0, 0, 1), 1.0), Beam((0, 0, 1), 1.1)]


def test_keys_differ_where_a_part_differs():
    keys = {make_key("stage", part) for part in PARTS}
    assert len(keys) == len(PARTS)
    assert all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in keys)


def test_the_order_of_parts_counts_and_that_of_names_does_not():
    assert make_key(1, 2) != make_key(2, 1)
    assert make_key({"a": 1, "b": 2}) == make_key({"b": 2, "a": 1})


def test_arrays_count_by_type_shape_and_content():
    array = np.arange(6)
    keys = {make_key(one) for one in (array, array.reshape(2, 3), array.astype(np.int32), array[::-1])}
    assert len(keys) == 4
    assert make_key(array[::2]) == make_key(array[::2].copy())


def test_the_version_of_the_program_counts(monkeypatch):
    before = make_key("stage")
    monkeypatch.setattr("xdp.__version__", "0.0.0")
    assert make_key("stage") != before


def test_another_process_makes_the_same_key():
    code = "import numpy as np; from xdp.work.keys import make_key; print(make_key('a', {'x': np.arange(3)}, 0.1))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == make_key("a", {"x": np.arange(3)}, 0.1)


@pytest.mark.parametrize("change", [{"first": 1}, {"last": 19}])
def test_tuples_with_names_count_by_their_values(change):
    assert make_key(Block(0, 20)) == make_key((0, 20)) != make_key(Block(0, 20)._replace(**change))


def test_stamps_change_with_the_file(tmp_path):
    path = tmp_path / "x"
    assert stamp_file(path) == [str(path), None, None]
    path.write_text("a")
    first = stamp_file(path)
    path.write_text("ab")
    assert stamp_file(path) != first
    assert stamp_file(path)[:2] == [str(path), 2]
