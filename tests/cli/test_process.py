"""The command process: a line for each stage and its summary; the pipeline has tests of its own."""

from __future__ import annotations

import json
import logging

import pytest
from sweeps import background, sweep

from xdp.cli import process
from xdp.cli.main import main
from xdp.experiment import write_experiments


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
