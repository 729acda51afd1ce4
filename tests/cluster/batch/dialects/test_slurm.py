"""Slurm: what its lists mean."""

from __future__ import annotations

import pytest
from fake_commands import put_command

from xdp.cluster.batch.dialects import DIALECTS, FAILED, QUEUED, RUNNING

SLURM_LIST = "1 RUNNING\n2 PENDING\n3 COMPLETING\n4 NODE_FAIL\n5 CONFIGURING\n"


def test_the_list_of_jobs():
    states = {"1": RUNNING, "2": QUEUED, "3": RUNNING, "4": FAILED, "5": RUNNING}
    assert DIALECTS["slurm"].parse_list(SLURM_LIST) == states
    assert DIALECTS["slurm"].parse_list("") == {}


@pytest.mark.parametrize(("answer", "reason"), [("Resources", "Resources"), ("None", ""),
                                                ("(QOSMaxCpuPerUserLimit)", "(QOSMaxCpuPerUserLimit)")])
def test_a_job_that_waits_says_why(tmp_path, monkeypatch, answer, reason):
    put_command(tmp_path, monkeypatch, "squeue", f"""[ "$*" = "-h -j 7 -o %r" ] && echo '{answer}'""")
    assert DIALECTS["slurm"].find_waiting_reason("7", 10) == reason
    assert DIALECTS["slurm"].find_waiting_reason("8", 10) == ""


def test_jobs_are_found_and_cancelled_by_their_name(tmp_path, monkeypatch):
    put_command(tmp_path, monkeypatch, "squeue", """case "$*" in *"-n xdp-worker-kfzt -o %i") printf '4\n9\n';; esac""")
    put_command(tmp_path, monkeypatch, "scancel", f'echo "$@" > {tmp_path}/cancelled')
    assert DIALECTS["slurm"].cancel_by_name("xdp-worker-none", 10) == []
    assert not (tmp_path / "cancelled").exists()
    assert DIALECTS["slurm"].cancel_by_name("xdp-worker-kfzt", 10) == ["4", "9"]
    assert (tmp_path / "cancelled").read_text() == "4 9\n"
