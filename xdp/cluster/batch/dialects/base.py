"""How each batch system is spoken to: directives of a job script, commands, and the lists they print."""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdp.cluster.batch.commands import SchedulerError, run_command, run_or_raise
from xdp.cluster.batch.site import Site

QUEUED, RUNNING, FAILED = "queued", "running", "failed"


@dataclass(frozen=True)
class Request:
    """One job.

    Attributes
    ----------
    name : str
        The job's name; its output goes to NAME.o<id> or so in `logs`.
    command : str
        Shell text that the job runs last.
    cores : int
    memory : int or None
        Bytes for the whole job; None: no request, as the batch system does it.
    logs : str
        Folder, which exists.
    environment : dict
        Variables exported before the command.
    command_folders : tuple of str
        Folders that come first on the job's path: those of the batch system's commands, for a job that submits others.
    """

    name: str
    command: str
    cores: int
    memory: int | None
    logs: str
    environment: dict[str, str] = field(default_factory=dict)
    command_folders: tuple[str, ...] = ()


def quote_path(path: str) -> str:
    """A path as one word of a directive: in double quotes, which all four systems understand, if it has blanks.

    Raises
    ------
    SchedulerError
        If it has a letter that cannot be written so.
    """
    if re.search(r'["\\]|[^\S ]', path):
        raise SchedulerError(f"{path!r}: a job script cannot name a folder with quotes, backslashes or line breaks; "
                             "work in another one or set log_folder in the site's file")
    return path if re.fullmatch(r"[\w./%+=:,@~^-]+", path) else f'"{path}"'


class Listing(dict[str, str]):
    """Jobs of a batch system: id -> state, where a job is found by its id in whatever form its commands print it."""

    def __init__(self, jobs: Mapping[str, str], key: Callable[[str], str]) -> None:
        """List `jobs`, of whose ids `key` makes the part that all forms have in common."""
        super().__init__({key(job): state for job, state in jobs.items()})
        self._key = key

    def __contains__(self, job: object) -> bool:
        return super().__contains__(self._key(str(job)))

    def __getitem__(self, job: str) -> str:
        return super().__getitem__(self._key(job))

    def get(self, job: str, default: Any = None) -> Any:
        """The state of a job, else `default`."""
        return super().get(self._key(job), default)


class Dialect(ABC):
    """A batch system; subclasses say how it differs."""

    name = ""
    prefix = "#"
    submit_command: tuple[str, ...] = ()
    cancel_command: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # variables by which the commands find their batch system
    id_pattern = r"\d+"
    by_stdin = False

    @abstractmethod
    def make_directives(self, request: Request, site: Site) -> list[str]:
        """The directives of a job, without their prefix."""

    def make_script(self, request: Request, site: Site) -> str:
        """Make the job script: directives, the site's prologue, variables, and the command last.

        Parameters
        ----------
        request : Request
            The job.
        site : Site
            Its directives, prologue and variables; a variable of the site wins over one of the request.

        Returns
        -------
        str
            Text for bash.
        """
        directives = [f"{self.prefix} {line}"
                      for line in (*self.make_directives(request, site), *self.list_site_directives(site))]
        # exported in the script itself: batch systems differ in how they pass variables on
        exports = [
            f"export {name}={shlex.quote(value)}" for name, value in {**request.environment, **site.variables}.items()
        ]
        # after the prologue, which may put the commands of another batch system on the path
        exports += [f'export PATH={shlex.quote(folder)}:"$PATH"' for folder in reversed(request.command_folders)]
        lines = ["#!/bin/bash", *directives, *self.make_start_lines(), *site.prologue, *exports, request.command]
        return "\n".join(lines) + "\n"

    def list_site_directives(self, site: Site) -> list[str]:
        """The directives of the site's file that follow our own."""
        return list(site.directives)

    def make_start_lines(self) -> list[str]:
        """Shell lines that every job of this batch system needs first."""
        return []

    def submit_script(self, script: str, path: str, timeout: float) -> str:
        """Submit a script.

        Parameters
        ----------
        script, path : str
            Its text, and the file that holds it.
        timeout : float
            Seconds that the batch system has to answer.

        Returns
        -------
        str
            The job's id.

        Raises
        ------
        SchedulerError
            If it is refused; the message quotes why.
        """
        if self.by_stdin:
            # LSF reads directives only there
            said = run_or_raise(self.submit_command, timeout, stdin=script)
        else:
            said = run_or_raise((*self.submit_command, path), timeout)
        match = re.search(self.id_pattern, said)
        if match is None:
            raise SchedulerError(f"{self.submit_command[0]} gave no job id, it said: {' '.join(said.split())}")
        return match[1] if match.groups() else match[0]

    def cancel_jobs(self, ids: Sequence[str], timeout: float) -> None:
        """Cancel jobs; one that is gone already is no error.

        Parameters
        ----------
        ids : sequence of str
            As they were given at the submission.
        timeout : float
            Seconds that the command may take.
        """
        if ids:
            # the status is not looked at: a job may have ended by itself meanwhile
            run_command((*self.cancel_command, *ids), timeout)

    @abstractmethod
    def make_list_command(self) -> tuple[str, ...]:
        """The command that lists the user's jobs."""

    @abstractmethod
    def parse_list(self, listing: str) -> dict[str, str]:
        """The list of jobs as id -> "queued", "running" or "failed"."""

    def shorten_id(self, job: str) -> str:
        """The part of a job's id that every command prints."""
        return job

    def list_jobs(self, timeout: float) -> dict[str, str]:
        """The user's jobs that the batch system knows; a job is found by any form of its id.

        Raises
        ------
        SchedulerError
            If it does not answer or complains.
        """
        return Listing(self.parse_list(run_or_raise(self.make_list_command(), timeout)), self.shorten_id)

    def find_reason(self, job: str, timeout: float) -> str:
        """Why a job failed to start, as the batch system says it; empty if it does not."""
        return ""

    def find_waiting_reason(self, job: str, timeout: float) -> str:
        """Find out why a job waits in its queue.

        Parameters
        ----------
        job : str
            Its id.
        timeout : float
            Seconds that the command may take.

        Returns
        -------
        str
            The batch system's own words in one line; empty if it gives none.

        Raises
        ------
        SchedulerError
            If it does not answer.
        """
        return ""

    @abstractmethod
    def find_jobs_by_name(self, name: str, timeout: float) -> list[str]:
        """Find the user's jobs of a name that have not ended.

        Parameters
        ----------
        name : str
            The whole name.
        timeout : float
            Seconds that the command may take.

        Returns
        -------
        list of str
            Their ids.

        Raises
        ------
        SchedulerError
            If the batch system does not answer or complains.
        """

    def cancel_by_name(self, name: str, timeout: float) -> list[str]:
        """Cancel all jobs of a name, also those whose submission was accepted after nobody waited for it any more.

        Parameters
        ----------
        name : str
            The whole name, which should be that of one run.
        timeout : float
            Seconds that each command may take.

        Returns
        -------
        list of str
            Their ids.
        """
        ids = self.find_jobs_by_name(name, timeout)
        self.cancel_jobs(ids, timeout)
        return ids
