"""Symmetry, scaling and merging after integration: done, left out, or told why there is no result."""

from __future__ import annotations

import json
import os

import gemmi
import pytest

import xdp
from xdp.cli.main import main
from xdp.logs import stop_log
from xdp.pipeline import ProcessOptions
from xdp.pipeline.late_stages import MERGE, SCALE, SYMMETRY, list_late_stages
from xdp.simulation import (
    make_beam,
    make_crystal,
    make_detector,
    make_goniometer,
    make_integrated,
    make_scan,
    simulate_rotation,
)
from xdp.simulation.write import write_minicbf_series

pytestmark = pytest.mark.kernels


def write_series(folder, n_frames):
    models = make_crystal(orientation=1), make_beam(), make_detector((300, 300)), make_goniometer()
    simulation = simulate_rotation(*models, make_scan(n_frames, 0.5), seed=1)
    return [str(path) for path in write_minicbf_series(simulation, folder)]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_series(tmp_path_factory.mktemp("images"), 40)


def run(folder, images, *words):
    status = main(["process", *images, f"output.directory={folder}", *words])
    stop_log()
    return status, json.loads((folder / "xdp.process.json").read_text())["stages"]


def test_images_to_merged_intensities_without_a_known_group(images, tmp_path):
    status, stages = run(tmp_path, images)
    assert status == 0
    assert list(stages)[-3:] == ["symmetry", "scale", "merge"]
    # twenty degrees about one axis: the Laue group or a lower one, never one that is too high
    assert stages["symmetry"]["laue_group"] in ("P 4 2 2", "P 4", "P 2 2 2", "C 2 2 2", "P 1 2 1", "C 1 2 1", "P 1")
    mtz = gemmi.read_mtz_file(os.fspath(tmp_path / "merged.mtz"))
    assert mtz.nreflections == stages["merge"]["merged"] > 300
    log = (tmp_path / "xdp.process.log").read_text()
    assert "Table 1 (the outer shell in brackets):" in log
    assert "Merging statistics by resolution" in (tmp_path / "xdp.merge.log").read_text()
    assert "Error model" in (tmp_path / "xdp.scale.log").read_text()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.mtz")}
    assert [name for name, facts in run(tmp_path, images)[1].items() if facts["seconds"] is not None] == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.mtz")} == before
    again = run(tmp_path, images, "merge.d_min=3.5")[1]
    assert [name for name, facts in again.items() if facts["seconds"] is not None] == ["merge"]


def test_stages_can_be_left_out():
    integrated, _ = make_integrated()
    chosen = ProcessOptions()
    assert list_late_stages(chosen, integrated) == (SYMMETRY, SCALE, MERGE)
    assert list_late_stages(ProcessOptions(stages={"symmetry": False}), integrated) == (SCALE, MERGE)
    assert list_late_stages(ProcessOptions(stages={"scale": False}), integrated) == (SYMMETRY,)


def test_short_names_leave_stages_out(images, tmp_path):
    _, stages = run(tmp_path, images, "symmetry=False", "scale=False", "space_group=P43212")
    assert list(stages)[-1] == "export"
    assert not (tmp_path / "scaled.refl").exists()
    found = xdp.process(images, {"output.directory": tmp_path}, space_group="P43212", symmetry=False, scale=False)
    assert list(found.facts)[-1] == "export"


def test_too_few_frames_are_integrated_all_the_same(tmp_path):
    images = write_series(tmp_path, 3)
    status, stages = run(tmp_path, images, "space_group=P43212", "unit_cell=79.34,79.34,37.81,90,90,90",
                         "cut_data.d_min=30")
    assert status == 0
    assert stages["integrate"]["integrated"] > 0
    assert "problem" in stages["scale"]
    assert "merge" not in stages
    log = (tmp_path / "xdp.process.log").read_text()
    assert "scaled" in log
    assert "no result: " in log
    assert not (tmp_path / "scaled.refl").exists()
    # what has no result is not tried again and again
    again = run(tmp_path, images, "space_group=P43212", "unit_cell=79.34,79.34,37.81,90,90,90", "cut_data.d_min=30")[1]
    assert again["scale"]["seconds"] is None
