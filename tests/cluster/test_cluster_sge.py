"""xdp on a real Grid Engine: the same bytes as at home, whatever is killed; errors at once; no job left behind."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from cluster_runs import DRMAA, left_in_queue, need_drmaa, same, xdp

from xdp.cluster import ClusterOptions, MpOptions, connect
from xdp.cluster.environment import MEMORY
from xdp.cluster.state import RunState, read_state
from xdp.errors import XdpError

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("sge")]


METHOD = ["mp.method=sge", "mp.njobs=2", "chunksize=2"]


@pytest.fixture(autouse=True)
def _no_job_is_left():
    """After each test the queue is empty, within the seconds that qdel takes."""
    yield
    assert left_in_queue("sge") == {}


def test_the_bytes_of_the_local_run(series, run_folder):
    xdp("find_spots", "imported.expt", *METHOD, cwd=run_folder)
    assert same(series, run_folder)
    state = read_state(run_folder)
    assert (state["status"], state["scheduler"], len(state["past_jobs"])) == ("done", "sge", 2)
    assert "480 of 480" in xdp("status", cwd=run_folder).stdout
    assert not list(run_folder.glob("*.pem"))
    assert not list((Path.home() / ".xdp").glob(f"tls-*-{state['pid']}-*"))


def test_workers_get_what_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.yaml").write_text("scheduler: sge\nmemory: 6GB\nwalltime: '0:10:00'\nvariables: {SITE: here}\n")

    def look():
        import resource

        import distributed

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        lifetime = distributed.get_worker().lifetime
        return os.environ["NSLOTS"], limit, os.environ["SITE"], os.environ["MALLOC_TRIM_THRESHOLD_"], lifetime

    options = ClusterOptions(config="site.yaml", dashboard="none")
    with connect(MpOptions(method="sge", nproc=2), options) as client:
        slots, limit, site, trim, lifetime = client.submit(look).result(60)
        threads = list(client.nthreads().values())
        listing = subprocess.run(["qstat", "-r"], capture_output=True, text=True, check=True).stdout
    assert (slots, site, trim, threads) == ("2", "here", MEMORY["MALLOC_TRIM_THRESHOLD_"], [2])
    assert 6e9 <= limit < 6.01e9  # h_vmem is limited for all slots together, in whole MiB
    assert 0.7 * 600 < lifetime < 0.96 * 600
    assert "h_rt=600" in listing
    assert any(re.match(r"xdp-worker-[b-z]{4}\.o", path.name) for path in (tmp_path / "xdp-logs").iterdir())


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("queue: nope.q", r'no job could be started: qsub said: .*unknown queue "nope\.q"'),
        ("parallel_environment: mpi9", r'qsub said: .*parallel environment "mpi9" does not exist'),
        ("cores: 99", r"start_timeout=6 s: 0 workers, 1 jobs queued, 0 starting"),
        ("prologue: ['echo no such module >&2; exit 3']", "ended or was killed; it said: no such module"),
    ],
)
def test_what_is_wrong_is_said_in_time(tmp_path, monkeypatch, site, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.yaml").write_text(f"scheduler: sge\n{site}\n")
    options = ClusterOptions(config="site.yaml", start_timeout=6, replace_jobs=0)
    start = time.monotonic()
    with pytest.raises(XdpError, match=message), connect(MpOptions(method="sge", nproc=2), options):
        pass
    assert time.monotonic() - start < 60


def test_the_command_says_it_in_one_line(run_folder):
    done = xdp("find_spots", "imported.expt", *METHOD, "queue=nope.q", cwd=run_folder, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "unknown queue" in done.stderr
    assert read_state(run_folder)["status"] == "failed"
    assert not (run_folder / "strong.refl").exists()


def test_a_run_with_fewer_workers_goes_on_and_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "xdp")
    state = RunState(None, "x")
    with connect(MpOptions(method="sge", njobs=9), ClusterOptions(dashboard="none"), state) as client:
        assert client.submit(sum, [1, 2]).result(60) == 3
    assert re.search(r"\b[1-8] workers, [1-9] jobs queued", caplog.text)


def test_the_driver_as_a_job(series, tmp_path):
    out = tmp_path / "run"
    done = xdp("submit", "--cluster", "sge", "-o", out, "-r", "69", "--", "find_spots",
               f"{series}/imported.expt", "output.reflections=r{run}.refl", "chunksize=2", cwd=tmp_path)
    assert "xdp status" in done.stdout
    second = xdp("submit", "--cluster", "sge", "-o", out, "--", "find_spots", cwd=tmp_path, check=False)
    assert second.returncode == 1
    assert "is under way; xdp cancel" in second.stderr
    end = time.monotonic() + 120
    while not (out / "r69.refl").exists() and time.monotonic() < end:
        time.sleep(0.2)
    assert (out / "r69.refl").read_bytes() == (series / "local.refl").read_bytes()
    while "done" not in xdp("status", out, cwd=tmp_path).stdout and time.monotonic() < end:
        time.sleep(0.2)
    assert "480 of 480" in xdp("status", out, cwd=tmp_path).stdout
    assert "Saved" in xdp("logs", out, cwd=tmp_path).stdout


def test_drmaa_gives_the_same_bytes(series, run_folder):
    need_drmaa()
    words = ["find_spots", "imported.expt", "mp.method=drmaa", "mp.njobs=2", "chunksize=2"]
    xdp(*words, cwd=run_folder, **DRMAA)
    assert same(series, run_folder)
    done = xdp(*words, "queue=nope.q", "output.reflections=x.refl", cwd=run_folder, check=False, **DRMAA)
    assert done.returncode == 1
    assert "DRMAA said: " in done.stderr
    assert "unknown queue" in done.stderr
