"""Cancelling runs: which jobs and processes are ended, in which order, and what is said if they are not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from xdp.cli import cancel as command
from xdp.cluster.batch.cancelling import cancel_run
from xdp.cluster.state import FILE_NAME, RunState, read_state
from xdp.errors import XdpError

SCANCEL = "echo scancel $* >> {folder}/calls; for job; do sed -i \"/^$job /d\" {folder}/queue; done"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Set the queue of a stand-in for Slurm, whose scancel may be another."""
    folder = tmp_path / "slurm"
    folder.mkdir()

    def queue(*jobs, scancel=SCANCEL):
        (folder / "queue").write_text("".join(f"{job} RUNNING\n" for job in jobs))
        for name, text in (("squeue", f"cat {folder}/queue"), ("scancel", scancel.format(folder=folder))):
            (folder / name).write_text(f"#!/bin/bash\n{text}\n")
            (folder / name).chmod(0o755)
        return folder

    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return queue


@pytest.fixture
def run(tmp_path):
    """Leave the traces of a run in its folder: the state, with these fields, and the record of its driver's job."""
    folder = tmp_path / "run"
    folder.mkdir()

    def traces(job=None, **fields):
        state = RunState(folder / FILE_NAME, "find_spots")
        state.data["submitted"] = job is not None
        state.update(scheduler="slurm", **fields)
        if job is not None:
            record = {"scheduler": "slurm", "job": job, "command": [], "timeout": 5, "logs": "xdp-logs"}
            (folder / "xdp-job.json").write_text(json.dumps(record))
        return folder

    return traces


def test_the_driver_goes_before_its_workers(slurm, run, capsys):
    folder = slurm("4", "7", "9", "11")
    assert command.run([str(run("7", jobs=["9", "10", "11"]))]) == 0
    assert capsys.readouterr().out == "cancelled: 7 9 11\n"
    assert (folder / "calls").read_text() == "scancel 7\nscancel 9 11\n"
    assert (folder / "queue").read_text() == "4 RUNNING\n"


@pytest.mark.parametrize("status", ["done", "failed", "interrupted"])
def test_numbers_of_a_run_that_ended_are_those_of_others(slurm, run, capsys, status):
    folder = slurm("9", "11")
    assert command.run([str(run(status=status, jobs=["9", "11"]))]) == 0
    assert capsys.readouterr().out == "no job of this run was left\n"
    assert not (folder / "calls").exists()


def test_what_the_batch_system_refuses_is_said(slurm, run):
    slurm("7", scancel="echo 'scancel: error: Kill job error on job id 7: Access/permission denied' >&2; exit 1")
    with pytest.raises(XdpError, match=r"slurm still has 7; scancel said: .*Access/permission denied$"):
        cancel_run(run("7"))


def test_what_the_batch_system_only_says_is_not_believed(slurm, run, monkeypatch):
    monkeypatch.setattr("xdp.cluster.batch.cancelling._PATIENCE", 0.5)
    slurm("7", scancel="true")
    with pytest.raises(XdpError, match=r"slurm still has 7; scancel said: nothing, with status 0$"):
        cancel_run(run("7"))


def test_a_job_that_ends_meanwhile_is_no_error(slurm, run):
    slurm("7", scancel=SCANCEL + "; echo Invalid job id >&2; exit 1")
    assert cancel_run(run("7")) == ["7"]


DRIVER = """
import sys, time
from xdp.cluster.ending import end_on_signals
from xdp.cluster.state import RunState

with end_on_signals(), RunState("xdp-state.json", "find_spots").record_run() as state:
    state.update(scheduler="slurm", jobs=["9"])
    print("begun", flush=True)
    time.sleep(60)
"""


def test_a_driver_started_by_hand_is_ended(slurm, tmp_path):
    folder = slurm("9")
    with subprocess.Popen([sys.executable, "-c", DRIVER], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "begun\n"
        assert cancel_run(tmp_path) == [f"pid {driver.pid}"]
        assert driver.wait(10) == 143
    assert read_state(tmp_path)["status"] == "interrupted"
    assert not (folder / "calls").exists()  # its workers are the driver's own to cancel


def test_a_driver_that_was_killed_leaves_jobs_to_cancel(slurm, tmp_path):
    slurm("9")
    with subprocess.Popen([sys.executable, "-c", DRIVER], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "begun\n"
        driver.kill()
        driver.wait(10)
    assert cancel_run(tmp_path) == ["9"]


def test_a_driver_on_another_machine_is_named_and_its_workers_left(slurm, run):
    folder = slurm("9")
    with pytest.raises(XdpError, match=r"the driver runs on login7, pid 12: stop it there \(kill 12\)"):
        cancel_run(run(host="login7", pid=12, jobs=["9"]))
    assert not (folder / "calls").exists()


def test_a_process_that_has_got_the_number_since_is_left_alone(slurm, run):
    """This process, which is not the one that the state tells of."""
    slurm("9")
    place = run(host=socket.gethostname(), pid=os.getpid(), born="1", jobs=["9"])
    assert cancel_run(place) == ["9"]


@pytest.mark.parametrize("status", ["running", "done", "failed"])
def test_jobs_whose_submission_was_given_up_are_found_by_their_name(slurm, run, status):
    """They have no id in the state; their name is that of this run alone, so that its end does not matter."""
    folder = slurm("9", "11", "12")
    (folder / "squeue").write_text(f"""#!/bin/bash
case "$*" in *"-n xdp-worker-kfzt"*) grep -o ^12 {folder}/queue; exit 0;; *) cat {folder}/queue;; esac
""")
    place = run(status=status, host=socket.gethostname(), pid=2**22 + 1, jobs=["9"], job_name="xdp-worker-kfzt")
    assert cancel_run(place) == (["9", "12"] if status == "running" else ["12"])
    assert "11 RUNNING" in (folder / "queue").read_text()


def test_a_silent_batch_system_is_no_error_for_a_run_that_ended(slurm, run):
    folder = slurm()
    (folder / "squeue").write_text("#!/bin/bash\necho slurm_load_jobs error: timeout >&2; exit 1\n")
    assert cancel_run(run(status="done", job_name="xdp-worker-kfzt")) == []
