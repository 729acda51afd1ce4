"""How jobs are counted, and what is done about the dead."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from xdp.cluster.commands import SchedulerError
from xdp.cluster.dialects import FAILED, QUEUED, RUNNING
from xdp.cluster.site import Site
from xdp.cluster.state import RunState
from xdp.cluster.watchdog import GRACE, Watchdog, census, last_words
from xdp.errors import XdpError


def job(number, problem="", submitted=0.0):
    return SimpleNamespace(job_id=number, problem=problem, submitted=submitted)


def test_each_job_is_counted_once():
    jobs = {"a": job("1"), "b": job("2"), "c": job("3"), "d": job("4"), "e": job(None), "f": job("6")}
    found = census(jobs, {"a"}, {"1": RUNNING, "2": QUEUED, "3": RUNNING, "4": FAILED}, now=GRACE + 1)
    assert (found.connected, found.queued, found.running) == (1, 2, 1)
    assert found.dead == {"d": "job 4 is in an error state", "f": "job 6 ended or was killed"}
    assert str(found) == "1 workers, 2 jobs queued, 1 starting"


def test_a_new_job_is_given_time_to_be_listed():
    jobs = {"a": job("1", submitted=100.0)}
    assert census(jobs, set(), {}, now=101.0).dead == {}
    assert census(jobs, set(), {}, seen={"1"}, now=101.0).dead == {"a": "job 1 ended or was killed"}


def test_nobody_is_declared_dead_while_the_batch_system_is_silent():
    found = census({"a": job("1"), "b": job("2")}, set(), None, "qstat did not answer within 30 s", now=1e6)
    assert found.dead == {}
    assert str(found) == "0 workers, 2 jobs queued, 0 starting (qstat did not answer within 30 s)"


def test_a_refused_submission_is_quoted():
    found = census({"a": job(None, "qsub said: no such queue")}, set(), {})
    assert found.dead == {"a": "qsub said: no such queue"}


class FakeCluster:
    """What the watchdog sees of a cluster; jobs are submitted by the test."""

    def __init__(self, tmp_path, dialect):
        plan = SimpleNamespace(site=Site(scheduler="sge"), dialect=dialect, logs=str(tmp_path))
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
    return SimpleNamespace(listed=listed, jobs=lambda timeout: dict(listed), reason=lambda job, timeout: "")


def test_a_killed_job_is_replaced_so_many_times_and_no_more(tmp_path, dialect):
    cluster = FakeCluster(tmp_path, dialect)
    cluster.prepare = lambda made: dialect.listed.update({made.job_id: RUNNING})
    cluster.scale(2)
    dog = Watchdog(cluster, 2, 1, RunState(None, "x"))
    for killed in ("1", "2"):
        dog._bury(dog.look())
        del dialect.listed[killed]
        dog._bury(dog.look())
    assert sorted(cluster.worker_spec) == ["w3", "w4"]
    assert dog.wanted == 2
    dog._bury(dog.look())
    del dialect.listed["3"]
    dog._bury(dog.look())
    assert dog.wanted == 1
    assert len(dog.state.data["failures"]) == 3


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
    with pytest.raises(XdpError, match=r"start_timeout=0\.3 s: 0 workers, 3 jobs queued, 0 starting"):
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
