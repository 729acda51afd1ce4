"""Watching the jobs of a run: who is queued, who died, who is replaced, and when to give up, with the reasons."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import FAILED, QUEUED, RUNNING
from xdp.cluster.state import RunState
from xdp.errors import XdpError

if TYPE_CHECKING:
    from distributed import Client

    from xdp.cluster.batch.jobs import BatchCluster

log = logging.getLogger(__name__)

#: A new job may not be listed yet: so many seconds are left to the batch system.
GRACE = 10.0
#: Seconds between two looks at the jobs of a run under way.
INTERVAL = 5.0
#: The part of its walltime after which a worker that goes has retired, see jobs.lifetime_words.
_RETIRED_AFTER = 0.7
#: What a batch system says that is busy or away; other refusals will not be taken back.
_PASSING = re.compile(r"did not answer|time[d -]*out|temporar|try(ing)? again|connect|contact|communicat|commlib|"
                      r"\brespond|busy|is down|zero bytes", re.IGNORECASE)
#: What tells why a job ended, the best first, and in how many lines from the end of a log.
_TELLING = (
    (re.compile(r"^TERM_\w+"), 1000),
    (re.compile(r"MemoryError|[Ee]rror:|\boom\b|oom[-_]kill|\bKilled\b|exceeded"), 40),
    (re.compile(r"^(?!Exited with)"), 20),
    (re.compile(r"^Exited with"), 1000),
)
#: LSF's report in a job's log, before or after the job's own output, and what of it may tell.
_REPORT = re.compile(r"^Sender: LSF System.*?^The output \(if any\)[^\n]*$", re.DOTALL | re.MULTILINE)
_VERDICT = re.compile(r"^(?:TERM_|Exited with).*$", re.MULTILINE)
_NOISE = re.compile(r" - INFO - |^PS:|^Read file <|^-+$|resource_tracker|^warnings\.warn\(")


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
    """

    connected: int
    queued: int
    running: int
    dead: dict[str, str]
    complaint: str = ""
    failed: int = 0

    def __str__(self) -> str:
        text = f"{self.connected} workers, {self.queued} jobs queued, {self.running} starting, {self.failed} failed"
        return f"{text} ({self.complaint})" if self.complaint else text


def census(jobs: Mapping[str, Any], connected: set[str], listed: dict[str, str] | None, complaint: str = "",
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
    seen : set of str
        Ids that were listed before: if they no longer are, they have ended.
    now : float
        Monotonic time, seconds.
    """
    counts: Counter[str] = Counter()
    dead: dict[str, str] = {}
    for name, job in jobs.items():
        state = None if listed is None or job.job_id is None else listed.get(job.job_id)
        if job.problem and job.job_id is None:
            dead[name] = job.problem
        elif name in connected:
            counts["connected"] += 1
        elif listed is None or job.job_id is None:
            counts[QUEUED] += 1
        elif state == FAILED:
            dead[name] = f"job {job.job_id} is in an error state"
        elif state is None and (job.job_id in seen or now - job.submitted > GRACE):
            dead[name] = f"job {job.job_id} ended or was killed"
        else:
            counts[state or QUEUED] += 1
    return Census(counts["connected"], counts[QUEUED], counts[RUNNING], dead, complaint, len(dead))


def last_words(folder: str, job: str) -> str:
    """The line of a job's logs that tells best why it ended: LSF's verdict, an error, else the last; empty if none."""
    number = re.sub(r"[^0-9].*", "", job)
    logs: list[list[str]] = []
    for path in sorted(Path(folder).glob(f"*{number}*")):
        if re.search(rf"(?<![0-9]){number}(?![0-9])", path.name):
            with contextlib.suppress(OSError):
                text = path.read_text(encoding="utf-8", errors="replace")
                text = _REPORT.sub(lambda report: "\n".join(_VERDICT.findall(report[0])), text)
                lines = map(str.strip, text.splitlines())
                logs.append([line for line in lines if line and not _NOISE.search(line)])
    for pattern, depth in _TELLING:
        for line in (line for lines in reversed(logs) for line in reversed(lines[-depth:])):
            if pattern.search(line):
                return line[:300]
    return ""


class Watchdog:
    """Keeps a cluster at its size while a run lasts."""

    def __init__(self, cluster: BatchCluster, n_jobs: int, replacements: int, state: RunState | None = None,
                 interval: float | None = None, patience: float = 300.0) -> None:
        """Watch `cluster`, which shall have `n_jobs` jobs, each replaced `replacements` times at most.

        The run ends after `patience` seconds without any worker, or any job that waits for its turn.
        """
        self.state = state or RunState(None, "")
        self.cluster = cluster
        self.asked = self.wanted = n_jobs
        self.replacements = replacements
        self.interval = interval or INTERVAL
        self.patience = patience
        self.failures: list[str] = []
        self.error: XdpError | None = None
        self.jobs: dict[str, Any] = {}  # all there ever were, by name
        self._tries: dict[str, int] = {}  # how many jobs of its place failed before the one of this name
        self._heirs: list[int] = []  # the same for jobs that are still to be made
        self._retry_at = 0.0
        self._begun = False
        self._buried: set[str] = set()
        self._absent: set[str] = set()
        self._seen: set[str] = set()
        self._listed: set[str] = set()
        self._heard = time.monotonic()
        self._told = n_jobs
        self._end = threading.Event()
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._watch, name="xdp-watchdog", daemon=True)

    def look(self) -> Census:
        """Ask both schedulers."""
        plan = self.cluster._job_kwargs["plan"]
        listed, complaint = None, ""
        try:
            listed = plan.dialect.jobs(plan.site.command_timeout)
        except SchedulerError as error:
            complaint = str(error)
        connected = {str(state.name) for state in self._connected().values()}
        workers = dict(self.cluster.workers)
        self.jobs.update(workers)
        jobs = {name: job for name, job in workers.items() if name not in self._buried}
        found = census(jobs, connected, listed, complaint, self._seen, time.monotonic())
        known = listed or {}  # asked for each id as it was submitted: PBS lists shortened ones
        self._listed = {job.job_id for job in list(self.jobs.values()) if job.job_id and job.job_id in known}
        self._seen |= self._listed
        dead = found.dead | self._lost(workers)
        return replace(found, dead=dead, failed=len(self.failures) + sum(not self._retired(name) for name in dead))

    def _lost(self, workers: Mapping[str, Any]) -> dict[str, str]:
        """Jobs that Dask gave up when their worker fell silent, though the batch system may list them still.

        They must be missing twice; one that was never there is still being submitted.
        """
        absent = {name for name in list(self.cluster.worker_spec) if name in self.jobs and name not in workers}
        lost, self._absent = absent & self._absent, absent
        return {name: f"the worker of job {self.jobs[name].job_id} was lost" for name in lost - self._buried}

    def _retired(self, name: str) -> bool:
        """Whether a worker that is gone left as planned, or at least so late that its walltime was nearly over."""
        visits, walltime = self.cluster.visits, self.cluster._job_kwargs["plan"].site.walltime_seconds
        if name in visits.retired:
            return True
        since = visits.since.get(name)
        return bool(walltime and since is not None and time.monotonic() - since > _RETIRED_AFTER * walltime)

    def wait_for_first(self, timeout: float) -> None:
        """Wait until one worker is there, saying now and then how the jobs stand.

        Raises
        ------
        XdpError
            If submissions are refused, all jobs died, or `timeout` seconds passed; with the batch system's words.
        """
        end, told, pause = time.monotonic() + timeout, "", 0.2
        while True:
            found = self.look()
            self._bury(found)
            self._fill()
            self._note(found)
            if found.connected:
                self._begun = True
                self._heard = time.monotonic()
                self._tell(found, told)
                return
            if found.dead and not self.wanted:
                raise XdpError(f"no job could be started: {self.failures[-1]}")
            if time.monotonic() > end:
                raise XdpError(f"no worker started within cluster.start_timeout={timeout:g} s: {found}{self._last()}")
            told = self._tell(found, told)
            # the batch system is asked now and then, Dask's own scheduler, in this process, all the time
            self._wait_for_call(min(time.monotonic() + pause, end))
            pause = min(2 * pause, self.interval)

    def _wait_for_call(self, until: float) -> None:
        """Wait until a worker calls, or until the monotonic time `until`."""
        while time.monotonic() < until and not self._connected():
            time.sleep(0.05)

    def _connected(self) -> dict[str, Any]:
        """The workers of Dask's scheduler, by address."""
        scheduler: Any = self.cluster.scheduler
        return dict(scheduler.workers)

    def _note(self, found: Census) -> None:
        """Tell the state file of the workers and the jobs."""
        jobs = [job.job_id for job in list(self.cluster.workers.values()) if job.job_id]
        if (found.connected, jobs) != (self.state.data["workers"], self.state.data["jobs"]):
            self.state.update(workers=found.connected, jobs=jobs)

    def _last(self) -> str:
        return f"; last failure: {self.failures[-1]}" if self.failures else ""

    def _tell(self, found: Census, told: str) -> str:
        text = str(found)
        if text != told and found != Census(0, 0, 0, {}):
            log.info("Waiting for workers: %s" if not found.connected else "%s", text)
        return text

    def _bury(self, found: Census) -> None:
        """Put away dead jobs: each makes room for another while replacements are left, else for none."""
        for name, reason in found.dead.items():
            tries, job = self._tries.get(name, 0), self.jobs[name]
            if self._retired(name):
                log.info("A worker retired and is replaced: job %s", job.job_id)
                self._heirs.append(tries)
            else:
                self._mourn(reason, job, tries)
            self._buried.add(name)
            self.cluster.worker_spec.pop(name, None)
            if name not in self.cluster.workers and job.job_id in self._listed:  # Dask has forgotten it
                plan = self.cluster._job_kwargs["plan"]
                with contextlib.suppress(SchedulerError):
                    plan.dialect.cancel_jobs([job.job_id], plan.site.command_timeout)
        if found.dead:
            self.cluster.scale(len(self.cluster.worker_spec))  # Dask ends what was put away

    def _mourn(self, reason: str, job: Any, tries: int) -> None:
        """Note a failure and whether it will be made good."""
        reason = f"{reason}{self._said(job)}"
        self.failures.append(reason)
        self.state.failure(reason)
        refused = job.job_id is None
        if tries >= self.replacements or (refused and not self._begun and not _PASSING.search(reason)):
            self.wanted -= 1
            log.warning("The run goes on with %d jobs: %s", self.wanted, reason)
            return
        self._heirs.append(tries + 1)
        if refused:
            pause = min(5.0 * 4**tries, 300.0)
            self._retry_at = max(self._retry_at, time.monotonic() + pause)
            log.warning("A job is submitted again in %g s: %s", pause, reason)
        else:
            log.warning("A worker is replaced: %s", reason)

    def _fill(self) -> None:
        """Submit jobs for those that are missing, unless the batch system shall be left alone for a while."""
        if len(self.cluster.worker_spec) < self.wanted and time.monotonic() >= self._retry_at:
            before = set(self.cluster.worker_spec)
            self.cluster.scale(self.wanted)
            for name in set(self.cluster.worker_spec) - before:
                self._tries[name] = self._heirs.pop() if self._heirs else 0

    def _said(self, job: Any) -> str:
        """What the batch system or the job itself said at its end."""
        plan = self.cluster._job_kwargs["plan"]
        if job.job_id is None:
            return ""
        said = ""
        with contextlib.suppress(SchedulerError):
            said = plan.dialect.reason(job.job_id, plan.site.command_timeout)
        said = said or last_words(plan.logs, job.job_id)
        return f"; it said: {said}" if said else ""

    @contextlib.contextmanager
    def guarding(self, client: Client) -> Iterator[None]:
        """Go on watching in a thread of its own while the block runs, which uses `client`.

        Raises
        ------
        XdpError
            If no worker is left to wait for. `client` is closed then, so that whatever waits for it wakes up.
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
        """Stop watching."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=60)

    def _watch(self) -> None:
        stumbled = ""
        while self.error is None and not self._end.wait(self.interval):
            try:
                self._go_round()
            except Exception as error:  # whatever it is, the next look may be better, and without any the run may hang
                if repr(error) != stumbled:
                    log.warning("A look at the jobs failed, the next one comes: %r", error)
                stumbled = repr(error)
        if self.error is not None and self._client is not None:
            with contextlib.suppress(Exception):  # it may be closed already, or close in part only
                self._client.close()

    def _go_round(self) -> None:
        """Look once, and do what has to be done."""
        found = self.look()
        if self._end.is_set():
            return
        self._bury(found)
        self._fill()
        self._note(found)
        if found.connected != self._told:
            log.info("The run goes on with %d of %d workers: %s", found.connected, self.asked, found)
        self._told = found.connected
        self._give_up_if_alone(found)

    def _give_up_if_alone(self, found: Census) -> None:
        """End the run if nobody works and nobody will; what waits in a queue that answers will."""
        if found.connected or (self.wanted and found.queued and not found.complaint):
            self._heard = time.monotonic()
        elif not self.wanted:
            self.error = XdpError(f"no job is left, and cluster.replace_jobs={self.replacements} allows no other"
                                  f"{self._last()}; the run may be started again")
        elif time.monotonic() - self._heard > self.patience:
            self.error = XdpError(f"no worker has been there for cluster.start_timeout={self.patience:g} s: {found}"
                                  f"{self._last()}; the run may be started again")
