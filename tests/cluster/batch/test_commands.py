"""Commands of batch systems, with their time limits."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

from xdp.cluster.batch.commands import SchedulerError, run_command, run_or_raise


def test_output_and_status():
    said = run_command(["bash", "-c", "cat; echo e >&2; exit 3"], 10, stdin="x\ny\n")
    assert (said.status, said.out, said.err) == (3, "x\ny\n", "e\n")
    assert said.text == "x y e"


def test_missing_command():
    with pytest.raises(SchedulerError, match="qsub-xdp: no such command; is this a submit host"):
        run_command(["qsub-xdp"], 1)


def test_forbidden_command(tmp_path):
    path = tmp_path / "qsub"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o644)
    with pytest.raises(SchedulerError, match="may not be run"):
        run_command([str(path)], 1)


def test_a_hanging_command_is_killed_with_all_that_it_started(tmp_path):
    wrapper = tmp_path / "qsub"
    wrapper.write_text(f"#!/bin/bash\nsleep 600 & echo $! > {tmp_path}/child; wait\n")
    wrapper.chmod(0o755)
    start = time.monotonic()
    with pytest.raises(SchedulerError, match=r"qsub did not answer within 2 s"):
        run_command([str(wrapper)], 2)
    assert time.monotonic() - start < 60
    child = Path("/proc", (tmp_path / "child").read_text().strip())
    assert ended(child)


def ended(process: Path) -> bool:
    """Whether a process ends within some seconds; nobody may have collected it yet."""
    for _ in range(100):
        try:
            if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.ESTALE])
def test_a_machine_that_cannot_start_commands_is_named(monkeypatch, number):
    def popen(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(SchedulerError, match=f"^qstat: could not be started: {os.strerror(number)}$"):
        run_command(["qstat"], 1)


def test_a_command_that_reads_nothing_is_no_error():
    assert run_command(["true"], 10, stdin="x" * 1_000_000).status == 0


def test_failures_are_quoted():
    assert run_or_raise(["echo", "a"], 10) == "a\n"
    with pytest.raises(SchedulerError, match=r"^bash said: no such queue$"):
        run_or_raise(["bash", "-c", "echo no such queue >&2; exit 1"], 10)
    with pytest.raises(SchedulerError, match=r"^bash said: nothing, with status 7$"):
        run_or_raise(["bash", "-c", "exit 7"], 10)
