"""Output files that appear whole or not at all, and their folders."""

from __future__ import annotations

import os
import stat

import pytest

from xdp.errors import XdpError
from xdp.files import atomic_output, make_folder


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_output(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.parent == tmp_path
    assert path.read_text() == "half"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_output(path) as part:
            part.write_text("new")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    with atomic_output(tmp_path / "a") as part:
        part.write_text("")
    (tmp_path / "b").write_text("")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_no_folder_no_file(tmp_path):
    def write():
        with atomic_output(tmp_path / "none" / "a") as part:
            part.write_text("")

    with pytest.raises(XdpError, match="cannot write into"):
        write()


def test_folders_are_made(tmp_path):
    made = make_folder(tmp_path / "a" / "b")
    assert made.is_dir()
    assert make_folder(made) == made


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(XdpError, match=r"a/b: this folder for output cannot be made"):
        make_folder(tmp_path / "a" / "b")
