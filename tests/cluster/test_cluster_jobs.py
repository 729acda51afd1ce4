"""Workers' job scripts."""

from __future__ import annotations

import pytest

from xdp.cluster.dialects import DIALECTS
from xdp.cluster.jobs import WorkerPlan, lifetime_words, make_cluster
from xdp.cluster.security import make_credentials, security_from
from xdp.cluster.site import Site


def test_workers_retire_before_the_walltime_and_apart():
    assert lifetime_words(None) == []
    words = lifetime_words(3600)
    assert words == ["--lifetime", "3060s", "--lifetime-stagger", "360s"]


@pytest.fixture
def script(tmp_path):
    def make(**keys):
        site = Site(scheduler="sge", host="127.0.0.1", **keys)
        security = security_from(make_credentials(tmp_path / "tls"))
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
