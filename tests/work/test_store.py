"""Work folders, and arrays in files that appear whole."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.work.store import load_arrays, open_work_folder, save_arrays, stamp, work_folder


def test_arrays_come_back_all_or_some(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, {"x.one": np.arange(3), "x.two": np.ones(2), "y": np.zeros(0)})
    assert set(load_arrays(path)) == {"x.one", "x.two", "y"}
    assert set(load_arrays(path, ("x.t", "y"))) == {"x.two", "y"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_missing_and_damaged_files_are_none(tmp_path):
    path = tmp_path / "a.npz"
    assert load_arrays(path) is None
    save_arrays(path, {"x": np.arange(1000)})
    path.write_bytes(path.read_bytes()[:500])
    assert load_arrays(path) is None


def test_the_folder_goes_when_all_is_well_and_stays_with_results_after_a_failure(tmp_path):
    out = tmp_path / "out.refl"
    with open_work_folder(out) as folder:
        assert folder == work_folder(out)
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


def test_a_folder_is_one_runs_alone_and_free_after_its_end(tmp_path):
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
    program = (f"import os, signal, xdp.work.store as w, pathlib\n"
               f"with w.open_work_folder(pathlib.Path({str(out)!r})): os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert (work_folder(out) / ".lock").exists()
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


def test_places_that_cannot_be_written_are_told(tmp_path):
    with pytest.raises(XdpError, match="is a folder"), open_work_folder(tmp_path):
        pass
    with pytest.raises(XdpError, match="cannot write into"), open_work_folder(tmp_path / "no" / "out.refl"):
        pass


def test_stamps_change_with_the_file(tmp_path):
    path = tmp_path / "x"
    assert stamp(path) == [str(path), None, None]
    path.write_text("a")
    first = stamp(path)
    path.write_text("ab")
    assert stamp(path) != first
    assert stamp(path)[:2] == [str(path), 2]
