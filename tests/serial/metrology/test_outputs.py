"""Names of the files of a refinement of panels; the files themselves are tested with the command."""

from __future__ import annotations

import pytest
from metrology_data import make_shots

from xdp.errors import XdpError
from xdp.serial.metrology.options import RefineMetrologyOptions
from xdp.serial.metrology.outputs import name_outputs, write_combined, write_metrology
from xdp.serial.metrology.refine_metrology import refine_metrology

pytestmark = pytest.mark.kernels


def test_names_begin_with_the_tag():
    names = name_outputs("run5", ["level0", "step1_level2"])
    assert names["step1_level2.definition"] == "run5_refined_detector_step1_level2.def"
    assert all("run5" in name for name in names.values())


def test_all_files_or_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, experiments, table = make_shots(10, {1: 0.05})
    found = refine_metrology(experiments, table, refine_to_hierarchy_level=0)
    options = RefineMetrologyOptions()
    (tmp_path / "a_metrology.json").mkdir()  # the last file cannot be written
    with pytest.raises(XdpError):
        write_metrology(found, options, "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_metrology.json"]
    written = write_metrology(found, options, "b")
    assert all((tmp_path / name).exists() for name in written)
    write_combined(experiments, table, "b")
    assert (tmp_path / "b_combined.refl").exists()
