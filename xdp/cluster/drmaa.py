"""Jobs through DRMAA, the library interface that Grid Engine and others offer beside their commands.

References
----------
Distributed Resource Management Application API 1.0, Open Grid Forum GFD.133; Python binding ``drmaa``.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdp.cluster.commands import SchedulerError
from xdp.cluster.dialects import DIALECTS, QUEUED, RUNNING, Dialect, Request
from xdp.cluster.site import Site
from xdp.errors import XdpError

_PLACES = ("/usr/lib/gridengine-drmaa/lib/libdrmaa.so.1.0", "/usr/lib/libdrmaa.so.1.0")


class Drmaa(Dialect):
    """A batch system behind DRMAA; what the interface has no words for goes as its native options.

    Notes
    -----
    The script travels in the job's arguments, so that no file must outlive the submission.
    """

    name = "drmaa"

    def __init__(self, scheduler: str = "drmaa") -> None:
        """Speak to the batch system `scheduler`; "drmaa" stands for Grid Engine, where the interface comes from."""
        self.native = DIALECTS["sge" if scheduler in ("drmaa", "local") else scheduler]
        self.prefix = self.native.prefix
        self._ids: set[str] = set()
        self._session = open_session()

    def header(self, request: Request, site: Site) -> list[str]:
        """The directives of the batch system itself."""
        return self.native.header(request, site)

    def start_lines(self) -> list[str]:
        """As the batch system itself needs them."""
        return self.native.start_lines()

    def query(self) -> tuple[str, ...]:
        """The batch system's own listing; :meth:`jobs` asks DRMAA instead."""
        return self.native.query()

    def parse(self, listing: str) -> dict[str, str]:
        """As the batch system's listing is read."""
        return self.native.parse(listing)

    def submit_script(self, script: str, path: str, timeout: float) -> str:
        """Run the script as a job; its directives become native options."""
        packed = base64.b64encode(script.encode()).decode()
        lines = [line[len(self.prefix) :].strip() for line in script.splitlines() if line.startswith(self.prefix + " ")]
        native = [line for line in lines if not line.startswith("-S ")]
        session, errors = self._session, _errors()
        try:
            template = session.createJobTemplate()
            try:
                template.remoteCommand = "/bin/bash"
                template.args = ["-c", f"eval \"$(echo {packed} | base64 -d)\""]
                template.nativeSpecification = " ".join([*native, "-shell n -b y"])
                job = str(session.runJob(template))
            finally:
                session.deleteJobTemplate(template)
        except errors as error:
            raise SchedulerError(f"DRMAA said: {' '.join(str(error).split())}") from error
        self._ids.add(job)
        return job

    def cancel_jobs(self, ids: Sequence[str], timeout: float) -> None:
        """Terminate jobs; those that are gone already are none of our concern."""
        for job in ids:
            with contextlib.suppress(_errors()):
                self._session.control(job, _drmaa().JobControlAction.TERMINATE)

    def jobs(self, timeout: float) -> dict[str, str]:
        """The jobs of this process that have not ended."""
        states = {}
        for job in self._ids:
            with contextlib.suppress(_errors()):
                state = str(self._session.jobStatus(job))
                if state in ("done", "failed"):
                    continue
                active = state in ("running", "system_suspended", "user_suspended", "user_system_suspended")
                states[job] = RUNNING if active else QUEUED
        return states


def _drmaa() -> Any:
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


def _errors() -> type[Exception]:
    return _drmaa().errors.DrmaaException


def open_session() -> Any:
    """The session of this process; DRMAA allows one.

    Raises
    ------
    XdpError
        If the batch system does not answer.
    """
    binding = _drmaa()
    session = binding.Session()
    try:
        session.initialize()
    except binding.errors.AlreadyActiveSessionException:
        pass
    except (binding.errors.DrmaaException, OSError) as error:
        raise XdpError(f"mp.method=drmaa: {' '.join(str(error).split())}") from error
    return session
