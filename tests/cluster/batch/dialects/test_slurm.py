"""Slurm: what its lists mean."""

from __future__ import annotations

from xdp.cluster.batch.dialects import DIALECTS, FAILED, QUEUED, RUNNING

SLURM_LIST = "1 RUNNING\n2 PENDING\n3 COMPLETING\n4 NODE_FAIL\n5 CONFIGURING\n"


def test_the_list_of_jobs():
    states = {"1": RUNNING, "2": QUEUED, "3": RUNNING, "4": FAILED, "5": RUNNING}
    assert DIALECTS["slurm"].parse_list(SLURM_LIST) == states
    assert DIALECTS["slurm"].parse_list("") == {}
