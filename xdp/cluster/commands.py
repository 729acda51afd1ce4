"""Commands of batch systems, each with a time limit: a scheduler that does not answer must not hang the run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from xdp.errors import XdpError


class SchedulerError(XdpError):
    """A batch system's command refused, failed or did not answer; the message quotes what it said."""


@dataclass(frozen=True)
class Said:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both outputs as one line."""
        return " ".join(f"{self.out}\n{self.err}".split())


def run_command(command: Sequence[str], timeout: float, stdin: str | None = None) -> Said:
    """Run a command and give what it said, whatever its status.

    Raises
    ------
    SchedulerError
        If the command does not exist or takes longer than `timeout` seconds (it is killed then).
    """
    try:
        done = subprocess.run(
            list(command), input=stdin, stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True,
            text=True, errors="replace", timeout=timeout, check=False, start_new_session=True,
        )
    except FileNotFoundError:
        raise SchedulerError(f"{command[0]}: no such command; is this a submit host of the batch system?") from None
    except PermissionError:
        raise SchedulerError(f"{command[0]}: may not be run by this user") from None
    except subprocess.TimeoutExpired:
        raise SchedulerError(f"{command[0]} did not answer within {timeout:g} s") from None
    return Said(done.returncode, done.stdout, done.stderr)


def run_or_raise(command: Sequence[str], timeout: float, stdin: str | None = None) -> str:
    """Run a command and give its output.

    Raises
    ------
    SchedulerError
        Also if its status is not 0; the message quotes it.
    """
    said = run_command(command, timeout, stdin)
    if said.status != 0:
        raise SchedulerError(f"{command[0]} said: {said.text or f'nothing, with status {said.status}'}")
    return said.out
