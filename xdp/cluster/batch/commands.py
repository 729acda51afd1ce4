"""Commands of batch systems, each with a time limit: a scheduler that does not answer must not hang the run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from xdp.errors import XdpError


class SchedulerError(XdpError):
    """A batch system's command refused, failed or did not answer; the message quotes what it said."""


@dataclass(frozen=True)
class CommandResult:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both outputs as one line."""
        return " ".join(f"{self.out}\n{self.err}".split())


def run_command(command: Sequence[str], timeout: float, stdin: str | None = None) -> CommandResult:
    """Run a command and give what it said, whatever its status.

    Raises
    ------
    SchedulerError
        If the command does not exist, cannot be started or takes longer than `timeout` seconds; it is killed then, with
        all that it started: a site's wrapper must not leave a qsub behind that submits later.
    """
    # a session of its own: a terminal's Ctrl-C goes to the driver alone, and all of it can be killed together
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
        )
    except FileNotFoundError:
        raise SchedulerError(f"{command[0]}: no such command; is this a submit host of the batch system?") from None
    except PermissionError:
        raise SchedulerError(f"{command[0]}: may not be run by this user") from None
    except OSError as error:  # no more processes or memory, a stale file handle ...
        raise SchedulerError(f"{command[0]}: could not be started: {error.strerror or error}") from error
    with process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            raise SchedulerError(f"{command[0]} did not answer within {timeout:g} s") from None
        except OSError as error:
            raise SchedulerError(f"{command[0]}: cannot be talked to: {error.strerror or error}") from error
        finally:
            # also after Ctrl-C: a qsub that hangs must not submit later
            if process.returncode is None:
                _kill(process)
    return CommandResult(process.returncode, out, err)


def _kill(process: subprocess.Popen) -> None:
    """End a command and what it started, which are one process group."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
