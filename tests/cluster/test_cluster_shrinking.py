"""Runs that lose workers, by jobs of the stand-in for PBS: killed, retired, forgotten by Dask while they are listed."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

import pytest

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.cluster.batch import watchdog
from xdp.cluster.batch.dialects import DIALECTS
from xdp.cluster.state import RunState
from xdp.errors import XdpError
from xdp.work.workers import run_on_client


@pytest.fixture
def pbs(tmp_path, monkeypatch):
    """The folder of the batch system's stand-in, whose commands come first on the path; two slots, frequent looks."""
    commands, folder, work = (tmp_path / name for name in ("bin", "standin", "work"))
    for place in (commands, folder, work):
        place.mkdir()
    for name in ("qsub", "qstat", "qselect", "qdel"):
        shutil.copy(Path(__file__).parent / "standin_batch.py", commands / name)
        (commands / name).chmod(0o755)
    (folder / "slots").write_text("2")
    monkeypatch.setenv("XDP_STANDIN", str(folder))
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(work)
    monkeypatch.setattr(watchdog, "INTERVAL", 0.5)
    yield folder
    left = DIALECTS["pbs"].list_jobs(30)
    DIALECTS["pbs"].cancel_jobs(list(left), 30)
    assert left == {}, "jobs were left behind"


def options(tmp_path, text="", **kwargs):
    path = tmp_path / "site.yaml"
    path.write_text(f"scheduler: pbs\nhost: 127.0.0.1\ncommand_timeout: 10\nkernel_cache: null\n{text}\n")
    return ClusterOptions(config=str(path), dashboard="none", tls_folder=str(tmp_path / "tls"), **kwargs)


def slow():
    """A task; made here, since workers cannot import the tests."""

    def task(shared, number):
        time.sleep(0.2)
        return number

    return task


def kill_all():
    DIALECTS["pbs"].cancel_jobs(list(DIALECTS["pbs"].list_jobs(30)), 30)


def run_with_a_kill(chosen, state, kill):
    """Take results one by one; after the first the jobs are killed."""
    with state.record_run(), connect(MpOptions(method="pbs"), chosen, state) as client:
        results = run_on_client(slow(), None, [(number,) for number in range(200)], client)
        next(results)
        kill()
        list(results)


def test_a_run_whose_last_job_is_gone_ends(pbs, tmp_path):
    state = RunState(tmp_path / "state.json", "x")
    said = r"no job is left, and cluster\.replace_jobs=0 allows no other; last failure: job 1\.\S+ ended or was killed"
    with pytest.raises(XdpError, match=said):
        run_with_a_kill(options(tmp_path, replace_jobs=0), state, kill_all)
    assert state.data["status"] == "failed"
    assert "no job is left" in state.data["error"]


def test_a_run_whose_next_worker_waits_in_the_queue_waits_with_it(pbs, tmp_path, monkeypatch):
    """Patience is for workers that never call, not for a busy cluster."""
    wait_for_first_worker = watchdog.Watchdog.wait_for_first_worker

    def wait(dog, timeout):
        wait_for_first_worker(dog, timeout)
        dog.patience = 2.0  # the first worker may take longer on a busy machine

    monkeypatch.setattr(watchdog.Watchdog, "wait_for_first_worker", wait)

    def kill():
        (pbs / "slots").write_text("0")
        kill_all()
        monkeypatch.setattr(watchdog.Watchdog, "_give_up_without_workers", spy)

    def spy(dog, found):
        give_up(dog, found)
        if found.queued and not found.connected:
            waited.append(time.monotonic())
            if waited[-1] - waited[0] > 3.0:
                dog.patience = 300.0
                (pbs / "slots").write_text("4")

    give_up, waited = watchdog.Watchdog._give_up_without_workers, []
    run_with_a_kill(options(tmp_path), RunState(None, "x"), kill)
    assert len(waited) > 3


def test_workers_that_retire_do_not_use_up_the_replacements(pbs, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    state = RunState(None, "x")
    with connect(MpOptions(method="pbs"), options(tmp_path, "walltime: '00:00:04'", replace_jobs=0), state) as client:
        tasks = [(number,) for number in range(18)]  # 3.6 s of work for workers that live for 3 s
        assert list(run_on_client(slow(), None, tasks, client)) == list(range(18))
    assert state.data["failures"] == []
    assert "A worker retired and is replaced: job 1." in caplog.text


def test_a_worker_is_replaced_though_its_job_is_listed_for_ever(pbs, tmp_path, monkeypatch):
    """A host that fell silent: the worker is lost, the batch system calls the job running, and nobody can end it."""
    import dask
    import distributed  # noqa: F401  its defaults first

    state = RunState(None, "x")
    known, listed = type(DIALECTS["pbs"]).list_jobs, {}
    monkeypatch.setattr(type(DIALECTS["pbs"]), "list_jobs", lambda self, timeout: listed | known(self, timeout))
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}), connect(
        MpOptions(method="pbs"), options(tmp_path), state
    ) as client:
        results = run_on_client(slow(), None, [(number,) for number in range(8)], client)
        assert next(results) == 0
        (first,) = state.data["jobs"]
        listed[first] = "running"
        DIALECTS["pbs"].cancel_jobs([first], 30)
        assert list(results) == list(range(1, 8))
        assert first not in state.data["jobs"]
    listed.clear()
    (failure,) = state.data["failures"]
    assert failure["text"].startswith(f"the worker of job {first} was lost")
