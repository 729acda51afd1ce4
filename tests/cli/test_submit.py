"""The command submit: the script of a job, as --dry-run prints it."""

from __future__ import annotations

import pytest

from xdp.cli.main import main


def test_dry_run_prints_the_script_and_leaves_nothing(folder, capsys):
    (folder / "imported.expt").write_text("{}")
    before = set(folder.iterdir())
    assert main(["submit", "--dry-run", "-C", "slurm", "-p", "3", "-q", "fast", "-o", "out", "--", "show",
                 "imported.expt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH -p fast" in lines
    assert any("-m xdp.cli.main show" in line and str(folder) in line for line in lines)
    assert set(folder.iterdir()) == before


@pytest.mark.parametrize(("words", "message"), [
    ([], "needs -o OUT and, after --, the command to run"),
    (["-o", "out", "--", "show", "a.expt"], "needs --cluster"),
    (["-o", "out", "-C", "sge", "-p", "0", "--", "show", "a.expt"], "--cores must be at least 1, got 0"),
])
def test_what_is_missing_is_said(folder, capsys, words, message):
    assert main(["submit", *words]) == 1
    assert message in capsys.readouterr().err
