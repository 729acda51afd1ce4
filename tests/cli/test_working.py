"""What the long commands share: client, progress, state."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xdp.cli.working import run_command_work
from xdp.cluster import ClusterOptions, MpOptions
from xdp.cluster.state import read_state
from xdp.errors import XdpError


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
