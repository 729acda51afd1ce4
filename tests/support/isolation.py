"""Commands that run isolated and cheaply: a warm parent forks a child for each, and watches its time and memory.

The parent has imported what the commands need and has their kernels, so that a case costs its own work. A child that
crashes, hangs in compiled code or takes too much memory ends alone; the parent sees it from outside.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import json
import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

from zarr.core.sync import cleanup_resources

from xdp.cli.main import main

SECONDS = 10  # of processor time
#: Wall time for those that wait for something; longer, since the machine may be busy with other things.
SECONDS_WAITING = 40
MEMORY = 1 << 30  # bytes that a command may add
#: Where the kernel stops a child that takes memory faster than the parent looks.
_MOST_MEMORY = 8 << 30
#: Seconds between two looks at a child: a memory hog fills about 0.1 GB in this time.
_BETWEEN_LOOKS = 0.05


@dataclass
class Outcome:
    """What a command did.

    Attributes
    ----------
    status : int or None
        Exit status; None where it raised or was stopped.
    said : str
        All that it wrote.
    trouble : str
        What is wrong with that; empty if nothing.
    """

    status: int | None
    said: str
    trouble: str = ""


def warm_up(lines: list[list[str]]) -> None:
    """Run commands in this process, so that what they import and compile is there for its children."""
    for words in lines:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            assert main(words) == 0, f"{words}: {out.getvalue()}"
    cleanup_resources()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(SECONDS)  # it has been asked to end
    assert threading.active_count() == 1, f"{threading.enumerate()} would be missing in the children"
    gc.collect()
    gc.freeze()  # the children's garbage collector leaves the parent's objects, and so their pages, alone


def run(words: list[str]) -> Outcome:
    """Run a command isolated; one that takes too long once more, since kernels that it compiled first are then there.

    Between both it has the time that compiling takes.
    """
    outcome = run_once(words)
    if not outcome.trouble.startswith("hangs"):
        return outcome
    run_once(words, 6 * SECONDS)
    return run_once(words)


def run_once(words: list[str], seconds: float = SECONDS) -> Outcome:
    """Run a command in a child: it ends with status 0, or with 1 and one line, and warns of nothing.

    Parameters
    ----------
    words : list of str
        The command and its arguments.
    seconds : float
        Processor time that it may take.

    Returns
    -------
    Outcome
        Its trouble is a crash, a traceback, a hang, more than `MEMORY`, a warning of NumPy or another number of
        lines of complaint than one.
    """
    out, err, result = (os.memfd_create(name) for name in ("out", "err", "result"))
    try:
        before = _read_resident(os.getpid())
        child = os.fork()
        if child == 0:
            _be_child(words, out, err, result)
        trouble, status, peak = _watch(child, seconds, before)
        written, errors, answer = (_read_all(fd) for fd in (out, err, result))
    finally:
        for fd in (out, err, result):
            os.close(fd)
    if not trouble:
        trouble = _judge(status, errors, answer, peak - before)
    code = json.loads(answer)["status"] if answer else None
    return Outcome(code, written + errors, trouble)


def _judge(status: int, errors: str, answer: str, more: int) -> str:
    """What is wrong with a command that ended by itself; empty if nothing."""
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}: {errors[-300:]}"
    if not answer:
        return f"ended the process with {status >> 8}: {errors[-300:]}"
    told = json.loads(answer)
    lines = errors.strip().splitlines()
    if told["raised"]:
        return str(told["raised"])
    if told["warning"]:
        return f"warning: {told['warning']}"
    if told["status"] not in (0, 1):
        return f"status {told['status']}"
    if told["status"] == 1 and len([line for line in lines if ": error: " in line]) != 1:
        return f"no one line of complaint: {lines}"
    return f"takes {more >> 20} MB" if more > MEMORY else ""


def _be_child(words: list[str], out: int, err: int, result: int) -> None:
    """Run the command in the child, tell what it did and end; nothing of the parent's end runs here."""
    told: dict[str, object] = {"status": None, "raised": "", "warning": ""}
    try:
        os.setsid()
        faulthandler.disable()  # that of pytest would write to its own output
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            told["status"] = main(words)
        own = [w for w in warned if issubclass(w.category, RuntimeWarning)]
        if own:
            told["warning"] = f"{own[0].filename}:{own[0].lineno}: {own[0].message}"
    except BaseException:
        told["raised"] = traceback.format_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os.write(result, json.dumps(told).encode())
        os._exit(0)


def _watch(child: int, seconds: float, before: int) -> tuple[str, int, int]:
    """Wait for a child, and stop it where it takes too long or too much.

    Returns
    -------
    tuple
        Why it was stopped (empty if it ended), its status as ``os.wait`` gives it, its peak memory in bytes.
    """
    ended = os.pidfd_open(child)
    start, trouble = time.monotonic(), ""
    try:
        while not select.select([ended], [], [], _BETWEEN_LOOKS)[0]:
            if _read_processor_time(child) > seconds:
                trouble = f"hangs: more than {seconds} s of processor time"
            elif time.monotonic() - start > seconds / SECONDS * SECONDS_WAITING:
                trouble = f"hangs: waits for more than {SECONDS_WAITING} s"
            elif (more := _read_resident(child) - before) > 1.5 * MEMORY:
                trouble = f"takes more than {more >> 20} MB"
            if trouble:
                break
    finally:
        os.close(ended)
    # Whatever the command started ends with it: its session is its own.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return trouble, status, usage.ru_maxrss << 10


def _read_processor_time(process: int) -> float:
    """Seconds of processor time that a process has used; 0 if it is gone."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _read_resident(process: int) -> int:
    """Resident memory of a process in bytes; 0 if it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def _read_all(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")
