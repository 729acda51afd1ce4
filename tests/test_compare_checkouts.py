"""The script that compares checkouts sees the smallest difference, and ignores only what it says it ignores."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from xdp.reflections import ReflectionTable, write_reflections

SCRATCH = ("/tmp/compare-a", "/tmp/compare-b")


@pytest.fixture(scope="module")
def parts():
    """The modules of `benchmarks/checkouts` that compare files and read the table of commands."""
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module("checkouts.files"), importlib.import_module("checkouts.commands")
    sys.path.remove(folder)


@pytest.fixture
def folders(tmp_path):
    """Two empty folders."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return tmp_path / "one", tmp_path / "two"


def test_columns_and_last_bits_of_tables(parts, folders):
    for folder, value in zip(folders, (1.0, np.nextafter(1.0, 2.0)), strict=True):
        write_reflections(folder / "a.refl", ReflectionTable({"d": np.array([3.0, value]), "id": np.zeros(2,
                                                                                                          np.int32)}))
    (line,) = parts[0].compare_folders("rot_dev/x", *folders, SCRATCH).lines
    assert line == "a.refl: d 1 of 2 values, max abs 2.22e-16, max rel 2.22e-16"


def test_keys_of_json(parts, folders):
    for folder, content in zip(folders, ({"a": [1, 2.0], "b": 0}, {"a": [1, 2.5], "c": 0}), strict=True):
        (folder / "x.expt").write_text(json.dumps(content))
    (line,) = parts[0].compare_folders("rot_dev/x", *folders, SCRATCH).lines
    assert "a.1 2.0 and 2.5 (rel 0.2)" in line
    assert "b only in the first" in line
    assert "c only in the second" in line


@pytest.mark.parametrize(("name", "first", "second", "said"), [
    ("a.mask", b"\x80\x02", b"\x80\x03", "1 of 2 bytes"),
    ("a.hkl", b"h 1.00\nk 1\n", b"h 1.01\nk 1\n", "1 line with other numbers, max rel 0.0099"),
    ("x.log", b"fitted 1\n", b"fitted 2\n", "1 line with other numbers, max rel 0.5"),
    ("x.log", b"took 0.74 s\n", b"took 1.02 s\n", ""),
    ("a.expt", b'{"mask": "/tmp/compare-a/m"}', b'{"mask": "/tmp/compare-b/m"}', ""),
    ("a.hkl", b"took 0.74 s\n", b"took 1.02 s\n", "1 line with other numbers, max rel 0.275"),
])
def test_other_files_and_rules(parts, folders, name, first, second, said):
    for folder, content in zip(folders, (first, second), strict=True):
        (folder / name).write_bytes(content)
    found = parts[0].compare_folders("rot_dev/x", *folders, SCRATCH)
    assert (said in found.lines[0]) if said else (found.lines == [])
    assert not found.rewordings


def test_rewordings_of_logs_are_counted_apart_from_results(parts, folders):
    texts = ["Found 12 spots\nSaving 3 to a.refl\nSaving 4 to a.refl\nRMSD  0.10\n",
             "12 spots found\nWrote 3 to a.refl\nWrote 5 to a.refl\nRMSD  0.11\n"]
    for folder, text in zip(folders, texts, strict=True):
        (folder / "x.log").write_text(text)
    found = parts[0].compare_folders("rot_dev/x", *folders, SCRATCH)
    assert found.lines == ["x.log: 1 line with other numbers, max rel 0.0909: -RMSD  0.10 +RMSD  0.11"]
    assert sorted((r.before, r.after, r.same_numbers) for r in found.rewordings) == [
        ("Found # spots", "# spots found", True), ("Saving # to a.refl", "Wrote # to a.refl", False),
        ("Saving # to a.refl", "Wrote # to a.refl", True)]


def test_a_file_of_one_folder_only(parts, folders):
    (folders[1] / "new.refl").write_bytes(b"")
    assert parts[0].compare_folders("rot_dev/x", *folders, SCRATCH).lines == ["new.refl: only in the second"]


def test_inputs_come_first_and_count_in_the_key(parts):
    commands = parts[1].read_commands()
    seen: set[str] = set()
    for command in commands:
        assert seen.issuperset(command.inputs), command.place
        seen.add(command.place)
    keys = parts[1].compute_keys(commands)
    assert seen.issuperset(parts[1].TIMED)
    changed = [type(c)(c.group, c.name, (*c.words, "d_min=3")) if c.place == "rot_dev/index" else c for c in commands]
    moved = {place for place, key in parts[1].compute_keys(changed).items() if key != keys[place]}
    assert {"rot_dev/index", "rot_dev/refine", "rot_dev/integrate", "rot_dev/export"} <= moved
    assert "rot_dev/index_p1" not in moved
