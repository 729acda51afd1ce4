"""Reflection tables between xdp and DIALS, both ways."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from xdp.reflections import Flag, MaskCode, ReflectionTable, read_reflections, write_reflections

pytestmark = pytest.mark.peer

ARRAYS = """
import sys, numpy as np
from dials.array_family import flex
table = flex.reflection_table.from_file(sys.argv[1])
out = {}
for name in table.keys():
    column = table[name]
    kind = type(column).__name__
    if kind == "shoebox":
        out["panel of boxes"] = np.array([box.panel for box in column])
        out["bbox of boxes"] = np.array(list(column.bounding_boxes()))
        for part in ("data", "mask", "background"):
            out[part] = np.concatenate([getattr(box, part).as_numpy_array().ravel() for box in column])
    elif hasattr(column, "as_numpy_array"):
        out[name] = column.as_numpy_array()
    else:
        out[name] = np.array(list(column))
np.savez("out.npz", **out)
"""

REWRITE = """
import sys
from dials.array_family import flex
flex.reflection_table.from_file(sys.argv[1]).as_file(sys.argv[2])
"""


def as_dials_sees(table: ReflectionTable) -> dict[str, np.ndarray]:
    """Our columns under the names that `ARRAYS` gives them."""
    out = {name: column for name, column in table.items() if isinstance(column, np.ndarray)}
    if "shoebox" in table:
        boxes = table["shoebox"]
        out |= {"panel of boxes": boxes.panel, "bbox of boxes": boxes.bbox, "data": boxes.data, "mask": boxes.mask,
                "background": boxes.background}
    return out


def assert_same_columns(ours: dict, theirs: dict) -> None:
    assert ours.keys() == theirs.keys()
    for name, column in ours.items():
        np.testing.assert_array_equal(column, theirs[name], err_msg=name)


@pytest.fixture(scope="session")
def strong(dials, shared_data, tmp_path_factory):
    """Path of strong.refl as DIALS finds it on six frames of rot_dev."""
    folder = tmp_path_factory.mktemp("strong")
    frames = sorted((shared_data / "rot_dev" / "cbf").glob("*.cbf.gz"))[:6]
    dials.command("dials.import", *frames, cwd=folder)
    dials.command("dials.find_spots", "imported.expt", "nproc=1", cwd=folder)
    return folder / "strong.refl"


def test_we_read_what_dials_writes(dials, strong, tmp_path):
    table = read_reflections(strong)
    assert len(table) > 1000
    assert_same_columns(as_dials_sees(table), dials.script(ARRAYS, strong, cwd=tmp_path))
    assert table.flags(Flag.STRONG).all()
    assert set(np.unique(table["shoebox"].mask)) <= {0, int(MaskCode.VALID | MaskCode.FOREGROUND)}


def test_our_bytes_are_those_of_dials(strong, tmp_path):
    write_reflections(tmp_path / "ours.refl", read_reflections(strong))
    assert (tmp_path / "ours.refl").read_bytes() == strong.read_bytes()


@pytest.mark.parametrize("name", ["ours.refl", "ours.refl.gz"])
def test_dials_reads_what_we_write(dials, tmp_path, name):
    rng = np.random.default_rng(0)
    table = ReflectionTable({
        "flags": rng.integers(0, 2**30, 50, dtype=np.uint64),
        "id": rng.integers(0, 2, 50),
        "entering": rng.random(50) < 0.5,
        "d": rng.normal(size=50),
        "s1": rng.normal(size=(50, 3)),
        "xycal": rng.normal(size=(50, 2)),
        "ub_matrix": rng.normal(size=(50, 9)),
        "bbox": np.tile([0, 3, 0, 2, 0, 1], (50, 1)),
        "miller_index": rng.integers(-20, 20, (50, 3)),
    }, {0: "one", 1: "two"})
    write_reflections(tmp_path / name, table)
    assert_same_columns(as_dials_sees(table), dials.script(ARRAYS, tmp_path / name, cwd=tmp_path))


@pytest.mark.parametrize("name", ["theirs.refl", "theirs.refl.gz"])
def test_we_read_what_dials_writes_compressed(dials, strong, tmp_path, name):
    dials.script(REWRITE, strong, tmp_path / name, cwd=tmp_path)
    assert read_reflections(tmp_path / name) == read_reflections(strong)


def test_dials_show_prints_our_table_as_its_own(dials, strong, tmp_path):
    shutil.copy(strong, tmp_path / "theirs.refl")
    write_reflections(tmp_path / "ours.refl", read_reflections(strong).select(slice(0, 200)))
    shown = dials.command("dials.show", "ours.refl", "show_flags=True", cwd=tmp_path)
    assert "200 reflections" in shown
    assert "strong" in shown


def test_flag_values_are_those_of_dials(dials, tmp_path):
    code = """
import numpy as np
from dials.array_family import flex
flags = flex.reflection_table.flags
np.savez("out.npz", **{name.upper(): int(value) for name, value in flags.names.items()})
"""
    theirs = dials.script(code, cwd=tmp_path)
    ours = {name: int(flag) for name, flag in Flag.__members__.items()}
    later = {"NOT_SUITABLE_FOR_REFINEMENT", "BAD_FOR_REFINEMENT"}  # 3.12 lacks the bit 27 that newer DIALS has.
    for name, value in theirs.items():
        assert name in ours, name
        assert ours[name] == value or name in later, name
