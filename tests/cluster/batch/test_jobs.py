"""Workers' job scripts."""

from __future__ import annotations

import asyncio
import tempfile
from types import SimpleNamespace

import pytest

from xdp.cluster.batch.dialects import DIALECTS
from xdp.cluster.batch.jobs import BatchJob, Visits, WorkerPlan, make_cluster, make_lifetime_options
from xdp.cluster.batch.site import Site
from xdp.cluster.security import load_security, make_credentials


def test_workers_retire_before_the_walltime_and_apart():
    assert make_lifetime_options(None) == []
    words = make_lifetime_options(3600)
    assert words == ["--lifetime", "3060s", "--lifetime-stagger", "360s"]


@pytest.fixture
def script(tmp_path):
    def make(**keys):
        site = Site(scheduler="sge", host="127.0.0.1", **keys)
        security = load_security(make_credentials(tmp_path / "tls"))
        plan = WorkerPlan(site, DIALECTS["sge"], 4, str(tmp_path / "logs"))
        with make_cluster(plan, security=security, dashboard=None) as cluster:
            return cluster.job_script()

    return make


def test_the_worker_of_a_job(script, tmp_path):
    line = script(walltime="01:00:00", scratch="${SCRATCH:-/tmp}", python="/opt/python").splitlines()[-1]
    assert line.startswith("exec /opt/python -m distributed.cli.dask_worker tls://127.0.0.1:")
    for words in ("--nthreads 4", "--memory-limit 3.73GiB", "--nanny", "--death-timeout 60.0", "--lifetime 3060s",
                  '--local-directory "${SCRATCH:-/tmp}"', "--no-dashboard", "--protocol tls://",
                  f"--tls-ca-file {tmp_path}/tls/tls-"):
        assert words in line, words
    assert "PRIVATE KEY" not in line


def test_each_job_has_a_name_of_its_own(tmp_path):
    site = Site(scheduler="sge", host="127.0.0.1")
    with make_cluster(WorkerPlan(site, DIALECTS["sge"], 1, str(tmp_path)), security=None, dashboard=None) as cluster:
        names = [next(iter(cluster.new_worker_spec())) for _ in range(3)]
    assert len(set(names)) == 3


def test_a_full_disk_is_a_reason_like_a_refusal(tmp_path, monkeypatch):
    site = Site(scheduler="sge", host="127.0.0.1")
    plan = WorkerPlan(site, DIALECTS["sge"], 1, str(tmp_path))
    job = BatchJob("tls://127.0.0.1:1", "a", plan=plan, cores=1, memory="1GB")

    def full(**kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    asyncio.run(job.start())
    assert job.job_id is None
    assert "No space left on device" in job.problem


def test_visits_tell_who_retired():
    """By the words of Dask's worker when its lifetime is over; nobody else retires."""
    visits = Visits()
    scheduler = SimpleNamespace(workers={f"tls://h:{i}": SimpleNamespace(name=f"w{i}") for i in (1, 2, 3)})
    for address in scheduler.workers:
        visits.add_worker(scheduler, address)
    since = dict(visits.since)
    visits.remove_worker(scheduler, "tls://h:1", stimulus_id="worker-close-gracefully-1795278355.4")
    visits.remove_worker(scheduler, "tls://h:2", stimulus_id="handle-worker-cleanup-1795278355.4")
    visits.remove_worker(scheduler, "tls://h:3", stimulus_id="retire-workers-1795278355.4")
    assert visits.retired == {"w1"}
    visits.add_worker(scheduler, "tls://h:2")
    assert visits.since == since
    assert set(since) == {"w1", "w2", "w3"}
