"""The command plan."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sweeps import add_spot, background, sweep

from xdp.cli.main import main
from xdp.experiment import write_experiments


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with imported.expt of a sweep, the current one."""
    monkeypatch.chdir(tmp_path)
    counts = background(12)
    add_spot(counts, 2, 20, 20)
    write_experiments("imported.expt", sweep(tmp_path, counts))
    return tmp_path


def test_plan_forecasts_and_submits_nothing(place, capsys):
    before = set(os.listdir())
    assert main(["plan", "imported.expt", "--cluster", "slurm", "mp.nproc=2", "plan.sample=6"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("12 frames, ")
    assert "memory of a worker of 2 threads: " in text
    jobs = [int(line.split()[0]) for line in text.splitlines() if line.strip()[:1].isdigit() and "%" in line]
    assert jobs[:2] == [1, 2]
    assert max(jobs) <= 12  # never more jobs than twice the frames over the threads
    assert "xdp find_spots ... mp.method=slurm mp.njobs=" in text
    assert set(os.listdir()) == before


def test_plan_reads_the_site(place, capsys):
    Path("small.yaml").write_text("scheduler: sge\ncores: 4\nmemory: 100MB\n")
    assert main(["plan", "imported.expt", "cluster.config=small.yaml", "plan.max_jobs=4"]) == 0
    text = capsys.readouterr().out
    assert "memory of a worker of 4 threads" in text
    assert "The site's memory of 100MB a job is too little" in text


@pytest.mark.parametrize(("words", "complaint"), [
    (["--cluster"], "--cluster needs a name"),
    (["--cluster", "nowhere"], "no nowhere.yaml"),
    (["plan.sample=0"], "sample"),
    (["scan_range=40,50"], "scan"),
])
def test_plan_says_what_is_wrong(place, capsys, words, complaint):
    assert main(["plan", "imported.expt", *words]) == 1
    assert complaint in capsys.readouterr().err
