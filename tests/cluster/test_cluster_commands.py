"""Commands of batch systems, with their time limits."""

from __future__ import annotations

import pytest

from xdp.cluster.commands import SchedulerError, run_command, run_or_raise


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


def test_a_hanging_command_is_killed():
    with pytest.raises(SchedulerError, match=r"sleep did not answer within 0\.2 s"):
        run_command(["sleep", "60"], 0.2)


def test_failures_are_quoted():
    assert run_or_raise(["echo", "a"], 10) == "a\n"
    with pytest.raises(SchedulerError, match=r"^bash said: no such queue$"):
        run_or_raise(["bash", "-c", "echo no such queue >&2; exit 1"], 10)
    with pytest.raises(SchedulerError, match=r"^bash said: nothing, with status 7$"):
        run_or_raise(["bash", "-c", "exit 7"], 10)
