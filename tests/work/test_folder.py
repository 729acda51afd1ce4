"""Work folders: one run at a time, removed or kept at its end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from xdp.errors import XdpError
from xdp.work.folder import name_work_folder, open_work_folder


def test_the_folder_is_removed_when_all_is_well_and_kept_with_results_after_a_failure(tmp_path):
    out = tmp_path / "out.refl"
    with open_work_folder(out) as folder:
        assert folder == name_work_folder(out)
        (folder / "a").touch()
    assert not folder.exists()
    for leaves in (True, False):
        with pytest.raises(ZeroDivisionError), open_work_folder(out) as folder:  # noqa: PT012
            if leaves:
                (folder / "a").touch()
            raise ZeroDivisionError
        assert folder.exists() == leaves
        if leaves:
            (folder / "a").unlink()


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path):
    out = tmp_path / "out.refl"
    with open_work_folder(out) as folder:
        with pytest.raises(XdpError, match=f"written by process {os.getpid()} on "), open_work_folder(out):
            pass
        assert folder.exists()
    assert list(tmp_path.iterdir()) == []
    with open_work_folder(out):
        pass


def test_the_lock_of_a_killed_run_is_free(tmp_path):
    out = tmp_path / "out.refl"
    program = (f"import os, signal, xdp.work.folder as w, pathlib\n"
               f"with w.open_work_folder(pathlib.Path({str(out)!r})): os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert (name_work_folder(out) / ".lock").exists()
    with open_work_folder(out):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with open_work_folder(tmp_path / "out.refl"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_errors(tmp_path):
    with pytest.raises(XdpError, match="is a folder"), open_work_folder(tmp_path):
        pass
    with pytest.raises(XdpError, match="cannot write into"), open_work_folder(tmp_path / "no" / "out.refl"):
        pass


def test_an_output_that_is_a_folder_may_be_there(tmp_path):
    (tmp_path / "out.zarr").mkdir()
    with open_work_folder(tmp_path / "out.zarr", is_folder=True) as folder:
        assert folder == name_work_folder(tmp_path / "out.zarr")
    assert (tmp_path / "out.zarr").is_dir()
