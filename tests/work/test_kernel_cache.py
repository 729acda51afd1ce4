"""The cache of kernels that workers share, and the first task that fills it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xdp.kernels import machine_key, shared_cache
from xdp.work.kernel_cache import CACHE_VARIABLE, has_kernels, note_kernels, use_kernel_cache
from xdp.work.workers import run_on_client


def task(shared, number):
    return shared + number


class Future:
    """What a client gives for a task; it tells when its result is asked for."""

    def __init__(self, value, log):
        self.value, self.log = value, log

    def result(self):
        self.log.append(f"took {self.value}")
        return self.value

    @property
    def status(self):
        return "pending"


class Client:
    """Runs tasks when they are submitted."""

    def __init__(self):
        self.log = []

    def submit(self, submitted, *args, key, pure, **keywords):
        keywords = {name: a.value if isinstance(a, Future) else a for name, a in keywords.items()}
        value = submitted(*args, **keywords)
        self.log.append(f"ran {value}")
        return Future(value, self.log)

    def map(self, mapped, tasks, *, key, **keywords):
        return [self.submit(mapped, task, key=name, **keywords) for task, name in zip(tasks, key, strict=True)]

    def cancel(self, futures):
        pass


def test_the_first_task_runs_alone_once(tmp_path):
    with use_kernel_cache(str(tmp_path)):
        cold, warm = Client(), Client()
        assert list(run_on_client(task, 10, [(1,), (2,)], cold)) == [11, 12]
        assert list(run_on_client(task, 10, [(1,), (2,)], warm)) == [11, 12]
    assert cold.log == ["ran 10", "ran 11", "took 11", "ran 12", "took 12"]
    assert warm.log == ["ran 10", "ran 11", "ran 12", "took 11", "took 12"]


def test_without_a_shared_cache_nothing_waits(tmp_path, monkeypatch):
    assert has_kernels(task)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with use_kernel_cache(str(tmp_path)):
        assert has_kernels(task)


def test_kernels_are_noted_for_each_stage_on_its_own(tmp_path):
    with use_kernel_cache(str(tmp_path)):
        note_kernels(task)
        assert has_kernels(task)
        assert not has_kernels(list)


def test_the_folder_is_ours_alone(tmp_path):
    folder = shared_cache(tmp_path / "kernels")
    assert folder.name == machine_key()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o770)
    assert shared_cache(tmp_path / "kernels") is None
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert shared_cache(tmp_path / "kernels") is None
    (tmp_path / "file").touch()
    assert shared_cache(tmp_path / "file") is None


@pytest.mark.parametrize("is_open", [False, True])
def test_workers_keep_their_kernels_there(tmp_path, is_open):
    base = tmp_path / "kernels"
    if is_open:
        shared_cache(base).chmod(0o777)
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {CACHE_VARIABLE: str(base)}
    code = "import xdp.kernels as k; print(k.numba.config.CACHE_DIR)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout.strip() == str(base / machine_key())) is not is_open
    assert ("not a folder that only you can write to" in done.stderr) is is_open
