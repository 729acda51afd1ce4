"""The command process: a line for each stage and its summary; the pipeline has tests of its own."""

from __future__ import annotations

import json
import logging

import pytest
from sweeps import background, sweep

from xdp.cli import process
from xdp.cli.main import main
from xdp.experiment import write_experiments
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation
from xdp.simulation.write import write_minicbf_series


@pytest.mark.parametrize(("seconds", "text"), [(1.5, "   1.50 s"), (None, "as before")])
def test_a_stage_is_one_line_with_its_time(caplog, seconds, text):
    with caplog.at_level("INFO", logger="xdp"):
        process._log_stage("find_spots", {"spots": 7}, seconds)
    assert caplog.messages == [f"{'find_spots':24} {text:>9}   7 spots"]


def test_stages_have_logs_of_their_own_though_one_fails(folder, capsys):
    write_experiments("imported.expt", sweep(folder, background(4)))
    assert main(["process", "imported.expt", "output.directory=out"]) == 1
    assert "no spots were found" in capsys.readouterr().err
    assert {path.name for path in (folder / "out").glob("*.log")} == {
        "xdp.process.log", "xdp.find_spots.log", "xdp.index.log"}
    assert not (folder / "out" / "xdp.process.json").exists()
    assert logging.getLogger("xdp").level == logging.INFO


def test_the_summary_is_json_with_the_version(folder):
    process._write_summary("s.json", {"import": {"frames": 3}})
    assert json.loads((folder / "s.json").read_text())["stages"] == {"import": {"frames": 3}}


def test_images_are_wanted(folder, capsys):
    assert main(["process"]) == 1
    assert "process needs images" in capsys.readouterr().err


@pytest.fixture
def two_series(folder):
    """Two short series of lysozyme, of crystals that stand differently, in folders a and b."""
    for seed, name in enumerate("ab", 1):
        (folder / name).mkdir()
        models = make_crystal(orientation=seed), make_beam(), make_detector((260, 260)), make_goniometer()
        write_minicbf_series(simulate_rotation(*models, make_scan(14, 0.5), seed=seed), folder / name, f"img_{name}")
    return folder


@pytest.mark.kernels
def test_each_sweep_has_its_row_and_its_warnings(two_series, capsys):
    # more spots than there are wanted for the profile model: a warning for each sweep
    assert main(["process", "a", "b", "output.directory=out", "joint_indexing=False",
                 "unit_cell=79.3,79.3,37.8,90,90,90", "space_group=P43212",
                 "integrate.gaussian_rs.min_spots.overall=5000",
                 "integrate.gaussian_rs.min_spots.per_degree=5000"]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines() if "img_" in line and "####" in line]
    assert [row[:3] for row in rows if row[0].isdigit()] == [["0", "img_a_####.cbf", "1-14"],
                                                             ["1", "img_b_####.cbf", "1-14"]]
    warnings = [line for line in said.splitlines() if "few for a profile model" in line]
    assert [line.split(":")[0] for line in sorted(warnings)] == ["sweep 0 (img_a_####.cbf 1-14)",
                                                                 "sweep 1 (img_b_####.cbf 1-14)"]
    facts = json.loads((two_series / "out" / "xdp.process.json").read_text())["stages"]
    assert sum(f["spots"] for f in facts["find_spots"]["sweeps_by_images"].values()) == facts["find_spots"]["spots"]
    assert sum(f["integrated"] for f in facts["integrate"]["sweeps_by_images"].values()) == (
        facts["integrate"]["integrated"])
