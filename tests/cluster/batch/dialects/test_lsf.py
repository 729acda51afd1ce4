"""LSF: what its lists mean, and the memory that is asked of it."""

from __future__ import annotations

import pytest
from fake_commands import put_command

from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import DIALECTS, FAILED, QUEUED, RUNNING, Request
from xdp.cluster.batch.site import Site

REQUEST = Request("xdp-worker", "exec true", 6, 12_000_000_000, "/data/run/xdp-logs")
LSF_LIST = """JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME
1       root    RUN   normal     vm          vm          xdp-worker Nov 21 01:44
2       root    PEND  normal     vm                      xdp-worker Nov 21 01:44
3       root    EXIT  normal     vm          vm          xdp-worker Nov 21 01:44
4       root    DONE  normal     vm          vm          xdp-worker Nov 21 01:44
5       root    PSUSP normal     vm                      xdp-worker Nov 21 01:44
6       root    UNKWN normal     vm          vm          xdp-worker Nov 21 01:44
"""


def test_the_list_of_jobs():
    assert DIALECTS["lsf"].parse_list(LSF_LIST) == {"1": RUNNING, "2": QUEUED, "3": FAILED, "5": QUEUED, "6": RUNNING}
    assert DIALECTS["lsf"].parse_list("") == {}


def test_lsf_says_that_there_are_no_jobs_by_an_error(tmp_path, monkeypatch):
    put_command(tmp_path, monkeypatch, "bjobs", "echo 'No unfinished job found' >&2; exit 255")
    assert DIALECTS["lsf"].list_jobs(10) == {}
    put_command(tmp_path, monkeypatch, "bjobs", "echo 'LSF is down. Please wait ...' >&2; exit 255")
    with pytest.raises(SchedulerError, match="LSF is down"):
        DIALECTS["lsf"].list_jobs(10)


@pytest.mark.parametrize(
    ("keys", "reserved", "limit"),
    [
        ({}, "12000MB", "12000MB"),
        ({"memory_per_slot": True}, "2000MB", "12000MB"),
        ({"limit_per_slot": True}, "12000MB", "2000MB"),
        ({"lsf_units": "kb"}, "12000", "12000000"),  # rusage counts MB where -M counts kB
        ({"lsf_units": "kb", "memory_per_slot": True, "limit_per_slot": True}, "2000", "2000000"),
        ({"lsf_units": "mb", "memory_per_slot": False}, "12000", "12000"),
        ({"lsf_units": "gb", "memory_per_slot": True}, "2", "12"),
    ],
)
def test_lsf_reserves_and_limits_memory_each_in_its_own_way(keys, reserved, limit):
    lines = DIALECTS["lsf"].make_directives(REQUEST, Site(scheduler="lsf", **keys))
    assert f'-R "rusage[mem={reserved}]"' in lines
    assert f"-M {limit}" in lines
