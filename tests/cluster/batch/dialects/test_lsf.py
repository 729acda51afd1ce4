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
    assert [line for line in lines if line.startswith("-R")] == [f'-R "span[hosts=1] rusage[mem={reserved}]"']
    assert f"-M {limit}" in lines


def test_errors_of_volclava_go_to_no_file_of_the_name_nv():
    """It knows no -env and reads the option as -e nv."""
    def lines(**keys):
        return DIALECTS["lsf"].make_directives(REQUEST, Site(scheduler="lsf", **keys))

    assert '-env "none"' in lines()
    assert not any(line.startswith("-e") for line in lines(clear_environment=False))
    assert not any(line.startswith("-e") for line in lines(pass_environment=True))


@pytest.mark.parametrize(
    ("directives", "requirement", "left"),
    [
        (('-R "select[type==X86_64]"', "-x"), "select[type==X86_64] span[hosts=1] rusage[mem=12000MB]", ["-x"]),
        (("-R 'type==any'", '-R "select[mem>1] rusage[ngpus=1]"'),
         "select[(type==any) && (mem>1)] span[hosts=1] rusage[mem=12000MB,ngpus=1]", []),
        (('-R "rusage[mem=5000MB] span[ptile=6]"',), "span[ptile=6] rusage[mem=5000MB]", []),
        (('-R "{select[a]} || {select[b]}"',), "span[hosts=1] rusage[mem=12000MB]",
         ['-R "{select[a]} || {select[b]}"']),
    ],
)
def test_there_is_one_resource_requirement(directives, requirement, left):
    """volclava refuses a second -R."""
    site = Site(scheduler="lsf", directives=directives)
    lines = DIALECTS["lsf"].make_script(REQUEST, site).splitlines()
    assert [line for line in lines if "#BSUB -R" in line] == [
        f'#BSUB -R "{requirement}"', *(f"#BSUB {line}" for line in left if line.startswith("-R"))]
    assert [line for line in left if f"#BSUB {line}" in lines] == left


def test_a_job_that_waits_says_why(tmp_path, monkeypatch):
    (tmp_path / "said").write_text(
        "JOBID   USER    STAT  QUEUE      FROM_HOST   JOB_NAME   SUBMIT_TIME\n7       root    PEND  normal     vm"
        "          xdp-worker Nov 21 01:44\n Queue's resource requirements not satisfied: 3 hosts;\n"
        " Load information unavailable: 1 host;\n")
    put_command(tmp_path, monkeypatch, "bjobs", f'[ "$*" = "-p 7" ] && cat {tmp_path}/said')
    reason = DIALECTS["lsf"].find_waiting_reason("7", 10)
    assert reason == "Queue's resource requirements not satisfied: 3 hosts; Load information unavailable: 1 host"
    assert DIALECTS["lsf"].find_waiting_reason("8", 10) == ""


def test_jobs_are_found_by_their_name(tmp_path, monkeypatch):
    (tmp_path / "said").write_text(LSF_LIST)
    put_command(tmp_path, monkeypatch, "bjobs", f"""case "$*" in "-w -J xdp-worker-kfzt") cat {tmp_path}/said;;
        "-w -J xdp-worker-none") echo 'Job <xdp-worker-none> is not found' >&2; exit 255;;
        *) echo 'LSF is down' >&2; exit 255;; esac""")
    assert DIALECTS["lsf"].find_jobs_by_name("xdp-worker-kfzt", 10) == ["1", "2", "3", "5", "6"]
    assert DIALECTS["lsf"].find_jobs_by_name("xdp-worker-none", 10) == []
    with pytest.raises(SchedulerError, match="LSF is down"):
        DIALECTS["lsf"].find_jobs_by_name("x", 10)
