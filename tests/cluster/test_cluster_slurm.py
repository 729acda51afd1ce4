"""xdp on a real Slurm: the same bytes as at home, a killed job, refusals, the driver as a job."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from cluster_runs import left_in_queue, same

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.cluster.batch.site import Site
from xdp.cluster.batch.submission import Driver, find_job_status, submit_driver
from xdp.cluster.state import RunState
from xdp.errors import XdpError

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]


@pytest.fixture(autouse=True)
def _no_job_is_left(tmp_path, monkeypatch):
    """Work in a folder of the test's own; after it the queue is empty, within the seconds that scancel takes."""
    monkeypatch.chdir(tmp_path)
    yield
    assert left_in_queue("slurm") == {}


def test_the_bytes_of_the_local_run(series, tmp_path):
    command = [sys.executable, "-m", "xdp.cli.main", "find_spots", f"{series}/imported.expt", "mp.method=slurm",
               "mp.njobs=2", "chunksize=2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert same(series, tmp_path)


def test_a_killed_job_is_replaced():
    def job():
        return os.environ["SLURM_JOB_ID"], os.environ["SLURM_CPUS_PER_TASK"]

    state = RunState(None, "x")
    with connect(MpOptions(method="slurm", nproc=2), ClusterOptions(dashboard="none"), state) as client:
        first, cpus = client.submit(job, pure=False).result(60)
        subprocess.run(["scancel", first], check=True)
        while client.nthreads():  # scancel returns before the worker is dead
            time.sleep(0.1)
        second, _ = client.submit(job, pure=False).result(120)
    assert (cpus, first != second, len(state.data["failures"])) == ("2", True, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue": "fast"}, "no job could be started: sbatch said: .*invalid partition specified: fast"),
        ({"config": "big.yaml"}, "no job could be started: sbatch said: .*Memory specification can not be satisfied"),
    ],
)
def test_refusals_are_quoted(tmp_path, options, message):
    (tmp_path / "big.yaml").write_text("scheduler: slurm\nmemory: 900TB\n")
    with pytest.raises(XdpError, match=message), connect(MpOptions(method="slurm"), ClusterOptions(**options)):
        pass


def test_the_driver_as_a_job(tmp_path):
    submit_driver(Driver(Site(scheduler="slurm"), 1, tmp_path / "run", ("--version",)))
    end = time.monotonic() + 60
    while find_job_status(tmp_path / "run") != "gone" and time.monotonic() < end:
        time.sleep(0.5)
    (log,) = (tmp_path / "run" / "xdp-logs").iterdir()
    assert log.read_text().startswith("xdp 0.")
