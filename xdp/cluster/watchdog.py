"""Watching the jobs of a run: who is queued, who died, who is replaced, and when to give up, with the reasons."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xdp.cluster.commands import SchedulerError
from xdp.cluster.dialects import FAILED, QUEUED, RUNNING
from xdp.cluster.state import RunState
from xdp.errors import XdpError

if TYPE_CHECKING:
    from xdp.cluster.jobs import BatchCluster

log = logging.getLogger(__name__)

#: A new job may not be listed yet: so many seconds are left to the batch system.
GRACE = 10.0
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
    """

    connected: int
    queued: int
    running: int
    dead: dict[str, str]
    complaint: str = ""

    def __str__(self) -> str:
        text = f"{self.connected} workers, {self.queued} jobs queued, {self.running} starting"
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
    return Census(counts["connected"], counts[QUEUED], counts[RUNNING], dead, complaint)


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
                 interval: float = 5.0) -> None:
        """Watch `cluster`, which shall have `n_jobs` jobs, each replaced `replacements` times at most."""
        self.state = state or RunState(None, "")
        self.cluster = cluster
        self.wanted = n_jobs
        self.left = n_jobs * replacements
        self.interval = interval
        self.failures: list[str] = []
        self._buried: set[str] = set()
        self._seen: set[str] = set()
        self._end = threading.Event()
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
        jobs = {name: job for name, job in dict(self.cluster.workers).items() if name not in self._buried}
        found = census(jobs, connected, listed, complaint, self._seen, time.monotonic())
        self._seen |= set(listed or ())
        return found

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
            self._note(found)
            if found.connected:
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
        """Replace dead jobs while replacements are left, else go on with fewer."""
        if not found.dead:
            return
        for name, reason in found.dead.items():
            reason = self._reason(name) or reason
            self.failures.append(reason)
            self.state.failure(reason)
            refused = self.cluster.workers[name].job_id is None if name in self.cluster.workers else False
            if self.left > 0 and not refused:
                self.left -= 1
                log.warning("A worker is replaced: %s", reason)
            else:
                self.wanted -= 1
                log.warning("The run goes on with %d jobs: %s", self.wanted, reason)
            self._buried.add(name)
            self.cluster.worker_spec.pop(name, None)
        self.cluster.scale(self.wanted)

    def _reason(self, name: str) -> str:
        plan = self.cluster._job_kwargs["plan"]
        job = self.cluster.workers.get(name)
        if job is None or job.job_id is None:
            return ""
        said = ""
        with contextlib.suppress(SchedulerError):
            said = plan.dialect.reason(job.job_id, plan.site.command_timeout)
        said = said or last_words(plan.logs, job.job_id)
        return f"job {job.job_id} ended or was killed; it said: {said}" if said else ""

    def start(self) -> None:
        """Go on watching in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(timeout=60)

    def _watch(self) -> None:
        told = ""
        while not self._end.wait(self.interval):
            found = self.look()
            if self._end.is_set():
                return
            self._bury(found)
            self._note(found)
            if len(self.cluster.worker_spec) < self.wanted:  # workers that Dask itself gave up after they were lost
                self.cluster.scale(self.wanted)
            if found.connected + found.queued + found.running < self.wanted or str(found) != told:
                log.debug("Workers: %s", found)
            told = str(found)
