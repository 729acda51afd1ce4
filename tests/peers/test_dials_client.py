"""Results of DIALS are shared between tests where the command and its files are the same, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
from dials_client import Dials


class CountingServer:
    """Stands in for DIALS: its command copies in.txt to out.txt, and is counted."""

    def __init__(self, names_folder: bool = False) -> None:
        self.n_runs = 0
        self.names_folder = names_folder

    def run(self, words: list[str], code: str | None, folder: Path) -> tuple[int, str, str]:
        self.n_runs += 1
        if "fail" in words:
            return 1, "", "no spots"
        text = (folder / "in.txt").read_text()
        (folder / "out.txt").write_text(f"{folder} {text}" if self.names_folder else text)
        return 0, "done", ""


@pytest.fixture
def folders(tmp_path):
    """Two folders with the same input."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "in.txt").write_text("spots")
    return tmp_path / "one", tmp_path / "two"


def make_dials(tmp_path: Path, server: CountingServer) -> Dials:
    dials = Dials(tmp_path / "results")
    dials._server = server
    return dials


def test_the_same_command_on_the_same_files_runs_once(tmp_path, folders):
    server = CountingServer()
    for folder in folders:
        assert make_dials(tmp_path, server).command("dials.x", "in.txt", "a=1", cwd=folder) == "done"
        assert (folder / "out.txt").read_text() == "spots"
    assert server.n_runs == 1


def test_other_words_or_other_contents_run_anew(tmp_path, folders):
    server = CountingServer()
    dials = make_dials(tmp_path, server)
    dials.command("dials.x", "in.txt", "a=1", cwd=folders[0])
    dials.command("dials.x", "in.txt", "a=2", cwd=folders[0])
    (folders[1] / "in.txt").write_text("other")
    dials.command("dials.x", "in.txt", "a=1", cwd=folders[1])
    assert server.n_runs == 3
    assert (folders[1] / "out.txt").read_text() == "other"


def test_a_file_elsewhere_counts_by_its_path_too(tmp_path, folders):
    server = CountingServer()
    dials = make_dials(tmp_path, server)
    for other in folders:  # the same contents, which DIALS would name by their path
        dials.command("dials.x", other / "in.txt", cwd=folders[0])
    assert server.n_runs == 2


@pytest.mark.parametrize("words", [["template=in_####.txt"], ["in.txt", "output=/nowhere/out.txt"]])
def test_what_words_do_not_tell_is_not_shared(tmp_path, folders, words):
    server = CountingServer()
    dials = make_dials(tmp_path, server)
    for folder in folders:
        dials.command("dials.x", *words, cwd=folder)
    assert server.n_runs == 2


def test_files_that_name_their_folder_are_not_shared(tmp_path, folders):
    server = CountingServer(names_folder=True)
    dials = make_dials(tmp_path, server)
    for folder in folders:
        dials.command("dials.x", "in.txt", cwd=folder)
        assert (folder / "out.txt").read_text() == f"{folder} spots"
    assert server.n_runs == 2


def test_a_failure_is_one_each_time(tmp_path, folders):
    server = CountingServer()
    dials = make_dials(tmp_path, server)
    for folder in folders:
        with pytest.raises(AssertionError, match="no spots"):
            dials.command("dials.x", "in.txt", "fail", cwd=folder)
    assert server.n_runs == 2
