"""How the jobs of a run stand, by what Dask's scheduler and the batch system say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xdp.cluster.batch.dialects import FAILED, QUEUED, RUNNING

GRACE = 10.0
"""Seconds that a batch system has to list a new job: some list it only after their next cycle. A choice, above the
seconds that Grid Engine and Slurm took here."""


@dataclass(frozen=True)
class Census:
    """How the jobs of a run stand.

    Attributes
    ----------
    connected, queued, running : int
        Workers that work; jobs that wait; jobs that run whose worker has not called yet.
    dead : dict of str
        Workers whose job is gone or refused, with the reason.
    complaint : str
        What the batch system said instead of listing the jobs; empty if it answered.
    failed : int
        Jobs that failed, since the run began.
    waiting : str
        Why the jobs wait, in the batch system's words; empty if that is not known or none waits.
    """

    connected: int
    queued: int
    running: int
    dead: dict[str, str]
    complaint: str = ""
    failed: int = 0
    waiting: str = ""

    def __str__(self) -> str:
        text = f"{self.connected} workers, {self.queued} jobs queued, {self.running} starting, {self.failed} failed"
        if self.complaint:
            text = f"{text} ({self.complaint})"
        return f"{text}; {self.waiting}" if self.waiting else text


def count_jobs(jobs: Mapping[str, Any], connected: set[str], listed: Mapping[str, str] | None, complaint: str = "",
               seen: frozenset[str] | set[str] = frozenset(), now: float = 0.0) -> Census:
    """Count the jobs, by what the scheduler of Dask and that of the site say.

    Parameters
    ----------
    jobs : dict
        Name of a worker -> its job.
    connected : set of str
        Names of the workers that Dask's scheduler knows.
    listed : dict or None
        Id of a job -> its state; None if the batch system did not answer, and nobody is declared dead then.
    complaint : str
        What it said instead of an answer.
    seen : set of str
        Ids that were listed before: if they no longer are, they have ended.
    now : float
        Monotonic time, seconds.

    Returns
    -------
    Census
    """
    counts: Counter[str] = Counter()
    dead: dict[str, str] = {}
    for name, job in jobs.items():
        state = None if listed is None or job.job_id is None else listed.get(job.job_id)
        if job.problem and job.job_id is None:
            dead[name] = job.problem
        elif name in connected:
            # a worker that works is alive, whatever the batch system says of its job
            counts["connected"] += 1
        elif listed is None or job.job_id is None:
            # no answer, or the submission is under way: neither is a death
            counts[QUEUED] += 1
        elif state == FAILED:
            dead[name] = f"job {job.job_id} is in an error state"
        elif state is None and (job.job_id in seen or now - job.submitted > GRACE):
            dead[name] = f"job {job.job_id} ended or was killed"
        else:
            counts[state or QUEUED] += 1
    return Census(counts["connected"], counts[QUEUED], counts[RUNNING], dead, complaint, len(dead))
