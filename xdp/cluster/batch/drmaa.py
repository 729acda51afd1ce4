"""Jobs of Grid Engine through DRMAA, the library interface that it offers beside its commands.

References
----------
Distributed Resource Management Application API 1.0, Open Grid Forum GFD.133; Python binding ``drmaa``.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes.util
import functools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import Any, TypeVar

from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import DIALECTS, QUEUED, RUNNING, Dialect, Request
from xdp.cluster.batch.site import Site
from xdp.errors import XdpError

Answer = TypeVar("Answer")

_PLACES = ("/usr/lib/gridengine-drmaa/lib/libdrmaa.so.1.0", "/usr/lib/libdrmaa.so.1.0")
"""Where Debian puts the library, which its loader does not search."""
SCHEDULERS = ("drmaa", "sge", "local")
"""What is served by DRMAA: its own defaults and files of Grid Engine sites; "local" stands where a file names none."""


class Drmaa(Dialect):
    """Grid Engine behind DRMAA; what the interface has no words for goes as its native options.

    Notes
    -----
    The script travels in the job's arguments, so that no file must outlive the submission. The library's calls know no
    time limit, so each runs in a thread that is left to itself when its time is over.
    """

    name = "drmaa"

    def __init__(self, scheduler: str = "drmaa") -> None:
        """Speak to the batch system `scheduler`, one of :data:`SCHEDULERS`.

        Raises
        ------
        XdpError
            If it is another one, whose native options are not known to work, or its library does not answer.
        """
        if scheduler not in SCHEDULERS:
            raise XdpError(f"mp.method=drmaa serves Grid Engine (scheduler: sge), not {scheduler}: "
                           f"use mp.method={scheduler}")
        self.native = DIALECTS["sge"]
        self.prefix = self.native.prefix
        self._ids: set[str] = set()
        self._session = open_session()
        self._binding = _import_drmaa()

    def make_directives(self, request: Request, site: Site) -> list[str]:
        """Make the directives of the batch system itself.

        :meth:`submit_script` reads them from the script and gives them as native options.
        """
        return self.native.make_directives(request, site)

    def make_start_lines(self) -> list[str]:
        """As the batch system itself needs them."""
        return self.native.make_start_lines()

    def make_list_command(self) -> tuple[str, ...]:
        """The batch system's own listing; :meth:`list_jobs` asks DRMAA instead."""
        return self.native.make_list_command()

    def parse_list(self, listing: str) -> dict[str, str]:
        """As the batch system's listing is read."""
        return self.native.parse_list(listing)

    def find_reason(self, job: str, timeout: float) -> str:
        """Find the reason of a failed start by the batch system's own command.

        DRMAA 1.0 has no words for it.
        """
        return self.native.find_reason(job, timeout)

    def find_waiting_reason(self, job: str, timeout: float) -> str:
        """Find out why a job waits by the batch system's own commands.

        DRMAA 1.0 has no words for that either.
        """
        return self.native.find_waiting_reason(job, timeout)

    def find_jobs_by_name(self, name: str, timeout: float) -> list[str]:
        """Find jobs as the batch system's own command lists them.

        DRMAA knows only jobs of its session, and among these no names.
        """
        return self.native.find_jobs_by_name(name, timeout)

    def submit_script(self, script: str, path: str, timeout: float) -> str:
        """Run the script as a job; its directives become native options.

        Parameters
        ----------
        script : str
            It travels packed in the job's arguments.
        path : str
            Not used: the file may be gone before the job starts.
        timeout : float
            Seconds; a job that is taken later is terminated.

        Returns
        -------
        str
            The job's id.

        Raises
        ------
        SchedulerError
            If the library complains or does not answer.
        """
        packed = base64.b64encode(script.encode()).decode()
        lines = [line[len(self.prefix) :].strip() for line in script.splitlines() if line.startswith(self.prefix + " ")]
        native = [line for line in lines if not line.startswith("-S ")]
        session = self._session

        def submit() -> str:
            template = session.createJobTemplate()
            try:
                template.remoteCommand = "/bin/bash"
                template.args = ["-c", f"eval \"$(echo {packed} | base64 -d)\""]
                template.nativeSpecification = " ".join([*native, "-shell n -b y"])
                return str(session.runJob(template))
            finally:
                session.deleteJobTemplate(template)

        job = call_library(submit, timeout, too_late=self._terminate)  # a job that was taken in too late is nobody's
        self._ids.add(job)
        return job

    def cancel_jobs(self, ids: Sequence[str], timeout: float) -> None:
        """Terminate jobs; one that is gone already is no error.

        Raises
        ------
        SchedulerError
            With the last complaint, when all jobs were tried.
        """
        complaint = None
        for job in ids:
            try:
                call_library(functools.partial(self._terminate, job), timeout)
            except UnknownJobError:
                continue
            except SchedulerError as error:
                complaint = error
        if complaint is not None:
            raise complaint

    def _terminate(self, job: str) -> None:
        self._session.control(job, self._binding.JobControlAction.TERMINATE)

    def list_jobs(self, timeout: float) -> dict[str, str]:
        """List the jobs of this process that have not ended.

        A job that could not be started (Eqw) has ended, for DRMAA.
        """
        return call_library(self._states, timeout)

    def _states(self) -> dict[str, str]:
        states = {}
        for job in tuple(self._ids):
            try:
                state = str(self._session.jobStatus(job))
            except self._binding.errors.InvalidJobException:
                continue  # it has ended and is forgotten
            if state in ("done", "failed"):
                continue
            active = state in ("running", "system_suspended", "user_suspended", "user_system_suspended")
            states[job] = RUNNING if active else QUEUED
        return states


class UnknownJobError(SchedulerError):
    """DRMAA does not know a job, or no longer."""


def call_library(call: Callable[[], Answer], timeout: float, too_late: Callable[[Answer], object] | None = None
                 ) -> Answer:
    """What a call of the library gives, within a time limit.

    Parameters
    ----------
    call : callable
    timeout : float
        Seconds.
    too_late : callable, optional
        Gets the answer if it comes when nobody waits for it any more.

    Raises
    ------
    SchedulerError
        If the library complains or does not answer in time; :class:`UnknownJobError` if it does not know the job.
    """
    errors = _import_drmaa().errors
    future: Future[Answer] = Future()

    def work() -> None:
        try:
            given = call()
        except BaseException as error:  # it is raised in the thread that waits
            with contextlib.suppress(InvalidStateError):
                future.set_exception(error)
            return
        try:
            future.set_result(given)
        except InvalidStateError:  # given up meanwhile
            if too_late is not None:
                with contextlib.suppress(errors.DrmaaException):
                    too_late(given)

    # a thread of its own, not one of a pool: the end of the process does not wait for it
    threading.Thread(target=work, name="xdp-drmaa", daemon=True).start()
    try:
        return _wait_for_result(future, timeout)
    except errors.InvalidJobException as error:
        raise UnknownJobError(f"DRMAA said: {' '.join(str(error).split())}") from error
    except errors.DrmaaException as error:
        raise SchedulerError(f"DRMAA said: {' '.join(str(error).split())}") from error


def _wait_for_result(future: Future[Answer], timeout: float) -> Answer:
    try:
        return future.result(timeout)
    except TimeoutError:
        if future.cancel():  # which fails if the answer has just come
            raise SchedulerError(f"DRMAA did not answer within {timeout:g} s") from None
        return future.result()


def _import_drmaa() -> Any:
    """The binding.

    Raises
    ------
    XdpError
        If the package or the batch system's library is missing, or cannot be loaded.
    """
    if "DRMAA_LIBRARY_PATH" not in os.environ and ctypes.util.find_library("drmaa") is None:
        found = next((place for place in _PLACES if Path(place).exists()), None)
        if found:
            os.environ["DRMAA_LIBRARY_PATH"] = found
    try:
        import drmaa
    except ImportError as error:
        raise XdpError("mp.method=drmaa needs the Python package drmaa (pip install drmaa)") from error
    except (RuntimeError, OSError) as error:
        text = " ".join(str(error).split())
        hint = "set DRMAA_LIBRARY_PATH to the batch system's libdrmaa.so"
        if "TLS" in text:
            hint = "start xdp with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=8192 in the environment"
        raise XdpError(f"mp.method=drmaa: the batch system's library cannot be loaded ({text}); {hint}") from error
    return drmaa


def open_session() -> Any:
    """The session of this process; DRMAA allows one.

    Raises
    ------
    XdpError
        If the batch system does not answer.
    """
    binding = _import_drmaa()
    session = binding.Session()
    try:
        session.initialize()
    except binding.errors.AlreadyActiveSessionException:
        pass
    except (binding.errors.DrmaaException, OSError) as error:
        raise XdpError(f"mp.method=drmaa: {' '.join(str(error).split())}") from error
    return session
