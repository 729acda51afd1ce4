"""find_spots on a real batch system, interrupted in every way: the bytes of the run at home, and no job left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from cluster_runs import DRMAA, explain_left_jobs, left_in_queue, need_drmaa, same, xdp

from xdp.cluster.batch.dialects import DIALECTS
from xdp.cluster.batch.submission import read_job
from xdp.cluster.state import read_state
from xdp.errors import XdpError

pytestmark = pytest.mark.cluster

BATCH = {"drmaa": "sge"}
"""The batch system behind a method of another name."""


@pytest.fixture(params=["sge", "slurm"])
def batch(request):
    """The name of a batch system; after each test its queue is empty, within the seconds that cancelling takes."""
    request.getfixturevalue(request.param)
    yield request.param
    jobs = left_in_queue(request.param)
    assert jobs == {}, explain_left_jobs(request.param, jobs)


@pytest.fixture(params=["sge", "slurm", "drmaa"])
def method(request, monkeypatch):
    """As `batch`, for each way to reach one."""
    batch = BATCH.get(request.param, request.param)
    request.getfixturevalue(batch)
    if request.param == "drmaa":
        need_drmaa()
        for name, value in DRMAA.items():
            monkeypatch.setenv(name, value)
    yield request.param
    # what a driver was submitting when it was killed may come up when nobody looks any more: it ends by death_timeout
    jobs = left_in_queue(batch, 100.0 if "killed_driver" in request.node.name else 45.0)
    assert jobs == {}, explain_left_jobs(batch, jobs)


def start(folder, method):
    """Start a run of many small tasks."""
    command = [sys.executable, "-m", "xdp.cli.main", "find_spots", "imported.expt", f"mp.method={method}", "mp.njobs=2",
               "chunksize=1"]
    with open(folder / "said", "w") as said:
        # Ctrl-C as a terminal has it: where the tests run in the background it is ignored
        return subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def start_and_wait(folder, method):
    """Start a run and wait until a good part of its frames is done."""
    process = start(folder, method)
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            stages = read_state(folder)["stages"]
        except XdpError:
            stages = []
        if stages and stages[0]["done"] >= 40:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError((folder / "said").read_text()[-3000:])


def test_a_killed_job_changes_nothing(method, series, run_folder):
    process = start_and_wait(run_folder, method)
    victim = read_state(run_folder)["jobs"][0]
    subprocess.run([*DIALECTS[BATCH.get(method, method)].cancel_command, victim], check=True, capture_output=True)
    assert process.wait(240) == 0, (run_folder / "said").read_text()[-3000:]
    assert same(series, run_folder)


def test_a_killed_driver_loses_nothing(method, series, run_folder):
    process = start_and_wait(run_folder, method)
    process.send_signal(signal.SIGKILL)
    process.wait()
    chunks = {path.name: path.stat().st_ino for path in run_folder.glob(".xdp-*.work/chunk-*")}
    assert len(chunks) >= 40
    assert "lost" in xdp("status", cwd=run_folder).stdout
    again = start(run_folder, method)
    seen = {}
    while again.poll() is None:
        for path in run_folder.glob(".xdp-*.work/chunk-*"):
            try:
                seen[path.name] = path.stat().st_ino
            except FileNotFoundError:
                continue
        time.sleep(0.05)
    assert again.returncode == 0, (run_folder / "said").read_text()[-3000:]
    assert same(series, run_folder)
    # a chunk made anew would be another file of the same name
    assert {name: seen[name] for name in chunks if name in seen} == {n: i for n, i in chunks.items() if n in seen}
    assert len(seen) > len(chunks)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_terminated_driver_takes_its_jobs_with_it(method, run_folder, number, status):
    process = start_and_wait(run_folder, method)
    process.send_signal(number)
    assert process.wait(60) == status
    assert read_state(run_folder)["status"] == "interrupted"


def test_cancelling_ends_driver_and_workers(batch, series, tmp_path):
    out = tmp_path / "run"
    xdp("submit", "--cluster", batch, "-o", out, "--", "find_spots", f"{series}/imported.expt", f"mp.method={batch}",
        "mp.njobs=1", "chunksize=1", cwd=tmp_path)
    end = time.monotonic() + 120
    while not (jobs := known_jobs(out)) and time.monotonic() < end:
        time.sleep(0.1)
    assert jobs, "no worker's job is in the state"
    done = xdp("cancel", out, cwd=tmp_path)
    assert done.stdout.startswith(f"cancelled: {read_job(out)['job']}")
    assert not {read_job(out)["job"], *jobs} & set(DIALECTS[batch].list_jobs(30))
    assert "gone" in xdp("status", out, cwd=tmp_path).stdout


def test_cancelling_ends_a_driver_started_by_hand(method, run_folder):
    process = start_and_wait(run_folder, method)
    jobs = read_state(run_folder)["jobs"]
    assert xdp("cancel", run_folder, cwd=run_folder).stdout.startswith(f"cancelled: pid {process.pid}")
    assert process.wait(10) == 143
    assert jobs
    assert read_state(run_folder)["status"] == "interrupted"


def known_jobs(folder):
    """The jobs in a run's state, if it has one already."""
    try:
        return read_state(folder)["jobs"]
    except XdpError:
        return []
