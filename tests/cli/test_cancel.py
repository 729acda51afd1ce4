"""The command cancel, beside a batch system that is a script."""

from __future__ import annotations

import json
import os

import pytest

from xdp.cli.main import main


@pytest.fixture
def slurm(folder, monkeypatch):
    """The folder of a submitted run; job 7 is listed until scancel is called."""
    (folder / "bin").mkdir()
    scripts = {"squeue": "[ -e cancelled ] || echo '7 RUNNING'", "scancel": 'echo "$@" > cancelled'}
    for name, text in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/bash\ncd {folder}\n{text}\n")
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin{os.pathsep}{os.environ['PATH']}")
    record = {"scheduler": "slurm", "job": "7", "command": [], "timeout": 5, "logs": "xdp-logs"}
    (folder / "xdp-job.json").write_text(json.dumps(record))
    return folder


def test_the_job_is_cancelled_once(slurm, capsys):
    assert main(["cancel", "."]) == 0
    assert capsys.readouterr().out == "cancelled: 7\n"
    assert (slurm / "cancelled").read_text() == "7\n"
    assert main(["cancel", "."]) == 0
    assert capsys.readouterr().out == "no job of this run was left\n"


@pytest.mark.parametrize(("words", "message"), [
    ([], "cancel needs the folder of one run"), (["a", "b"], "cancel needs the folder of one run"),
    (["empty"], "no jobs are known of a run there"), (["--force", "a"], "unknown option --force"),
])
def test_what_cannot_be_cancelled(folder, capsys, words, message):
    (folder / "empty").mkdir()
    assert main(["cancel", *words]) == 1
    assert message in capsys.readouterr().err
