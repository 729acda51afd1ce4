"""Limits of the shell are named where libraries fail under them."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys

import pytest

from xdp.cli import limits
from xdp.cli.main import main


@pytest.fixture
def limited(monkeypatch):
    """As under ulimit -v 200000."""
    monkeypatch.setattr(limits, "_read_limit", lambda name: 200000 * 1024 if name == "RLIMIT_AS" else None)


@pytest.mark.parametrize("error", [
    MemoryError(), ImportError("libhdf5.so: failed to map segment from shared object"),
    OSError("Could not find/load shared object file 'libllvmlite.so'"), RuntimeError("can't start new thread"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
])
def test_what_libraries_say_is_explained(limited, error):
    said = limits.explain_limit(error)
    assert "limited to 205 MB (ulimit -v 200000), which is too little: " in said
    assert "ulimit -v unlimited" in said
    assert "\n" not in said


def test_other_errors_are_not_explained_away(limited):
    assert limits.explain_limit(FileNotFoundError(2, "No such file", "a.cbf")) is None
    assert limits.explain_limit(RuntimeError("a defect")) is None


def test_without_a_limit_only_memory_errors_are_told(monkeypatch):
    monkeypatch.setattr(limits, "_read_limit", lambda name: None)
    assert limits.explain_limit(MemoryError("Unable to allocate 8 GiB")) == (
        "the memory is not enough: Unable to allocate 8 GiB")
    assert limits.explain_limit(ImportError("failed to map segment")) is None
    monkeypatch.setattr(limits, "_read_limit", lambda name: 50 if name == "RLIMIT_NPROC" else None)
    assert "50 processes (ulimit -u)" in limits.explain_limit(RuntimeError("can't start new thread"))


@pytest.mark.parametrize("size", [60, 100, 200, 350])  # MB; from the start of Python's own modules to those of HDF5
def test_a_command_under_a_limit_names_it(size, tmp_path):
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (size << 20, size << 20))

    (tmp_path / "a_0001.cbf").write_text("no image")
    done = subprocess.run([sys.executable, "-m", "xdp.cli.main", "find_spots", "a_0001.cbf"], cwd=tmp_path, text=True,
                          capture_output=True, check=False, preexec_fn=lower)
    assert done.returncode != 0
    assert "(ulimit -v" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_said_where_there_is_enough(capsys, monkeypatch):
    monkeypatch.setattr(limits, "_read_limit", lambda name: 8 << 30)
    limits.warn_of_limit()
    assert main(["show"]) == 1
    assert "ulimit" not in capsys.readouterr().err
