"""The state file of a run."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from xdp.cluster.state import FILE_NAME, VARIABLE, RunState, choose_state_path, find_status, read_state, summarise_state
from xdp.errors import XdpError


def test_a_run_tells_its_stages(tmp_path):
    state = RunState(tmp_path / "xdp-state.json", "find_spots", interval=0)
    with state.record_run(), state.record_stage(10, "threshold") as advance:
        advance(3)
        during = read_state(tmp_path)
        advance()
    after = read_state(tmp_path / "xdp-state.json")
    assert (during["status"], during["stages"][0]["done"], during["stages"][0]["ended"]) == ("running", 3, None)
    assert (after["status"], after["stages"][0]["done"]) == ("done", 4)
    assert after["stages"][0]["ended"] >= after["stages"][0]["started"]
    assert [path.name for path in tmp_path.iterdir()] == ["xdp-state.json"]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [(XdpError("no worker"), "failed", "no worker"), (ValueError("x"), "failed", "ValueError('x')"),
     (KeyboardInterrupt(), "interrupted", "Ctrl-C"), (SystemExit(143), "interrupted", "SIGTERM was sent"),
     (SystemExit(2), "interrupted", "it left with status 2")],
)
def test_how_a_run_ended(tmp_path, error, status, text):
    state = RunState(tmp_path / "s.json", "x")
    with pytest.raises(type(error)), state.record_run():
        raise error
    data = read_state(tmp_path / "s.json")
    assert data["status"] == find_status(data) == status
    assert text in data["error"]
    assert ("KeyboardInterrupt" in data["error"], "SystemExit" in data["error"]) == (False, False)


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = RunState(None, "x")
    with state.record_run(), state.record_stage(1, "a") as advance:
        advance()
    assert list(tmp_path.iterdir()) == []


def test_writes_are_throttled(tmp_path):
    state = RunState(tmp_path / "s.json", "x", interval=3600)
    with state.record_stage(100, "a") as advance:
        advance(50)
        assert read_state(tmp_path / "s.json")["stages"][0]["done"] == 0
    assert read_state(tmp_path / "s.json")["stages"][0]["done"] == 50


def test_a_folder_that_is_gone_does_not_stop_the_run(tmp_path):
    state = RunState(tmp_path / "gone" / "s.json", "x")
    with state.record_run():
        state.add_failure("a job was killed")
    assert state.data["status"] == "done"


def test_unknown_fields_are_defects():
    with pytest.raises(KeyError, match="wrkers"):
        RunState(None, "x").update(wrkers=3)


def test_where_the_state_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("XDP_STATE", raising=False)
    assert choose_state_path(tmp_path, wanted=False) is None
    assert choose_state_path(tmp_path, wanted=True) == tmp_path / "xdp-state.json"
    monkeypatch.setenv("XDP_STATE", "/run/state.json")
    assert str(choose_state_path(tmp_path, wanted=False)) == "/run/state.json"


@pytest.mark.parametrize("text", ["", "[]", "{}", "x", '{"status": "done"}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "xdp-state.json").write_text(text)
    with pytest.raises(XdpError, match=r"xdp-state\.json: not the state of a run"):
        read_state(tmp_path)
    with pytest.raises(XdpError, match="no state of a run there"):
        read_state(tmp_path / "nothing")


def test_a_driver_that_died_is_lost():
    state = RunState(None, "x").data
    assert find_status(state) == "running"
    dead = {**state, "pid": 2**22 + 1}
    assert find_status(dead) == "lost"
    elsewhere = {**state, "host": "another", "pid": 1}
    assert find_status(elsewhere, now=state["updated"] + 10) == "running"
    assert find_status(elsewhere, now=state["updated"] + 1000) == "lost"
    stage = {"name": "images", "total": 9, "done": 3, "started": state["started"], "ended": None}
    long_chunk = {**elsewhere, "stages": [stage]}
    assert find_status(long_chunk, now=state["updated"] + 1000) == "lost"
    said = summarise_state(long_chunk, now=state["updated"] + 1000)
    assert said.startswith("x: lost, ")
    assert "left" not in said


def test_a_submitted_run_whose_job_is_gone_is_lost(monkeypatch):
    monkeypatch.setenv("XDP_STATE", "/run/xdp-state.json")
    state = {**RunState(None, "x").data, "host": "another"}
    assert (find_status(state), find_status(state, job_gone=True)) == ("running", "lost")
    assert find_status({**state, "status": "done"}, job_gone=True) == "done"
    monkeypatch.delenv("XDP_STATE")
    by_hand = RunState(None, "x").data  # started in the same folder later on
    assert find_status(by_hand, job_gone=True) == "running"


def test_a_run_gives_signs_of_life_during_a_long_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("xdp.cluster.state.HEARTBEAT", 0.05)
    state = RunState(tmp_path / "xdp-state.json", "x")
    with state.record_run(), state.record_stage(1, "images"):
        first, end = read_state(tmp_path)["updated"], time.monotonic() + 20
        while read_state(tmp_path)["updated"] == first and time.monotonic() < end:
            time.sleep(0.02)
        assert read_state(tmp_path)["updated"] > first
        assert "xdp-heartbeat" in {thread.name for thread in threading.enumerate()}
    assert "xdp-heartbeat" not in {thread.name for thread in threading.enumerate()}
    assert read_state(tmp_path)["status"] == "done"
    with RunState(None, "x").record_run():
        assert "xdp-heartbeat" not in {thread.name for thread in threading.enumerate()}


def test_the_state_of_a_run_that_goes_on_is_left_alone(tmp_path):
    """Another run in the same folder, such as one that is refused because the first writes its output."""
    path = tmp_path / FILE_NAME
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as first:
        theirs = RunState(path, "integrate")
        theirs.data |= {"pid": first.pid, "born": ""}
        with theirs.record_stage(10, "images"), pytest.raises(XdpError), RunState(path, "find_spots").record_run():
            raise XdpError("it is being written")
        assert read_state(path)["command"] == "integrate"
        assert read_state(path)["status"] == "running"
        later = RunState(path, "index", interval=0.0)
        with later.record_run():
            assert read_state(path)["command"] == "integrate"
            first.communicate(b"\n")
            with later.record_stage(2, "search") as advance:  # the first is gone
                advance(1)
            assert read_state(path)["command"] == "index"
    assert read_state(path)["status"] == "done"


def test_a_run_knows_of_the_killed_one_before_it(tmp_path):
    path = tmp_path / "state.json"
    killed = RunState(path, "find_spots")
    killed.data.update(scheduler="slurm", job_name="xdp-worker-kfzt", pid=2**22 + 1)  # above the largest pid of Linux
    killed.write()
    assert RunState(path, "find_spots").lost_run["job_name"] == "xdp-worker-kfzt"
    killed.update(status="failed")
    assert RunState(path, "find_spots").lost_run is None
    assert RunState(tmp_path / "none.json", "find_spots").lost_run is None


def test_a_driver_job_that_runs_again_elsewhere_follows_itself(tmp_path, monkeypatch):
    """Its machine has died, and the batch system requeued it at once."""
    path = tmp_path / FILE_NAME
    monkeypatch.setenv(VARIABLE, str(path))
    before = RunState(path, "process")
    before.data["host"] = "another"
    before.write()
    assert find_status(read_state(path)) == "running"
    with RunState(path, "process").record_run():
        assert read_state(path)["host"] == socket.gethostname()
    assert read_state(path)["status"] == "done"


@pytest.mark.parametrize("error", [None, XdpError("full"), SystemExit(143)])
def test_the_jobs_of_a_run_that_ended_are_past(tmp_path, error):
    state = RunState(tmp_path / "xdp-state.json", "x")
    with contextlib.suppress(XdpError, SystemExit), state.record_run():
        state.update(scheduler="sge", workers=2, jobs=["4", "5"])
        if error:
            raise error
    data = read_state(tmp_path)
    assert (data["jobs"], data["past_jobs"]) == ([], ["4", "5"])
    assert data["workers"] == 0
    assert "  sge: jobs were 4 5\n" in summarise_state(data)


def test_summary_has_rates_and_the_time_left():
    data = {
        "command": "find_spots", "status": "running", "host": socket.gethostname(), "pid": os.getpid(),
        "started": 1000.0, "updated": 1100.0, "scheduler": "sge", "jobs": ["4", "5"], "workers": 2,
        "dashboard": "http://localhost:1/status on vm", "error": "",
        "failures": [{"time": 1050.0, "text": "job 3 was killed"}],
        "stages": [
            {"name": "images", "total": 600, "done": 200, "started": 1000.0, "ended": None},
            {"name": "merge", "total": 4, "done": 0, "started": 1099.0, "ended": None},
        ],
    }
    assert summarise_state(data, now=1100.0) == (
        "find_spots: running, 1:40\n"
        "  images: 200 of 600, 2/s, 3:20 left\n"
        "  merge: 0 of 4\n"
        "  sge: 2 workers; jobs 4 5\n"
        "  dashboard: http://localhost:1/status on vm\n"
        "  failure: job 3 was killed\n"
    )
    done = {**data, "status": "failed", "error": "disk full", "updated": 4661.0}
    assert summarise_state(done, now=99999.0).startswith("find_spots: failed, 1:01:01\n")
    assert summarise_state(done).endswith("  error: disk full\n")
    assert json.loads(json.dumps(done)) == done
