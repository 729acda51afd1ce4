"""How jobs are counted, and what is done about the dead."""

from __future__ import annotations

import concurrent.futures
import logging
import re
import threading
import time
from types import SimpleNamespace

import pytest

from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import FAILED, QUEUED, RUNNING
from xdp.cluster.batch.site import Site
from xdp.cluster.batch.watchdog import GRACE, Watchdog, census, last_words
from xdp.cluster.state import RunState
from xdp.errors import XdpError


def job(number, problem="", submitted=0.0):
    return SimpleNamespace(job_id=number, problem=problem, submitted=submitted)


def test_each_job_is_counted_once():
    jobs = {"a": job("1"), "b": job("2"), "c": job("3"), "d": job("4"), "e": job(None), "f": job("6")}
    found = census(jobs, {"a"}, {"1": RUNNING, "2": QUEUED, "3": RUNNING, "4": FAILED}, now=GRACE + 1)
    assert (found.connected, found.queued, found.running) == (1, 2, 1)
    assert found.dead == {"d": "job 4 is in an error state", "f": "job 6 ended or was killed"}
    assert str(found) == "1 workers, 2 jobs queued, 1 starting, 2 failed"


def test_a_new_job_is_given_time_to_be_listed():
    jobs = {"a": job("1", submitted=100.0)}
    assert census(jobs, set(), {}, now=101.0).dead == {}
    assert census(jobs, set(), {}, seen={"1"}, now=101.0).dead == {"a": "job 1 ended or was killed"}


def test_nobody_is_declared_dead_while_the_batch_system_is_silent():
    found = census({"a": job("1"), "b": job("2")}, set(), None, "qstat did not answer within 30 s", now=1e6)
    assert found.dead == {}
    assert str(found) == "0 workers, 2 jobs queued, 0 starting, 0 failed (qstat did not answer within 30 s)"


def test_a_refused_submission_is_quoted():
    found = census({"a": job(None, "qsub said: no such queue")}, set(), {})
    assert found.dead == {"a": "qsub said: no such queue"}


class FakeCluster:
    """What the watchdog sees of a cluster; jobs are submitted by the test."""

    def __init__(self, tmp_path, dialect, **keys):
        plan = SimpleNamespace(site=Site(scheduler="sge", **keys), dialect=dialect, logs=str(tmp_path))
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
    return SimpleNamespace(listed=listed, jobs=lambda timeout: dict(listed), reason=lambda job, timeout: "",
                           cancelled=cancelled, cancel_jobs=lambda ids, timeout: cancelled.extend(ids))


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
        dog._go_round()
        del dialect.listed[killed]
        dog._go_round()
    assert sorted(cluster.worker_spec) == ["w2"]  # the other's replacement is its own
    assert dog.wanted == 1
    del dialect.listed["2"]
    dog._go_round()
    assert sorted(cluster.worker_spec) == ["w4"]
    assert len(dog.state.data["failures"]) == 3
    assert dog.error is None


def test_a_run_without_jobs_ends_with_the_last_one_s_reason(running, dialect):
    _, dog = running(1, 0)
    dog._go_round()
    dialect.listed.clear()
    dog._go_round()
    assert re.match(r"no job is left, and cluster\.replace_jobs=0 allows no other; last failure: job 1 ended",
                    str(dog.error))


def test_a_run_without_workers_ends_when_patience_does(running):
    cluster, dog = running(2, 3, patience=60.0)
    call(cluster, "w1")
    dog._heard -= 61.0
    dog._go_round()
    call(cluster)
    dog._go_round()
    assert dog.error is None
    dog._heard -= 61.0
    dog._go_round()
    assert "no worker has been there for cluster.start_timeout=60 s: 0 workers, 0 jobs queued, 2 st" in str(dog.error)


def test_the_end_of_a_run_wakes_whoever_waits(running, dialect):
    _, dog = running(1, 0)
    dog.look()
    dialect.listed.clear()
    dog.interval = 0.05
    closed = threading.Event()

    def work():
        assert closed.wait(10)
        raise concurrent.futures.CancelledError  # as Dask's futures do

    with pytest.raises(XdpError, match="no job is left"), dog.guarding(SimpleNamespace(close=closed.set)):
        work()


def test_an_error_of_the_run_itself_passes_the_watchdog(running):
    _, dog = running(1, 0)
    with pytest.raises(ZeroDivisionError), dog.guarding(SimpleNamespace()):
        raise ZeroDivisionError


def test_a_retired_worker_is_replaced_and_is_no_failure(running, dialect, caplog):
    caplog.set_level(logging.INFO)
    cluster, dog = running(1, 0)
    for number in ("1", "2", "3"):
        call(cluster, f"w{number}")
        dog._go_round()
        call(cluster)
        cluster.visits.retired.add(f"w{number}")
        del dialect.listed[number]
        dog._go_round()
    assert list(cluster.worker_spec) == ["w4"]
    assert (dog.failures, dog.wanted, dog.look().failed) == ([], 1, 0)
    assert "A worker retired and is replaced: job 3" in caplog.text
    assert "killed" not in caplog.text


@pytest.mark.parametrize(("age", "n_failures"), [(0.6, 1), (0.8, 0)])
def test_the_end_of_the_walltime_is_no_failure(running, dialect, age, n_failures):
    cluster, dog = running(1, 1, walltime="01:00:00")
    call(cluster, "w1")
    dog._go_round()
    cluster.visits.since["w1"] -= age * 3600
    call(cluster)
    dialect.listed.clear()
    dog._go_round()
    assert len(dog.failures) == n_failures
    assert list(cluster.worker_spec) == ["w2"]


def test_a_lost_worker_is_replaced_though_its_job_is_listed(running, dialect):
    cluster, dog = running(2, 1)
    dog._go_round()
    del cluster.workers["w1"]  # as Dask does some time after it lost a worker
    dog._go_round()
    assert sorted(cluster.worker_spec) == ["w1", "w2"]
    dog._go_round()
    assert sorted(cluster.worker_spec) == ["w2", "w3"]
    assert dialect.cancelled == ["1"]
    assert dog.failures == ["the worker of job 1 was lost"]


def test_a_job_that_is_being_submitted_is_not_lost(running):
    cluster, dog = running(1, 1)
    cluster.worker_spec["w2"] = {}  # Dask lists it among its workers only when the batch system has answered
    dog.wanted = 2
    for _ in range(3):
        dog._go_round()
    assert sorted(cluster.worker_spec) == ["w1", "w2"]
    assert dog.failures == []


def test_a_refusal_that_may_pass_is_tried_again(running, dialect):
    """Also where nobody says that it will pass, if the same job was taken before; at the price of a replacement."""
    cluster, dog = running(2, 2)
    call(cluster, "w2")
    dog.wait_for_first(1)

    def refuse(made):
        made.job_id, made.problem = None, "sbatch said: no"

    accept, cluster.prepare = cluster.prepare, refuse
    del dialect.listed["1"]
    dog._go_round()
    dog._go_round()
    assert sorted(cluster.worker_spec) == ["w2"]
    assert dog.wanted == 2
    cluster.prepare = accept
    dog._go_round()
    assert sorted(cluster.worker_spec) == ["w2"]  # the batch system is left alone for a while
    dog._retry_at = 0.0
    dog._go_round()
    assert sorted(cluster.worker_spec) == ["w2", "w4"]
    dog._go_round()
    del dialect.listed["4"]
    dog._go_round()
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
        Watchdog(cluster, 1, 3).wait_for_first(0.3)


def test_fewer_workers_than_asked_are_told_once(running, caplog):
    caplog.set_level(logging.INFO)
    cluster, dog = running(2, 3)
    for _ in range(3):
        call(cluster, "w1")
        dog._go_round()
    assert caplog.messages == [
        "The run goes on with 1 of 2 workers: 1 workers, 0 jobs queued, 1 starting, 0 failed"]
    call(cluster, "w1", "w2")
    dog._go_round()
    assert caplog.messages[1:] == [
        "The run goes on with 2 of 2 workers: 2 workers, 0 jobs queued, 0 starting, 0 failed"]


def test_the_watch_outlives_whatever_a_look_raises(running, caplog):
    _, dog = running(1, 3)
    dog.interval, looks = 0.01, []

    def look():
        looks.append(1)
        raise BlockingIOError("no more processes")

    dog.look = look
    with dog.guarding(SimpleNamespace()):
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
        Watchdog(cluster, 2, 3).wait_for_first(30)
    assert len(cluster.workers) == 2


def test_patience_ends(tmp_path, dialect):
    cluster = FakeCluster(tmp_path, dialect)
    cluster.prepare = lambda made: dialect.listed.update({made.job_id: QUEUED})
    cluster.scale(3)
    with pytest.raises(XdpError, match=r"start_timeout=0\.3 s: 0 workers, 3 jobs queued, 0 starting, 0 failed"):
        Watchdog(cluster, 3, 3).wait_for_first(0.3)


def test_a_silent_batch_system_is_quoted(tmp_path, dialect):
    def silent(timeout):
        raise SchedulerError("qstat did not answer within 30 s")

    dialect.jobs = silent
    cluster = FakeCluster(tmp_path, dialect)
    cluster.scale(1)
    with pytest.raises(XdpError, match="qstat did not answer"):
        Watchdog(cluster, 1, 3).wait_for_first(0.3)


def test_last_words_come_from_the_jobs_own_log(tmp_path):
    (tmp_path / "xdp-worker.o12").write_text("a\n2026 - distributed.worker - INFO - talk\nImportError: no numba\n\n")
    (tmp_path / "xdp-worker.o1").write_text("other\n")
    (tmp_path / "xdp-worker.7.err").write_text("bash: module: command not found\n")
    assert last_words(str(tmp_path), "12") == "ImportError: no numba"
    assert last_words(str(tmp_path), "7.vm") == "bash: module: command not found"
    assert last_words(str(tmp_path), "99") == ""


LSF_HEAD = "------\nSender: LSF System <lsfadmin@vm>\n\nYour job looked like:\n# LSBATCH: User input\n# Error: none\n\n"
LSF_TAIL = "Resource usage summary:\n\n    Run time :   3 sec.\n\nThe output (if any) {}\n\n"
LSF_HINT = "\nPS:\n\nRead file <worker.12.err> for stderr output of this job.\n\n"


@pytest.mark.parametrize(
    ("logs", "words"),
    [
        ({"err": "ModuleNotFoundError: no ccp4\n", "out": "TERM_MEMLIMIT: job killed.\nExited with signal 9.\n\n"},
         "TERM_MEMLIMIT: job killed."),
        ({"err": "Traceback\nModuleNotFoundError: no ccp4\n", "out": "Exited with exit code 1.\n\n"},
         "ModuleNotFoundError: no ccp4"),
        ({"err": "no module named ccp4\n", "out": "Exited with exit code 1.\n\n"}, "no module named ccp4"),
        ({"out": "Exited with exit code 1.\n\n"}, "Exited with exit code 1."),
    ],
)
@pytest.mark.parametrize("place", ["follows:", "is above this job summary."])
def test_last_words_of_lsf(tmp_path, logs, words, place):
    for name, text in logs.items():
        report = f"{LSF_HEAD}{text}{LSF_TAIL.format(place)}{LSF_HINT}" if name == "out" else text
        (tmp_path / f"worker.12.{name}").write_text(report)
    assert last_words(str(tmp_path), "12") == words


def test_last_words_beside_lsf_s_report(tmp_path):
    """One file for both, with output after the report or before it."""
    report = f"{LSF_HEAD}Exited with exit code 1.\n\n{LSF_TAIL}"
    (tmp_path / "worker.12.out").write_text(report.format("follows:") + "no module named ccp4\n")
    (tmp_path / "worker.13.out").write_text("no module named ccp4\n\n" + report.format("is above this job summary."))
    assert {last_words(str(tmp_path), job) for job in ("12", "13")} == {"no module named ccp4"}


def test_an_error_tells_more_than_what_comes_after_it(tmp_path):
    (tmp_path / "worker.13.out").write_text(
        "slurmstepd: error: Detected 1 oom_kill event in StepId=13.batch.\n2026 - distributed - WARNING - closing\n"
        "/usr/lib/python3.11/multiprocessing/resource_tracker.py:224: UserWarning: 1 leaked\n"
        "  warnings.warn('resource_tracker: There appear to be 1 leaked semaphore objects')\n")
    assert last_words(str(tmp_path), "13") == "slurmstepd: error: Detected 1 oom_kill event in StepId=13.batch."
    (tmp_path / "worker.14.out").write_text("good bye\n  warnings.warn('x')\nPS: Read file <worker.14.err> for it.\n")
    assert last_words(str(tmp_path), "14") == "good bye"
