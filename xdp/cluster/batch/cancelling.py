"""Cancelling a run: its driver first, which would replace workers, then the jobs that it leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdp.cluster.batch.commands import SchedulerError, run_command
from xdp.cluster.batch.dialects import DIALECTS, Dialect
from xdp.cluster.batch.submission import JOB_FILE, read_job
from xdp.cluster.state import FILE_NAME, find_status, is_alive, read_state
from xdp.errors import XdpError

_COMMAND_TIMEOUT = 30.0
"""Seconds that a command of the batch system may take; as the default of a site's command_timeout."""
_PATIENCE = 30.0
"""Seconds until jobs and drivers that were ended must be gone. A driver cancels its own jobs first, each command of
which may take some seconds."""


def cancel_run(out: str | os.PathLike) -> list[str]:
    """Cancel a run: first its driver, which would replace workers, then the jobs that it leaves behind.

    A driver that was started by hand is ended as ``kill`` would, if it runs on this machine.

    Returns
    -------
    list of str
        The ids of the jobs that were cancelled, before them ``pid N`` of a driver that was ended by hand.

    Raises
    ------
    XdpError
        If nothing is known of the run, the driver runs out of reach, or jobs are left; with the batch system's words.
    """
    folder = Path(out)
    submitted = (folder / JOB_FILE).exists()
    if not submitted and not (folder / FILE_NAME).exists():
        raise XdpError(f"{out}: no jobs are known of a run there")
    ended: list[str] = []
    # the driver first: it would replace the workers that are cancelled
    if submitted:
        record = read_job(out)
        ended += _end_jobs(record["scheduler"], [str(record["job"])], out)
    state = _read_state_or_none(out)
    if state is not None and find_status(state, job_gone=submitted) == "running":
        ended.append(_end_driver(state, out))
    # read again: a driver that ended in an orderly way has cancelled its jobs, and their numbers may be others' now
    state = _read_state_or_none(out)
    if state is not None and state["status"] == "running" and state.get("scheduler") in DIALECTS:
        ended += _end_jobs(state["scheduler"], list(map(str, state.get("jobs", []))), out)
    if state is not None:
        ended += _end_jobs_by_name(state, out)
    return ended


def _end_jobs_by_name(state: dict[str, Any], out: str | os.PathLike) -> list[str]:
    """Cancel jobs of the run that its state does not list: submissions that were given up and taken all the same.

    Their name is that of this run alone, so that none of another run is hit, however long ago this one ended.
    """
    name, dialect = str(state.get("job_name", "")), DIALECTS.get(str(state.get("scheduler")))
    if not name or dialect is None:
        return []
    try:
        left = dialect.find_jobs_by_name(name, _COMMAND_TIMEOUT)
    except SchedulerError:
        if state["status"] == "running":
            raise
        return []  # the run has ended by itself, and most likely its jobs
    return _end_jobs(dialect.name, left, out)


def _read_state_or_none(out: str | os.PathLike) -> dict[str, Any] | None:
    """The state of a run, if it has said anything."""
    try:
        return read_state(out)
    except XdpError:
        return None


def _end_driver(state: dict[str, Any], out: str | os.PathLike) -> str:
    """End a driver that is no job, by SIGTERM, and wait until it has cancelled its jobs."""
    pid, host = int(state.get("pid", 0)), state.get("host")
    place = f"{out}: the driver runs on {host}, pid {pid}"
    if host != socket.gethostname():
        raise XdpError(f"{place}: stop it there (kill {pid}); it cancels its jobs")
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as error:
        raise XdpError(f"{place}, and is not yours to stop") from error
    except ProcessLookupError:  # it ended by itself just now
        return f"pid {pid}"
    end = time.monotonic() + _PATIENCE
    while is_alive(pid):
        if time.monotonic() > end:
            raise XdpError(f"{place}, and goes on {_PATIENCE:g} s after SIGTERM")
        time.sleep(0.1)
    return f"pid {pid}"


def _end_jobs(name: str, jobs: list[str], out: str | os.PathLike) -> list[str]:
    """Cancel those of the jobs that the batch system has, and wait until it has none of them any more."""
    dialect = DIALECTS[name]
    alive = _listed(jobs, dialect)
    if not alive:
        return []
    said = run_command((*dialect.cancel_command, *alive), _COMMAND_TIMEOUT)
    end, pause = time.monotonic() + _PATIENCE, 0.1
    while left := _listed(alive, dialect):
        # where the command failed, the queue is asked once more: it may have failed at jobs that ended by themselves
        if time.monotonic() > end or (said.status != 0 and pause > 1):
            raise XdpError(f"{out}: {name} still has {', '.join(left)}; {dialect.cancel_command[0]} said: "
                           f"{said.text or f'nothing, with status {said.status}'}")
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
    return alive


def _listed(jobs: Sequence[str], dialect: Dialect) -> list[str]:
    known = dialect.list_jobs(_COMMAND_TIMEOUT) if jobs else {}
    return [job for job in jobs if job in known]
