"""The command status: the state that a run keeps beside its outputs."""

from __future__ import annotations

from xdp.cli.main import main
from xdp.cluster.state import RunState


def test_each_folder_has_its_run(folder, capsys):
    for name in ("a", "b"):
        (folder / name).mkdir()
        with RunState(folder / name / "xdp-state.json", "find_spots").record_run():
            pass
    assert main(["status", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("a") == lines.count("b") == 1
    assert sum(line.startswith("find_spots: done") for line in lines) == 2


def test_a_folder_without_a_run(folder, capsys):
    assert main(["status"]) == 1
    assert "no state of a run there" in capsys.readouterr().err
    assert main(["status", "--all"]) == 1
    assert "unknown option --all" in capsys.readouterr().err
