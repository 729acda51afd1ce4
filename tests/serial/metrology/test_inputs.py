"""Folders, files, and files that name files."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdp.errors import OptionError, XdpError
from xdp.serial.metrology.inputs import find_metrology_files, read_data_phil


def test_folders_become_pairs(tmp_path):
    for name in ("a_indexed.refl", "a_refined.expt", "a_indexed.expt", "b_indexed.refl", "b_indexed.expt",
                 "c_indexed.refl", "a_integrated.refl"):
        (tmp_path / name).touch()
    found, left = find_metrology_files([str(tmp_path)])
    assert [Path(name).name for name in found] == ["a_refined.expt", "a_indexed.refl", "b_indexed.expt",
                                                   "b_indexed.refl"]
    assert [Path(name).name for name in left] == ["c_indexed.refl"]
    found, _ = find_metrology_files([str(tmp_path)], "integrated")
    assert [Path(name).name for name in found] == ["a_refined.expt", "a_integrated.refl"]
    with pytest.raises(XdpError, match="found no shots"):
        find_metrology_files([str(tmp_path)], "reindexedstrong")
    assert find_metrology_files(["x.expt", "x.refl"])[0] == ["x.expt", "x.refl"]


def test_data_phil_names_pairs(tmp_path):
    path = tmp_path / "data.phil"
    path.write_text("input {\n experiments = a.expt # one\n reflections = 'a b.refl'\n}\n"
                    "input { experiments=c.expt reflections=c.refl }\n")
    assert read_data_phil(str(path)) == ["a.expt", "a b.refl", "c.expt", "c.refl"]
    with pytest.raises(OptionError, match="leave one of the two out"):
        find_metrology_files(["x.expt"], data_phil=str(path))
    path.write_text("input { experiments=a.expt }")
    with pytest.raises(XdpError, match="each input needs one of both"):
        read_data_phil(str(path))
    path.write_text("refinement { experiments=a.expt reflections=a.refl }")
    with pytest.raises(XdpError, match="holds 'refinement'"):
        read_data_phil(str(path))
    with pytest.raises(XdpError, match="cannot be read"):
        read_data_phil(str(tmp_path / "gone.phil"))
