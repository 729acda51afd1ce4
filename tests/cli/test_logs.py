"""The command logs: the last lines of each log of a run."""

from __future__ import annotations

import os

import pytest

from xdp.cli.main import main


@pytest.fixture
def run_folder(folder):
    """A run with a log of its command and a newer one of a job."""
    (folder / "xdp-logs").mkdir()
    (folder / "xdp.find_spots.log").write_text("".join(f"image {i}\n" for i in range(60)))
    (folder / "xdp-logs" / "worker.o1").write_text("ready\n")
    os.utime(folder / "xdp.find_spots.log", (1.0, 1.0))
    return folder


def test_the_last_lines_oldest_log_first(run_folder, capsys):
    assert main(["logs", "."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "==> xdp.find_spots.log"
    assert lines[1] == "image 10"  # fifty lines by default
    assert lines[-2:] == ["==> xdp-logs/worker.o1", "ready"]


@pytest.mark.parametrize(("number", "first"), [("0", "image 0"), ("2", "image 58")])
def test_the_number_of_lines(run_folder, capsys, number, first):
    assert main(["logs", "-n", number, "."]) == 0
    assert capsys.readouterr().out.splitlines()[1] == first


@pytest.mark.parametrize("words", [[], ["a", "b"], ["-n", "x", "."], ["-n"]])
def test_wrong_words(folder, capsys, words):
    assert main(["logs", *words]) == 1
    assert "logs needs the folder of one run" in capsys.readouterr().err
