"""The state file of a run: what stage it is in, how far, how fast, and what failed; read by ``xdp status``.

One JSON file beside the run's output, replaced at most once a second by rename, so that it can be read at any time,
from any machine that sees the folder, during the run and after it. It is written anew now and then even where nothing
is new: by that, a run that died on another machine differs from one whose chunks take long. While one run writes it,
others in the same folder do not.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import xdp
from xdp.errors import XdpError
from xdp.work.progress import Advance

FILE_NAME = "xdp-state.json"
"""The state file, beside a run's output."""
VARIABLE = "XDP_STATE"
"""Environment variable that names the state file of the run below a driver job."""
HEARTBEAT = 30.0
"""Seconds between two signs of life. A choice: rare enough for a network file system."""
_SILENT_AFTER = 120.0
"""Seconds without a sign of life after which a run is taken for lost: four of them, of which a slow file system may
delay or lose some."""


class RunState:
    """The state of the run of this process; with `path` None nothing is written.

    Examples
    --------
    >>> state = RunState(None, "find_spots")
    >>> with state.record_run(), state.record_stage(10, "threshold") as advance:
    ...     advance(3)
    >>> state.data["status"], state.data["stages"][0]["done"]
    ('done', 3)
    """

    def __init__(self, path: str | os.PathLike | None, command: str, interval: float = 1.0) -> None:
        """Keep the state of `command` in the file at `path`, written every `interval` seconds at most."""
        self.path = None if path is None else Path(path).absolute()
        self.interval = interval
        self._written = 0.0
        self._problem = ""
        self._is_ours = VARIABLE in os.environ  # one submitted job a folder; if it is requeued, it follows itself
        self._lock = threading.Lock()
        self.lost_run = self._read_lost_run()
        now = time.time()
        self.data: dict[str, Any] = {
            "xdp": xdp.__version__, "command": command, "status": "running", "host": socket.gethostname(),
            "pid": os.getpid(), "born": _find_birth(os.getpid()), "submitted": VARIABLE in os.environ,
            "started": now, "updated": now, "stages": [], "scheduler": "", "job_name": "", "jobs": [], "past_jobs": [],
            "workers": 0, "waiting": "", "dashboard": "", "failures": [], "error": "",
        }

    @contextlib.contextmanager
    def record_run(self) -> Iterator[RunState]:
        """Write the state while the block runs, again and again, and how it ended.

        Its jobs are kept as past ones then, since their numbers may soon be those of others.
        """
        token = _current.set(self)
        try:
            with self._heartbeat():
                yield self
        except BaseException as error:
            if isinstance(error, SystemExit) and not error.code:  # after xdp COMMAND -h
                self._end("done", "")
                raise
            ended = "interrupted" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed"
            self._end(ended, _describe_end(error))
            raise
        finally:
            _current.reset(token)
        self._end("failed" if self._problem else "done", self._problem)

    def fail(self, problem: str) -> None:
        """Note that the run failed without an exception.

        Parameters
        ----------
        problem : str
            What is written as its error when the run ends.
        """
        self._problem = problem

    def _end(self, status: str, error: str) -> None:
        self.update(status=status, error=error, jobs=[], past_jobs=self.data["jobs"], workers=0, waiting="")

    @contextlib.contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Write the file now and every `HEARTBEAT` seconds."""
        self.write()
        if self.path is None:
            yield
            return
        end = threading.Event()

        def beat() -> None:
            while not end.wait(HEARTBEAT):
                self.write()

        thread = threading.Thread(target=beat, name="xdp-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    @contextlib.contextmanager
    def record_stage(self, total: int, label: str) -> Iterator[Advance]:
        """Record a stage of the run while the block runs.

        Parameters
        ----------
        total : int
            Its chunks or images.
        label : str
            What they are: "images", "merge".

        Yields
        ------
        callable
            ``advance(n)`` counts n more of them as done.
        """
        stage: dict[str, Any] = {"name": label, "total": total, "done": 0, "started": time.time(), "ended": None}
        with self._lock:
            self.data["stages"].append(stage)
        self.write()

        def advance(count: int = 1) -> None:
            with self._lock:
                stage["done"] += count
            self._write_if_due()

        yield advance
        with self._lock:
            stage["ended"] = time.time()
        self.write()

    def update(self, **fields: Any) -> None:
        """Change fields of the state and write it.

        Raises
        ------
        KeyError
            If the state has no such field: a defect of the program.
        """
        unknown = set(fields) - set(self.data)
        if unknown:
            raise KeyError(f"a run's state has no {sorted(unknown)}")
        with self._lock:
            self.data.update(fields)
        self.write()

    def add_failure(self, text: str) -> None:
        """Note that a job or a task failed, though the run goes on.

        Parameters
        ----------
        text : str
            What happened; ``xdp status`` prints it.
        """
        with self._lock:
            self.data["failures"].append({"time": time.time(), "text": text})
        self.write()

    def _write_if_due(self) -> None:
        if time.monotonic() - self._written >= self.interval:
            self.write()

    def _belongs_to_other_run(self) -> bool:
        """Whether a run of another process, which goes on, keeps its state in the file."""
        try:
            there = read_state(self.path)  # type: ignore[arg-type]
        except XdpError:
            return False
        is_own = (there.get("host"), there.get("pid")) == (self.data["host"], self.data["pid"])
        return not is_own and find_status(there) == "running"

    def _read_lost_run(self) -> dict[str, Any] | None:
        """The state of a run that kept it in the same file and died without a word; None where there is none."""
        if self.path is None:
            return None
        try:
            there = read_state(self.path)
        except XdpError:
            return None
        return there if find_status(there) == "lost" else None

    def write(self) -> None:
        """Write the file now.

        A full or ailing disk does not stop the run: the next write says it all again.
        """
        if self.path is None:
            return
        with self._lock:
            self._written = time.monotonic()
            self._is_ours = self._is_ours or not self._belongs_to_other_run()
            if not self._is_ours:
                return
            self.data["updated"] = time.time()
            text = json.dumps(self.data, indent=1)
            # replaced by rename, so that whoever reads it has a whole one
            part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
            with contextlib.suppress(OSError):
                part.write_text(text + "\n", encoding="utf-8")
                os.replace(part, self.path)


_current: ContextVar[RunState | None] = ContextVar("xdp_run_state", default=None)


def find_current_state() -> RunState | None:
    """The state of the run that goes on in this process; None if there is none."""
    return _current.get()


def choose_state_path(folder: str | os.PathLike, wanted: bool) -> Path | None:
    """Choose where a run keeps its state.

    Parameters
    ----------
    folder : path
        That of its output.
    wanted : bool
        Whether it keeps one at all.

    Returns
    -------
    Path or None
        In the driver job of ``xdp submit`` what that says, wanted or not.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    return Path(folder) / FILE_NAME if wanted else None


def read_state(path: str | os.PathLike) -> dict[str, Any]:
    """Read the state of a run, from its file or its folder.

    Raises
    ------
    XdpError
        If there is none, or the file is of another kind.
    """
    place = Path(path)
    file = place / FILE_NAME if place.is_dir() else place
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise XdpError(f"{file}: no state of a run there ({error.strerror})") from error
    except ValueError as error:
        raise XdpError(f"{file}: not the state of a run: {error}") from error
    if not isinstance(data, dict) or not {"status", "stages", "updated"} <= set(data):
        raise XdpError(f"{file}: not the state of a run")
    return data


def find_status(data: dict[str, Any], now: float | None = None, *, job_gone: bool = False) -> str:
    """The status in a word: running, done, failed, interrupted; or lost, where a running one gives no sign of life.

    Parameters
    ----------
    data : dict
        The state.
    now : float, optional
        Seconds since the epoch; the present.
    job_gone : bool
        The batch system no longer has the job that ``xdp submit`` made of the driver.
    """
    status = str(data["status"])
    if status != "running":
        return status
    # a run started by hand in the folder of a submitted one goes on without that job
    if job_gone and data.get("submitted", True):
        return "lost"
    if data.get("host") == socket.gethostname() and not _has_live_process(data):
        return "lost"
    return "lost" if (now or time.time()) - data["updated"] > _SILENT_AFTER else status


def _has_live_process(data: dict[str, Any]) -> bool:
    """Whether the run's process is on this machine, and none that has got its number since."""
    pid = int(data.get("pid", 0))
    return is_alive(pid) and data.get("born", "") in ("", _find_birth(pid))


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has a number, and is no dead one whose parent has not noticed yet.

    Parameters
    ----------
    pid : int
        The number.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's, but alive
        return True
    # Z: a zombie, which has ended
    return pid > 0 and _read_process_fields(pid)[:1] != ["Z"]


def _find_birth(pid: int) -> str:
    """When a process began, in clock ticks of its machine; empty where the system does not tell."""
    return "".join(_read_process_fields(pid)[19:20])


def _read_process_fields(pid: int) -> list[str]:
    """What Linux tells of a process, from its state on (fields 3 and up of proc(5)'s ``stat``); elsewhere nothing."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # the name of the program stands in brackets and may have blanks and brackets of its own
    return text.rpartition(")")[2].split()


def summarise_state(data: dict[str, Any], now: float | None = None, *, job_gone: bool = False) -> str:
    """What ``xdp status`` prints; for the parameters see :func:`find_status`.

    Rates and the time that is left are those of the stage since it began; chunks found finished by a resumed run
    count as done.
    """
    now = now or time.time()
    stands = find_status(data, now, job_gone=job_gone)
    # the last sign of life is the end of a run that is lost
    end = now if stands == "running" else data["updated"]
    lines = [f"{data.get('command', '?')}: {stands}, {_format_duration(end - data.get('started', end))}"]
    lines += [_format_stage(stage, end, stands == "running") for stage in data["stages"]]
    if data.get("scheduler"):
        lines.append(_format_jobs(data, stands == "running"))
    if data.get("waiting") and stands == "running":
        lines.append(f"  {data['waiting']}")
    if data.get("dashboard") and stands == "running":
        lines.append(f"  dashboard: {data['dashboard']}")
    lines += [f"  failure: {failure['text']}" for failure in data.get("failures", [])]
    if data.get("error"):
        lines.append(f"  error: {data['error']}")
    return "\n".join(lines) + "\n"


def _describe_end(error: BaseException) -> str:
    """What ended a run, as users call it; a defect of the program by its own words."""
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    if isinstance(error, SystemExit):
        if isinstance(error.code, int) and error.code > 128:  # as shells count signals
            return f"{signal.Signals(error.code - 128).name} was sent"
        return f"it left with status {error.code}"
    return str(error) if isinstance(error, XdpError) else repr(error)


def _format_jobs(data: dict[str, Any], is_running: bool) -> str:
    """The jobs of a run; workers only while it runs, since those of a run that ended are gone."""
    jobs = " ".join(map(str, data.get("jobs") or data.get("past_jobs", []))) or "-"
    workers = f"{data.get('workers', 0)} workers; jobs" if is_running else "jobs were"
    return f"  {data['scheduler']}: {workers} {jobs}"


def _format_stage(stage: dict[str, Any], now: float, is_running: bool) -> str:
    done, total = stage["done"], stage["total"]
    seconds = max((stage["ended"] or now) - stage["started"], 1e-9)
    text = f"  {stage['name']}: {done} of {total}"
    if done and seconds > 0.1:
        text += f", {done / seconds:.3g}/s"
        if stage["ended"] is None and is_running:
            text += f", {_format_duration((total - done) * seconds / done)} left"
    return text


def _format_duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
