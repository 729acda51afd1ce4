"""Watching the jobs of a run: dead ones are replaced, and the run ends, with the reasons, where none is left."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xdp.cluster.batch.census import Census, count_jobs
from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import QUEUED
from xdp.cluster.batch.job_logs import find_reason_in_logs
from xdp.cluster.state import RunState
from xdp.errors import XdpError

if TYPE_CHECKING:
    from distributed import Client

    from xdp.cluster.batch.jobs import BatchCluster

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two looks at the jobs of a run under way. A choice: a dead job is noticed soon, and many drivers do
not burden the batch system."""
_FIRST_PAUSE = 0.2
"""Seconds between the first two looks of a run that waits for its first worker; each further pause is twice as long,
up to :data:`INTERVAL`. A refusal is seen at once."""
_CALL_PAUSE = 0.05
"""Seconds between two looks at Dask's scheduler, which is in this process and costs nothing to ask."""
_WAITING_INTERVAL = 60.0
"""Seconds between two questions why a job waits, once workers are there: it is less urgent then, and some batch systems
answer it slowly."""
_LONGEST_REASON = 300
"""Letters of such a reason that are quoted: Grid Engine names every host."""
_STRAY_TIME = 300.0
"""Seconds for which jobs are looked for whose submission was given up. A choice: daemons that hang are restarted, or
answer again, within minutes; what comes later ends by death_timeout, and at the end of the run all are looked for."""
_RETIRED_AFTER = 0.7
"""The part of its walltime after which a worker that goes has retired: they are told to go between 0.75 and 0.95, see
``jobs.make_lifetime_options``."""
_RETRY_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
"""Seconds before a refused job is submitted again: four times as many after each further refusal, up to the longest.
Choices: a scheduler that restarts is back in less than the sum."""
_PASSING = re.compile(r"did not answer|time[d -]*out|temporar|try(ing)? again|connect|contact|communicat|commlib|"
                      r"\brespond|busy|is down|zero bytes", re.IGNORECASE)
"""What a batch system says that is busy or away; it will not take back other refusals."""


class Watchdog:
    """Keeps a cluster at its size while a run lasts."""

    def __init__(self, cluster: BatchCluster, n_jobs: int, replacements: int, state: RunState | None = None,
                 interval: float | None = None, patience: float = 300.0) -> None:
        """Watch a cluster.

        Parameters
        ----------
        cluster : BatchCluster
            Dask's scheduler with its jobs.
        n_jobs : int
            Jobs that it shall have.
        replacements : int
            How often each of them may be replaced.
        state : RunState, optional
            Learns of workers, jobs and failures.
        interval : float, optional
            Seconds between two looks, by default :data:`INTERVAL`.
        patience : float
            The run ends after so many seconds without any worker, or any job that waits for its turn.
        """
        self.state = state or RunState(None, "")
        self.cluster = cluster
        self.asked = self.wanted = n_jobs
        self.replacements = replacements
        self.interval = interval or INTERVAL
        self.patience = patience
        self.failures: list[str] = []
        self.error: XdpError | None = None
        self.jobs: dict[str, Any] = {}  # all there ever were, by the name of the worker
        # a job and its replacements share one place of the cluster: failures are counted for each place
        self._failures_of_place: dict[str, int] = {}  # name of a worker -> jobs of its place that failed before it
        self._places_to_fill: list[int] = []  # the same number, for places whose next job is still to be made
        self._retry_at = 0.0
        self._has_started = False
        self._removed: set[str] = set()
        self._missing_once: set[str] = set()
        self._ever_listed: set[str] = set()
        self._listed: set[str] = set()
        self._last_worker_at = time.monotonic()
        self._logged_workers = n_jobs
        self._waiting = ""
        self._waiting_asked_at = -_WAITING_INTERVAL
        self._end = threading.Event()
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._watch, name="xdp-watchdog", daemon=True)

    def take_census(self) -> Census:
        """Ask Dask's scheduler and the batch system how the jobs stand.

        Returns
        -------
        Census
            `dead` has only jobs that were not removed before. Where the batch system does not answer, its complaint is
            quoted and nobody is dead.
        """
        plan = self.cluster._job_kwargs["plan"]
        listed, complaint = None, ""
        try:
            listed = plan.dialect.list_jobs(plan.site.command_timeout)
        except SchedulerError as error:
            complaint = str(error)
        connected = {str(worker.name) for worker in self._list_workers().values()}
        workers = dict(self.cluster.workers)
        self.jobs.update(workers)
        jobs = {name: job for name, job in workers.items() if name not in self._removed}
        found = count_jobs(jobs, connected, listed, complaint, self._ever_listed, time.monotonic())
        if listed is not None:
            self._cancel_strays(listed)
            found = replace(found, waiting=self._find_waiting_reason(found, jobs, listed))
        known = listed or {}  # asked for each id as it was submitted: PBS lists shortened ones
        self._listed = {job.job_id for job in list(self.jobs.values()) if job.job_id and job.job_id in known}
        self._ever_listed |= self._listed
        dead = found.dead | self._find_lost_jobs(workers)
        failed = len(self.failures) + sum(not self._has_retired(name) for name in dead)
        return replace(found, dead=dead, failed=failed)

    def _find_waiting_reason(self, found: Census, jobs: Mapping[str, Any], listed: Mapping[str, str]) -> str:
        """Why the first job that waits does so; asked now and then only."""
        if not found.queued:
            self._waiting = ""
            return ""
        pause = _WAITING_INTERVAL if found.connected else min(self.interval, INTERVAL)
        if time.monotonic() - self._waiting_asked_at < pause:
            return self._waiting
        self._waiting_asked_at = time.monotonic()
        first = next((job.job_id for job in jobs.values() if job.job_id and listed.get(job.job_id) == QUEUED), None)
        if first is None:
            return self._waiting
        plan, reason = self.cluster._job_kwargs["plan"], ""
        with contextlib.suppress(SchedulerError):
            reason = plan.dialect.find_waiting_reason(first, plan.site.command_timeout)[:_LONGEST_REASON]
        self._waiting = f"job {first} waits: {reason}" if reason else ""
        return self._waiting

    def _cancel_strays(self, listed: Mapping[str, str]) -> None:
        """Cancel jobs of this run that were taken after their submission had been given up."""
        plan = self.cluster._job_kwargs["plan"]
        submissions = plan.submissions
        # one that is just being submitted has no known id either
        if submissions.lost_at is None or submissions.n_pending:
            return
        if time.monotonic() - submissions.lost_at > _STRAY_TIME:
            submissions.lost_at = None
            return
        with contextlib.suppress(SchedulerError):
            named = plan.dialect.find_jobs_by_name(plan.job_name, plan.site.command_timeout)
            known = set(map(plan.dialect.shorten_id, submissions.ids))
            strays = [job for job in named if plan.dialect.shorten_id(job) not in known]
            if strays and not submissions.n_pending:
                log.warning("Cancelled, since their submission had been given up: job %s", ", ".join(strays))
                plan.dialect.cancel_jobs(strays, plan.site.command_timeout)

    def _find_lost_jobs(self, workers: Mapping[str, Any]) -> dict[str, str]:
        """Jobs that Dask gave up when their worker fell silent, though the batch system may list them still.

        They must be missing twice; one that was never there is still being submitted.
        """
        missing = {name for name in list(self.cluster.worker_spec) if name in self.jobs and name not in workers}
        lost, self._missing_once = missing & self._missing_once, missing
        return {name: f"the worker of job {self.jobs[name].job_id} was lost" for name in lost - self._removed}

    def _has_retired(self, name: str) -> bool:
        """Whether a worker that is gone left as planned, or at least so late that its walltime was nearly over."""
        visits, walltime = self.cluster.visits, self.cluster._job_kwargs["plan"].site.walltime_seconds
        if name in visits.retired:
            return True
        since = visits.since.get(name)
        return bool(walltime and since is not None and time.monotonic() - since > _RETIRED_AFTER * walltime)

    def wait_for_first_worker(self, timeout: float) -> None:
        """Wait until one worker is there, and log now and then how the jobs stand.

        Parameters
        ----------
        timeout : float
            Seconds.

        Raises
        ------
        XdpError
            If submissions are refused, all jobs died, or `timeout` seconds passed; with the batch system's words.
        """
        end, logged, pause = time.monotonic() + timeout, "", _FIRST_PAUSE
        while True:
            found = self.take_census()
            self._remove_dead_jobs(found)
            self._submit_missing_jobs()
            self._update_state(found)
            if found.connected:
                self._has_started = True
                self._last_worker_at = time.monotonic()
                self._log_census(found, logged)
                return
            if found.dead and not self.wanted:
                raise XdpError(f"no job could be started: {self.failures[-1]}")
            if time.monotonic() > end:
                raise XdpError(f"no worker started within cluster.start_timeout={timeout:g} s: {found}"
                               f"{self._quote_last_failure()}")
            logged = self._log_census(found, logged)
            # the batch system is asked now and then, Dask's own scheduler, in this process, all the time
            self._wait_for_worker(min(time.monotonic() + pause, end))
            pause = min(2 * pause, self.interval)

    def _wait_for_worker(self, until: float) -> None:
        """Wait until a worker calls, or until the monotonic time `until`."""
        while time.monotonic() < until and not self._list_workers():
            time.sleep(_CALL_PAUSE)

    def _list_workers(self) -> dict[str, Any]:
        """The workers of Dask's scheduler, by address."""
        scheduler: Any = self.cluster.scheduler
        return dict(scheduler.workers)

    def _update_state(self, found: Census) -> None:
        """Write the number of workers and the ids of the jobs into the state file, if they are new."""
        jobs = [job.job_id for job in list(self.cluster.workers.values()) if job.job_id]
        fields = {"workers": found.connected, "jobs": jobs, "waiting": found.waiting}
        if any(self.state.data[name] != value for name, value in fields.items()):
            self.state.update(**fields)

    def _quote_last_failure(self) -> str:
        return f"; last failure: {self.failures[-1]}" if self.failures else ""

    def _log_census(self, found: Census, logged: str) -> str:
        """Log how the jobs stand, unless it was `logged` last time; the text."""
        text = str(found)
        if text != logged and found != Census(0, 0, 0, {}):
            log.info("Waiting for workers: %s" if not found.connected else "%s", text)
        return text

    def _remove_dead_jobs(self, found: Census) -> None:
        """Remove dead jobs from the cluster: each makes room for another while its replacements last."""
        for name, reason in found.dead.items():
            failed_before, job = self._failures_of_place.get(name, 0), self.jobs[name]
            if self._has_retired(name):
                log.info("A worker retired and is replaced: job %s", job.job_id)
                self._places_to_fill.append(failed_before)
            else:
                self._record_failure(reason, job, failed_before)
            self._removed.add(name)
            self.cluster.worker_spec.pop(name, None)
            if name not in self.cluster.workers and job.job_id in self._listed:  # Dask has forgotten it
                plan = self.cluster._job_kwargs["plan"]
                with contextlib.suppress(SchedulerError):
                    plan.dialect.cancel_jobs([job.job_id], plan.site.command_timeout)
        if found.dead:
            self.cluster.scale(len(self.cluster.worker_spec))  # Dask ends what was removed

    def _record_failure(self, reason: str, job: Any, failed_before: int) -> None:
        """Log a failure and note its place for another job, or give the place up after too many failures."""
        reason = f"{reason}{self._quote_reason(job)}"
        self.failures.append(reason)
        self.state.add_failure(reason)
        refused = job.job_id is None
        # before the first worker a refusal is a mistake of the site's file; later the same request was taken before
        if failed_before >= self.replacements or (refused and not self._has_started and not _PASSING.search(reason)):
            self.wanted -= 1
            log.warning("The run goes on with %d jobs: %s", self.wanted, reason)
            return
        self._places_to_fill.append(failed_before + 1)
        if refused:
            pause = min(_RETRY_PAUSE * 4**failed_before, _LONGEST_PAUSE)
            self._retry_at = max(self._retry_at, time.monotonic() + pause)
            log.warning("A job is submitted again in %g s: %s", pause, reason)
        else:
            log.warning("A worker is replaced: %s", reason)

    def _submit_missing_jobs(self) -> None:
        """Submit jobs for those that are missing, unless the batch system shall be left alone for a while."""
        if len(self.cluster.worker_spec) < self.wanted and time.monotonic() >= self._retry_at:
            before = set(self.cluster.worker_spec)
            self.cluster.scale(self.wanted)
            for name in set(self.cluster.worker_spec) - before:
                self._failures_of_place[name] = self._places_to_fill.pop() if self._places_to_fill else 0

    def _quote_reason(self, job: Any) -> str:
        """What the batch system or the job itself said at its end."""
        plan = self.cluster._job_kwargs["plan"]
        if job.job_id is None:
            return ""
        said = ""
        with contextlib.suppress(SchedulerError):
            said = plan.dialect.find_reason(job.job_id, plan.site.command_timeout)
        said = said or find_reason_in_logs(plan.logs, job.job_id)
        return f"; it said: {said}" if said else ""

    @contextlib.contextmanager
    def watch_during(self, client: Client) -> Iterator[None]:
        """Watch in a thread of its own while the block runs.

        Parameters
        ----------
        client : distributed.Client
            The one that the block uses. It is closed where no worker is left, so that whatever waits for it wakes up.

        Raises
        ------
        XdpError
            If no worker is left to wait for.
        """
        self._client = client
        self._thread.start()
        try:
            yield
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a task that was cancelled need not be an Exception
            self.stop()
            if self.error is None:
                raise
            raise self.error from error
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop watching; the thread is waited for, so that nothing is submitted any more."""
        self._end.set()
        if self._thread.is_alive():
            # a look takes as long as the batch system's commands may
            self._thread.join(timeout=60)

    def _watch(self) -> None:
        """Look at the jobs again and again until the run ends; close the client where it cannot go on."""
        last_problem = ""
        while self.error is None and not self._end.wait(self.interval):
            try:
                self._check_once()
            except Exception as error:  # whatever it is, the next look may be better, and without any the run may hang
                if repr(error) != last_problem:
                    log.warning("A look at the jobs failed, the next one comes: %r", error)
                last_problem = repr(error)
        if self.error is not None and self._client is not None:
            with contextlib.suppress(Exception):  # it may be closed already, or close in part only
                self._client.close()

    def _check_once(self) -> None:
        """Look once, and do what has to be done."""
        found = self.take_census()
        if self._end.is_set():
            return
        self._remove_dead_jobs(found)
        self._submit_missing_jobs()
        self._update_state(found)
        if found.connected != self._logged_workers:
            log.info("The run goes on with %d of %d workers: %s", found.connected, self.asked, found)
        self._logged_workers = found.connected
        self._give_up_without_workers(found)

    def _give_up_without_workers(self, found: Census) -> None:
        """End the run if nobody works and nobody will; what waits in a queue that answers will."""
        if found.connected or (self.wanted and found.queued and not found.complaint):
            self._last_worker_at = time.monotonic()
        elif not self.wanted:
            self.error = XdpError(f"no job is left, and cluster.replace_jobs={self.replacements} allows no other"
                                  f"{self._quote_last_failure()}; the run may be started again")
        elif time.monotonic() - self._last_worker_at > self.patience:
            self.error = XdpError(f"no worker has been there for cluster.start_timeout={self.patience:g} s: {found}"
                                  f"{self._quote_last_failure()}; the run may be started again")
