"""How the jobs of a run are counted."""

from __future__ import annotations

from types import SimpleNamespace

from xdp.cluster.batch.census import GRACE, Census, count_jobs
from xdp.cluster.batch.dialects import FAILED, QUEUED, RUNNING


def job(number, problem="", submitted=0.0):
    return SimpleNamespace(job_id=number, problem=problem, submitted=submitted)


def test_each_job_is_counted_once():
    jobs = {"a": job("1"), "b": job("2"), "c": job("3"), "d": job("4"), "e": job(None), "f": job("6")}
    found = count_jobs(jobs, {"a"}, {"1": RUNNING, "2": QUEUED, "3": RUNNING, "4": FAILED}, now=GRACE + 1)
    assert (found.connected, found.queued, found.running) == (1, 2, 1)
    assert found.dead == {"d": "job 4 is in an error state", "f": "job 6 ended or was killed"}
    assert str(found) == "1 workers, 2 jobs queued, 1 starting, 2 failed"


def test_a_new_job_is_given_time_to_be_listed():
    jobs = {"a": job("1", submitted=100.0)}
    assert count_jobs(jobs, set(), {}, now=101.0).dead == {}
    assert count_jobs(jobs, set(), {}, seen={"1"}, now=101.0).dead == {"a": "job 1 ended or was killed"}


def test_nobody_is_declared_dead_while_the_batch_system_is_silent():
    found = count_jobs({"a": job("1"), "b": job("2")}, set(), None, "qstat did not answer within 30 s", now=1e6)
    assert found.dead == {}
    assert str(found) == "0 workers, 2 jobs queued, 0 starting, 0 failed (qstat did not answer within 30 s)"


def test_a_refused_submission_is_quoted():
    found = count_jobs({"a": job(None, "qsub said: no such queue")}, set(), {})
    assert found.dead == {"a": "qsub said: no such queue"}


def test_the_reason_of_waiting_stands_at_the_end():
    found = Census(0, 2, 0, {}, "", 0, "job 7 waits: Resources")
    assert str(found) == "0 workers, 2 jobs queued, 0 starting, 0 failed; job 7 waits: Resources"
