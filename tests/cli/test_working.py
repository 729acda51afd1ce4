"""What the long commands share: client, progress, state."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from xdp.cli.main import COMMANDS, main
from xdp.cli.working import run_command_work, run_submitted
from xdp.cluster import ClusterOptions, MpOptions
from xdp.cluster.state import read_state
from xdp.errors import XdpError
from xdp.reflections.refl import write_reflections
from xdp.reflections.table import ReflectionTable


def test_a_plain_run_has_no_client_and_leaves_no_state(tmp_path, monkeypatch):
    monkeypatch.delenv("XDP_STATE", raising=False)
    with run_command_work("find_spots", tmp_path / "strong.refl", MpOptions(), ClusterOptions()) as work:
        assert work.client is None
        with work.progress(3, "images") as advance:
            advance(3)
    assert list(tmp_path.iterdir()) == []


def test_a_driver_job_keeps_its_state_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDP_STATE", str(tmp_path / "state.json"))
    def fails_half_way():
        with run_command_work("find_spots", "x/strong.refl", MpOptions(), ClusterOptions()) as work:
            with work.progress(3, "images") as advance:
                advance()
                advance(1)
            raise XdpError("the disk is full")

    with pytest.raises(XdpError):
        fails_half_way()
    state = read_state(tmp_path / "state.json")
    assert (state["status"], state["error"], state["stages"][0]["done"]) == ("failed", "the disk is full", 2)


def test_a_cluster_run_keeps_its_state_beside_the_output(tmp_path, monkeypatch):
    monkeypatch.delenv("XDP_STATE", raising=False)
    mp, cluster = MpOptions(method="multiprocessing"), ClusterOptions(dashboard="none")
    with run_command_work("find_spots", tmp_path / "strong.refl", mp, cluster) as work:
        assert work.client.submit(sum, [1, 2]).result() == 3
    assert read_state(tmp_path)["status"] == "done"


SLEEPER = """
import sys, time
from xdp.cli.working import run_command_work
from xdp.cluster import ClusterOptions, MpOptions

with run_command_work("find_spots", "strong.refl", MpOptions(), ClusterOptions()):
    print("begun", flush=True)
    time.sleep(60)
"""


def test_sigterm_is_noted_by_a_run_on_threads(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "XDP_STATE": str(tmp_path / "xdp-state.json")})
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    assert process.wait(30) == 143
    process.stdout.close()
    assert read_state(tmp_path)["status"] == "interrupted"


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """Where the driver job of ``xdp submit`` keeps the state of its command."""
    path = tmp_path / "xdp-state.json"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDP_STATE", str(path))
    return path


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("submit", "status", "cancel", "logs")])
def test_every_command_that_is_a_job_has_a_state(submitted, capsys, command):
    assert main([command, "absent.expt", "frobnicate=1"]) == 1
    state = read_state(submitted)
    assert (state["command"], state["status"]) == (command.replace("-", "_"), "failed")
    assert state["error"]
    assert state["error"] in capsys.readouterr().err


def test_the_state_of_a_command_that_has_no_stages(submitted, tmp_path, capsys):
    write_reflections(tmp_path / "a.refl", ReflectionTable({"id": np.zeros(3, np.int32)}))
    assert main(["show", "a.refl"]) == 0
    assert read_state(submitted)["status"] == "done"
    capsys.readouterr()
    assert main(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("show: done, 0:0")


def test_help_is_no_interruption(submitted):
    assert main(["show", "-h"]) == 0
    assert read_state(submitted)["status"] == "done"


def test_a_status_without_an_exception_is_a_failure(submitted):
    assert run_submitted("show", lambda args: 3, []) == 3
    state = read_state(submitted)
    assert (state["status"], state["error"]) == (
        "failed", "xdp show ended with status 3; xdp logs has what it printed")


def test_the_work_of_a_submitted_command_is_part_of_its_state(submitted):
    def run(args):
        with run_command_work("find_spots", "x/strong.refl", MpOptions(), ClusterOptions()) as work, \
                work.progress(3, "images") as advance:
            advance(3)

    assert run_submitted("find_spots", run, []) == 0
    state = read_state(submitted)
    assert (state["status"], [stage["done"] for stage in state["stages"]]) == ("done", [3])
