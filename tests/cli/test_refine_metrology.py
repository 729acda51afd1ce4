"""The command refine_metrology: its files, and what it says where there is no result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from metrology_data import make_shots

from xdp.cli.main import main
from xdp.experiment import read_experiments, write_experiments
from xdp.images.geometry_files.convert import read_geometry_source
from xdp.reflections import read_reflections, write_reflections

pytestmark = pytest.mark.kernels


@pytest.fixture
def shots(folder):
    """A folder with two pairs of files."""
    Path("run").mkdir()
    for part in (1, 2):
        _, experiments, table = make_shots(15, {1: 0.05}, seed=part)
        write_experiments(f"run/{part}_refined.expt", experiments)
        write_reflections(f"run/{part}_indexed.refl", table)
    return folder


def test_a_folder_gives_geometry_in_all_forms(shots):
    assert main(["refine_metrology", "run", "tag=new", "refine_to_hierarchy_level=1", "split_dataset=True"]) == 0
    refined = read_experiments("new_refined_level1.expt")
    assert len(read_experiments("new_combined.expt")) == 30
    assert len(read_reflections("new_refined_level1.refl")) > 800
    for name in ("new_refined_detector_level1.geom", "new_refined_detector_level1.def", "0-end.data.new"):
        distance = abs(float(refined[0].known.detector.d_matrix(0)[2, 2]))
        detector = read_geometry_source(name).detector if not name.startswith("0") else read_lcls(name, distance)
        for panel in (0, 15):
            np.testing.assert_allclose(detector.d_matrix(panel), refined[0].known.detector.d_matrix(panel), atol=2e-3)
    report = json.loads(Path("new_metrology.json").read_text())
    assert "levels" in json.dumps(report)
    assert Path("new_1_refined_level1.expt").exists()
    assert Path("new_refine_level1.phil").exists()


def read_lcls(name, distance):
    from xdp.images.geometry_files.lcls import build_lcls_detector, read_lcls_geometry

    return build_lcls_detector(read_lcls_geometry(name))


@pytest.mark.parametrize(("words", "said"), [
    (["run", "refine_to_hierarchy_level=7"], "the levels 0 to 2"),
    (["run", "method=expanding", "refinement.parameterisation.detector.fix=all"], "detector.fix is not used"),
    ([], "found no shots"),
    (["run", "n_subset=1"], "a single shot is left"),
])
def test_what_is_wrong_is_one_line_and_nothing_is_written(shots, capsys, words, said):
    assert main(["refine_metrology", *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(Path().glob("cspad*"))
