"""Dask workers as batch jobs: dask-jobqueue's cluster with scripts, commands and error messages of our own.

dask-jobqueue asks for neither slots nor memory on SGE, never looks at the queue, and hangs where a submission is
refused (see Notes of :class:`BatchJob`); what is kept of it is the cluster that counts workers and makes jobs.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.config
from distributed.diagnostics.plugin import SchedulerPlugin

from xdp.cluster.batch.dialects import Dialect, Request
from xdp.cluster.batch.jobqueue import Job, JobQueueCluster
from xdp.cluster.batch.site import Site
from xdp.cluster.environment import make_worker_environment
from xdp.errors import XdpError

# dask-jobqueue looks up each of these even if it is given; ours never come from its configuration files
_SECTION: dict[str, Any] = {
    "name": "xdp", "cores": None, "memory": None, "processes": 1, "python": None, "interface": None,
    "death-timeout": None, "local-directory": None, "shared-temp-directory": None, "extra": None,
    "worker-command": "distributed.cli.dask_worker", "worker-extra-args": [], "job-extra": None,
    "job-extra-directives": [], "job-script-prologue": [], "env-extra": None, "header-skip": None,
    "job-directives-skip": [], "log-directory": None, "shebang": "#!/bin/bash", "scheduler-options": {},
}


_NO_PAGES = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
"""Options of workers: they show nothing to the network; the dashboard of the scheduler shows what they do."""


@dataclass
class Submissions:
    """What became of the submissions of a run.

    Attributes
    ----------
    ids : set of str
        Jobs that the batch system took and whose ids are known.
    n_pending : int
        Submissions that have not been answered yet.
    lost_at : float or None
        Monotonic time of the last one that ended without an id: it hung and was given up, or failed in words that do
        not tell whether the job was taken. Such a job may come up in the queue later.
    """

    ids: set[str] = field(default_factory=set)
    n_pending: int = 0
    lost_at: float | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def submit(self, plan: WorkerPlan, script: str) -> str:
        """Submit a job, and count it as pending until the batch system has answered.

        It counts by itself, since the one who waits for the answer may be gone when it comes: Dask gives up the jobs
        that are being submitted when its cluster closes, but the batch system's command goes on.

        Parameters
        ----------
        plan : WorkerPlan
            Of the run.
        script : str
            The job's.

        Returns
        -------
        str
            The job's id.

        Raises
        ------
        XdpError, OSError
            If it is refused, or cannot be asked for.
        """
        path = ""
        with self._changed:
            self.n_pending += 1
        try:
            handle, path = tempfile.mkstemp(prefix="xdp-worker-", suffix=".sh")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(script)
            job = plan.dialect.submit_script(script, path, plan.site.command_timeout)
            self.ids.add(str(job))
            return job
        except (XdpError, OSError):
            self.lost_at = time.monotonic()
            raise
        finally:
            if path:
                Path(path).unlink(missing_ok=True)
            with self._changed:
                self.n_pending -= 1
                self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until each submission has been answered, for some seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self.n_pending == 0, seconds)


@dataclass(frozen=True)
class WorkerPlan:
    """How each job of workers looks.

    Attributes
    ----------
    site : Site
    dialect : Dialect
    cores : int
        Of a job.
    logs : str
        Folder of the jobs' logs.
    job_name : str
        One for all jobs of a run and for no others, so that those are found whose ids are not known.
    submissions : Submissions
        What became of them so far.
    """

    site: Site
    dialect: Dialect
    cores: int
    logs: str
    job_name: str = "xdp-worker"
    submissions: Submissions = field(default_factory=Submissions, compare=False)

    def make_request(self, command: str) -> Request:
        """The job that runs a worker by `command`."""
        return Request(self.job_name, command, self.cores, self.site.memory_bytes, self.logs,
                       make_worker_environment(self.site.kernel_cache))


def make_lifetime_options(walltime: int | None) -> list[str]:
    """Options that make workers retire before the batch system kills them, not all at the same time.

    They end between 75 and 95 % of the walltime, so that their results move to others and replacements can start.
    """
    if walltime is None:
        return []
    return ["--lifetime", f"{int(0.85 * walltime)}s", "--lifetime-stagger", f"{int(0.1 * walltime)}s"]


class BatchJob(Job):
    """One job with one worker process in it.

    Notes
    -----
    A refused submission is kept in `problem` for the watchdog instead of being raised: dask-jobqueue would log a
    traceback and leave the client waiting for ever.
    """

    config_name = "xdp"
    cancel_command: str = ""  # type: ignore[assignment]

    def __init__(self, scheduler: str | None = None, name: str | None = None, *, plan: WorkerPlan, **kwargs: Any):
        super().__init__(scheduler=scheduler, name=name, **kwargs)
        self.plan = plan
        self.cancel_command = shlex.join(plan.dialect.cancel_command)
        self.job_header = ""
        self.problem = ""
        self.submitted = 0.0

    def job_script(self) -> str:
        """Make the script of the job, with Dask's own command for a worker.

        It replaces the shell (exec), so that the batch system's signals reach the worker itself.
        """
        return self.plan.dialect.make_script(self.plan.make_request(f"exec {self._command_template}"), self.plan.site)

    async def start(self) -> None:
        """Submit the job in a thread, since Dask's event loop must not wait for the batch system.

        A failure is kept in `problem`; Dask goes on.
        """
        try:
            self.job_id = await asyncio.to_thread(self.plan.submissions.submit, self.plan, self.job_script())
        except (XdpError, OSError) as error:  # a full /tmp, no more processes: as much a reason as a refusal
            self.problem = str(error)
        self.submitted = time.monotonic()
        await super(Job, self).start()

    async def close(self) -> None:
        """Cancel the job, if it was ever submitted.

        A batch system that does not answer is noted in `problem`; the end of the run cancels by name again.
        """
        if self.job_id:
            site, dialect = self.plan.site, self.plan.dialect
            try:
                await asyncio.to_thread(dialect.cancel_jobs, [self.job_id], site.command_timeout)
            except XdpError as error:
                self.problem = str(error)
        await super(Job, self).close()


class Visits(SchedulerPlugin):
    """Remembers when each worker called first, and which ones left as planned.

    Attributes
    ----------
    since : dict of float
        Name of a worker -> monotonic time.
    retired : set of str
        Names of workers whose lifetime was over.
    """

    name = "xdp-visits"

    def __init__(self) -> None:
        """Nobody has called yet."""
        self.since: dict[str, float] = {}
        self.retired: set[str] = set()
        self._names: dict[str, str] = {}

    def add_worker(self, scheduler: Any, worker: str) -> None:
        """Note the time at which a worker calls from the address `worker` for the first time."""
        self._names[worker] = str(scheduler.workers[worker].name)
        self.since.setdefault(self._names[worker], time.monotonic())

    def remove_worker(self, scheduler: Any, worker: str, *, stimulus_id: str = "", **kwargs: Any) -> None:
        """Note that a worker retires.

        Parameters
        ----------
        scheduler : distributed.Scheduler
            Given by Dask, as are further arguments, which are not looked at.
        worker : str
            Its address.
        stimulus_id : str
            Dask's name of what made it leave.
        """
        if stimulus_id.startswith("worker-close-gracefully") and worker in self._names:
            self.retired.add(self._names[worker])


class BatchCluster(JobQueueCluster):
    """A scheduler in this process and workers in batch jobs.

    Attributes
    ----------
    visits : Visits
        Who called and who retired.
    """

    job_cls = BatchJob

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As JobQueueCluster."""
        super().__init__(*args, **kwargs)
        self.visits = Visits()
        scheduler: Any = self.scheduler
        scheduler.add_plugin(self.visits)

    def new_worker_spec(self) -> dict:
        """A new job, by a name that none had before: a reused one would be taken for the job that died."""
        self._i += 1
        return super().new_worker_spec()


def make_cluster(plan: WorkerPlan, *, security: Any, dashboard: str | None) -> BatchCluster:
    """Start Dask's scheduler in this process; no job yet.

    Parameters
    ----------
    plan : WorkerPlan
        How each job looks.
    security : distributed.Security or None
        Certificates of the run; None: plain TCP.
    dashboard : str or None
        Where the dashboard listens, ``host:port``; None: there is none.

    Returns
    -------
    BatchCluster
        Whose ``scale(n)`` submits jobs.
    """
    site = plan.site
    dask.config.update_defaults({"jobqueue": {"xdp": _SECTION}})
    # the pages of a scheduler without a dashboard are served all the same: on this machine only, then
    options: dict[str, Any] = {"dashboard_address": dashboard or "127.0.0.1:0", "dashboard": dashboard is not None}
    if site.host:
        options["host"] = site.host
    elif site.interface:
        options["interface"] = site.interface
    return BatchCluster(
        plan=plan,
        cores=plan.cores,
        memory=f"{site.memory_bytes or 0}B",
        processes=1,
        python=site.python or sys.executable,
        interface=site.interface,
        death_timeout=site.death_timeout,
        local_directory=f'"{site.scratch}"',
        log_directory=plan.logs,
        # the last --memory-limit holds: where none is asked for, a worker finds out what it may use
        worker_extra_args=[*_NO_PAGES, *make_lifetime_options(site.walltime_seconds),
                           *(["--memory-limit", "auto"] if site.memory_bytes is None else [])],
        security=security,
        protocol="tcp://" if security is None else "tls://",
        scheduler_options=options,
        silence_logs="critical",
        name=f"xdp-{os.getpid()}",
    )
