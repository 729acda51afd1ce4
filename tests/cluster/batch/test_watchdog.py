"""What the watchdog does about jobs that die, are refused, retire or wait."""

from __future__ import annotations

import concurrent.futures
import logging
import re
import threading
import time
from types import SimpleNamespace

import pytest

from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import QUEUED, RUNNING
from xdp.cluster.batch.jobs import Submissions
from xdp.cluster.batch.site import Site
from xdp.cluster.batch.watchdog import Watchdog
from xdp.cluster.state import RunState
from xdp.errors import XdpError


def job(number, problem="", submitted=0.0):
    return SimpleNamespace(job_id=number, problem=problem, submitted=submitted)


class FakeCluster:
    """What the watchdog sees of a cluster; jobs are submitted by the test."""

    def __init__(self, tmp_path, dialect, **keys):
        plan = SimpleNamespace(site=Site(scheduler="sge", **keys), dialect=dialect, logs=str(tmp_path),
                               job_name="xdp-worker-kfzt", submissions=Submissions())
        self.visits = SimpleNamespace(since={}, retired=set())
        self._job_kwargs = {"plan": plan}
        self.workers, self.worker_spec = {}, {}
        self.scheduler = SimpleNamespace(workers={})
        self.numbers = iter(range(1, 100))
        self.prepare = lambda made: None

    def scale(self, n):
        while len(self.worker_spec) < n:
            number = str(next(self.numbers))
            self.worker_spec[f"w{number}"] = {}
            made = job(number, submitted=time.monotonic())
            self.workers[f"w{number}"] = made
            self.prepare(made)


@pytest.fixture
def dialect():
    listed = {}
    cancelled = []
    return SimpleNamespace(listed=listed, list_jobs=lambda timeout: dict(listed), find_reason=lambda job, timeout: "",
                           find_waiting_reason=lambda job, timeout: "", find_jobs_by_name=lambda name, timeout: [],
                           shorten_id=str, cancelled=cancelled, cancel_jobs=lambda ids, timeout: cancelled.extend(ids))


@pytest.fixture
def running(tmp_path, dialect):
    """Makes a cluster whose jobs run as soon as they are submitted, and its watchdog."""

    def make(n_jobs, replacements, patience=300.0, **keys):
        cluster = FakeCluster(tmp_path, dialect, **keys)
        cluster.prepare = lambda made: dialect.listed.update({made.job_id: RUNNING})
        cluster.scale(n_jobs)
        return cluster, Watchdog(cluster, n_jobs, replacements, RunState(None, "x"), patience=patience)

    return make


def call(cluster, *names):
    """Let these workers, and no others, be connected."""
    cluster.scheduler.workers = {name: SimpleNamespace(name=name) for name in names}
    cluster.visits.since |= dict.fromkeys(names, time.monotonic())


def test_each_job_is_replaced_so_many_times_and_no_more(running, dialect):
    cluster, dog = running(2, 1)
    for killed in ("1", "3"):
        dog._check_once()
        del dialect.listed[killed]
        dog._check_once()
    assert sorted(cluster.worker_spec) == ["w2"]  # the other's replacement is its own
    assert dog.wanted == 1
    del dialect.listed["2"]
    dog._check_once()
    assert sorted(cluster.worker_spec) == ["w4"]
    assert len(dog.state.data["failures"]) == 3
    assert dog.error is None


def test_a_run_without_jobs_ends_with_the_last_one_s_reason(running, dialect):
    _, dog = running(1, 0)
    dog._check_once()
    dialect.listed.clear()
    dog._check_once()
    assert re.match(r"no job is left, and cluster\.replace_jobs=0 allows no other; last failure: job 1 ended",
                    str(dog.error))


def test_a_run_without_workers_ends_when_patience_does(running):
    cluster, dog = running(2, 3, patience=60.0)
    call(cluster, "w1")
    dog._last_worker_at -= 61.0
    dog._check_once()
    call(cluster)
    dog._check_once()
    assert dog.error is None
    dog._last_worker_at -= 61.0
    dog._check_once()
    assert "no worker has been there for cluster.start_timeout=60 s: 0 workers, 0 jobs queued, 2 st" in str(dog.error)


def test_the_end_of_a_run_wakes_whoever_waits(running, dialect):
    _, dog = running(1, 0)
    dog.take_census()
    dialect.listed.clear()
    dog.interval = 0.05
    closed = threading.Event()

    def work():
        assert closed.wait(10)
        raise concurrent.futures.CancelledError  # as Dask's futures do

    with pytest.raises(XdpError, match="no job is left"), dog.watch_during(SimpleNamespace(close=closed.set)):
        work()


def test_an_error_of_the_run_itself_passes_the_watchdog(running):
    _, dog = running(1, 0)
    with pytest.raises(ZeroDivisionError), dog.watch_during(SimpleNamespace()):
        raise ZeroDivisionError


def test_a_retired_worker_is_replaced_and_is_no_failure(running, dialect, caplog):
    caplog.set_level(logging.INFO)
    cluster, dog = running(1, 0)
    for number in ("1", "2", "3"):
        call(cluster, f"w{number}")
        dog._check_once()
        call(cluster)
        cluster.visits.retired.add(f"w{number}")
        del dialect.listed[number]
        dog._check_once()
    assert list(cluster.worker_spec) == ["w4"]
    assert (dog.failures, dog.wanted, dog.take_census().failed) == ([], 1, 0)
    assert "A worker retired and is replaced: job 3" in caplog.text
    assert "killed" not in caplog.text


@pytest.mark.parametrize(("age", "n_failures"), [(0.6, 1), (0.8, 0)])
def test_the_end_of_the_walltime_is_no_failure(running, dialect, age, n_failures):
    cluster, dog = running(1, 1, walltime="01:00:00")
    call(cluster, "w1")
    dog._check_once()
    cluster.visits.since["w1"] -= age * 3600
    call(cluster)
    dialect.listed.clear()
    dog._check_once()
    assert len(dog.failures) == n_failures
    assert list(cluster.worker_spec) == ["w2"]


def test_a_lost_worker_is_replaced_though_its_job_is_listed(running, dialect):
    cluster, dog = running(2, 1)
    dog._check_once()
    del cluster.workers["w1"]  # as Dask does some time after it lost a worker
    dog._check_once()
    assert sorted(cluster.worker_spec) == ["w1", "w2"]
    dog._check_once()
    assert sorted(cluster.worker_spec) == ["w2", "w3"]
    assert dialect.cancelled == ["1"]
    assert dog.failures == ["the worker of job 1 was lost"]


def test_a_job_that_is_being_submitted_is_not_lost(running):
    cluster, dog = running(1, 1)
    cluster.worker_spec["w2"] = {}  # Dask lists it among its workers only when the batch system has answered
    dog.wanted = 2
    for _ in range(3):
        dog._check_once()
    assert sorted(cluster.worker_spec) == ["w1", "w2"]
    assert dog.failures == []


def test_a_refusal_that_may_pass_is_tried_again(running, dialect):
    """Also where nobody says that it will pass, if the same job was taken before; at the price of a replacement."""
    cluster, dog = running(2, 2)
    call(cluster, "w2")
    dog.wait_for_first_worker(1)

    def refuse(made):
        made.job_id, made.problem = None, "sbatch said: no"

    accept, cluster.prepare = cluster.prepare, refuse
    del dialect.listed["1"]
    dog._check_once()
    dog._check_once()
    assert sorted(cluster.worker_spec) == ["w2"]
    assert dog.wanted == 2
    cluster.prepare = accept
    dog._check_once()
    assert sorted(cluster.worker_spec) == ["w2"]  # the batch system is left alone for a while
    dog._retry_at = 0.0
    dog._check_once()
    assert sorted(cluster.worker_spec) == ["w2", "w4"]
    dog._check_once()
    del dialect.listed["4"]
    dog._check_once()
    assert dog.wanted == 1  # two replacements were all


@pytest.mark.parametrize("said", ["sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
                                  "qsub did not answer within 30 s", "LSF is down. Please wait ...",
                                  "error: commlib error: got select error (Connection refused)"])
def test_a_batch_system_that_is_busy_is_asked_again_from_the_start(tmp_path, dialect, said):
    cluster = FakeCluster(tmp_path, dialect)

    def refuse(made):
        made.job_id, made.problem = None, said

    cluster.prepare = refuse
    cluster.scale(1)
    with pytest.raises(XdpError, match=r"start_timeout=0\.3 s: .*1 failed; last failure: " + re.escape(said)):
        Watchdog(cluster, 1, 3).wait_for_first_worker(0.3)


def test_fewer_workers_than_asked_are_logged_once(running, caplog):
    caplog.set_level(logging.INFO)
    cluster, dog = running(2, 3)
    for _ in range(3):
        call(cluster, "w1")
        dog._check_once()
    assert caplog.messages == [
        "The run goes on with 1 of 2 workers: 1 workers, 0 jobs queued, 1 starting, 0 failed"]
    call(cluster, "w1", "w2")
    dog._check_once()
    assert caplog.messages[1:] == [
        "The run goes on with 2 of 2 workers: 2 workers, 0 jobs queued, 0 starting, 0 failed"]


def test_the_watch_outlives_whatever_a_look_raises(running, caplog):
    _, dog = running(1, 3)
    dog.interval, looks = 0.01, []

    def look():
        looks.append(1)
        raise BlockingIOError("no more processes")

    dog.take_census = look
    with dog.watch_during(SimpleNamespace()):
        end = time.monotonic() + 10
        while len(looks) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    assert len(looks) >= 3
    assert len([text for text in caplog.messages if "no more processes" in text]) == 1


def test_a_refusal_is_not_tried_again(tmp_path, dialect):
    cluster = FakeCluster(tmp_path, dialect)

    def refuse(made):
        made.job_id, made.problem = None, "qsub said: unknown queue"

    cluster.prepare = refuse
    cluster.scale(2)
    with pytest.raises(XdpError, match="no job could be started: qsub said: unknown queue"):
        Watchdog(cluster, 2, 3).wait_for_first_worker(30)
    assert len(cluster.workers) == 2


def test_patience_ends(tmp_path, dialect):
    cluster = FakeCluster(tmp_path, dialect)
    cluster.prepare = lambda made: dialect.listed.update({made.job_id: QUEUED})
    cluster.scale(3)
    with pytest.raises(XdpError, match=r"start_timeout=0\.3 s: 0 workers, 3 jobs queued, 0 starting, 0 failed"):
        Watchdog(cluster, 3, 3).wait_for_first_worker(0.3)


def test_a_silent_batch_system_is_quoted(tmp_path, dialect):
    def silent(timeout):
        raise SchedulerError("qstat did not answer within 30 s")

    dialect.list_jobs = silent
    cluster = FakeCluster(tmp_path, dialect)
    cluster.scale(1)
    with pytest.raises(XdpError, match="qstat did not answer"):
        Watchdog(cluster, 1, 3).wait_for_first_worker(0.3)


def test_why_jobs_wait_is_said_early_and_in_the_error(tmp_path, dialect, caplog):
    caplog.set_level(logging.INFO)
    dialect.find_waiting_reason = lambda job, timeout: f"not enough slots for {job}"
    cluster = FakeCluster(tmp_path, dialect)
    cluster.prepare = lambda made: dialect.listed.update({made.job_id: QUEUED})
    cluster.scale(2)
    dog = Watchdog(cluster, 2, 3)
    with pytest.raises(XdpError, match=r"2 jobs queued, .* 0 failed; job 1 waits: not enough slots for 1$"):
        dog.wait_for_first_worker(0.3)
    assert caplog.messages[0] == ("Waiting for workers: 0 workers, 2 jobs queued, 0 starting, 0 failed; "
                                  "job 1 waits: not enough slots for 1")
    assert dog.state.data["waiting"] == "job 1 waits: not enough slots for 1"
    dialect.listed["1"] = dialect.listed["2"] = RUNNING
    assert dog.take_census().waiting == ""


def test_the_batch_system_is_not_asked_all_the_time_why_jobs_wait(tmp_path, dialect):
    asked = []
    dialect.find_waiting_reason = lambda job, timeout: asked.append(job) or "Resources"
    cluster = FakeCluster(tmp_path, dialect)
    cluster.prepare = lambda made: dialect.listed.update({made.job_id: QUEUED})
    cluster.scale(2)
    dog = Watchdog(cluster, 2, 3)
    assert {dog.take_census().waiting for _ in range(5)} == {"job 1 waits: Resources"}
    assert asked == ["1"]


def test_a_job_whose_submission_was_given_up_is_cancelled_when_it_comes_up(running, dialect, caplog):
    cluster, dog = running(1, 3)
    submissions = cluster._job_kwargs["plan"].submissions
    submissions.ids = {"1"}
    named = ["1", "77"]
    dialect.find_jobs_by_name = lambda name, timeout: named if name == "xdp-worker-kfzt" else []
    dog.take_census()
    assert dialect.cancelled == []  # nothing was given up
    submissions.lost_at, submissions.n_pending = time.monotonic(), 1
    dog.take_census()
    assert dialect.cancelled == []  # 77 may be the one whose id is just coming
    submissions.n_pending = 0
    dog.take_census()
    assert dialect.cancelled == ["77"]
    assert "Cancelled, since their submission had been given up: job 77" in caplog.text
    named.append("78")
    submissions.lost_at -= 1e4
    dog.take_census()
    assert dialect.cancelled == ["77"]
