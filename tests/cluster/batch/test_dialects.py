"""Job scripts against golden files, and what each batch system's lists mean.

``XDP_WRITE_GOLDEN=1 pytest tests/cluster/batch/test_dialects.py`` writes the golden files anew; read the diff.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import DIALECTS, FAILED, QUEUED, RUNNING, Request
from xdp.cluster.batch.site import Site

GOLDEN = Path(__file__).parents[1] / "golden"
REQUEST = Request("xdp-worker", "exec python -m worker 'a b'", 6, 12_000_000_000, "/data/run/xdp-logs",
                  {"OMP_NUM_THREADS": "1", "TEXT": "it's"})
FULL = {"queue": "main.q", "project": "mx1234", "walltime": "04:30:00", "directives": ("-x extra",),
        "prologue": ("module load python",), "variables": {"SITE": "x y"}}
CASES = {
    "sge": ("sge", {}),
    "sge_full": ("sge", {**FULL, "parallel_environment": "openmp", "memory_resource": "m_mem_free",
                         "pass_environment": True}),
    "sge_plain": ("sge", {"memory_resource": None, "parallel_environment": None}),
    "lsf": ("lsf", {}),
    "lsf_full": ("lsf", {**FULL, "lsf_units": "kb", "memory_per_slot": True, "pass_environment": True}),
    "pbs": ("pbs", {}),
    "pbs_full": ("pbs", {**FULL, "pbs_style": "nodes", "pass_environment": True}),
    "slurm": ("slurm", {}),
    "slurm_full": ("slurm", {**FULL, "pass_environment": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_job_scripts(case):
    scheduler, keys = CASES[case]
    script = DIALECTS[scheduler].script(REQUEST, Site(scheduler=scheduler, **keys))
    golden = GOLDEN / f"{case}.sh"
    if os.environ.get("XDP_WRITE_GOLDEN"):
        golden.write_text(script)
    assert script == golden.read_text()
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("case", CASES)
def test_no_memory_is_asked_for_where_none_is_wanted(case):
    scheduler, keys = CASES[case]
    site = Site(scheduler=scheduler, **{**keys, "memory": None})
    without = DIALECTS[scheduler].header(dataclasses.replace(REQUEST, memory=site.memory_bytes), site)
    asked = DIALECTS[scheduler].header(REQUEST, site)
    telling = re.compile(r"mem=\w+|h_vmem|m_mem_free|^-M ")
    assert not any(telling.search(line) for line in without)
    assert any(telling.search(line) for line in asked) == (case != "sge_plain")
    # all else stays as it is
    assert [re.sub(":mem=.*", "", line) for line in asked
            if not re.match(r"-M |-l (mem|h_vmem|m_mem_free)=|--mem=|-R .rusage", line)] == without


@pytest.mark.parametrize("scheduler", DIALECTS)
def test_folders_with_blanks_are_quoted_and_no_others(scheduler):
    site = Site(scheduler=scheduler)
    request = dataclasses.replace(REQUEST, logs="/tmp/my data (new)/run's/xdp-logs")
    lines = [line for line in DIALECTS[scheduler].header(request, site) if line.startswith("-o")]
    assert len(lines) == 1
    assert shlex.split(lines[0])[1].startswith(request.logs)
    assert re.fullmatch('-o "/.*"', lines[0])
    assert not any('-o "' in line for line in DIALECTS[scheduler].header(REQUEST, site))
    for folder in ('/a"b', "/a\\b", "/a\nb"):
        with pytest.raises(SchedulerError, match="a job script cannot name a folder with quotes, backslashes or line"):
            DIALECTS[scheduler].header(dataclasses.replace(REQUEST, logs=folder), site)


def test_the_environment_reaches_the_command(tmp_path):
    request = Request("n", 'exec printf "%s|%s" "$TEXT" "$SITE"', 1, 10**9, str(tmp_path), {"TEXT": "it's $HOME"})
    script = DIALECTS["sge"].script(request, Site(scheduler="sge", variables={"SITE": 'a "b" `c`'}))
    done = subprocess.run(["bash"], input=script, text=True, capture_output=True, check=True)
    assert done.stdout == "it's $HOME|a \"b\" `c`"


SGE_LIST = """job-ID  prior   name       user         state submit/start at     queue    slots ja-task-ID
-----------------------------------------------------------------------------------------------------------------
     12 0.55500 xdp-worker root         r     11/21/2026 01:44:31 all.q@vm                           2
     13 0.55500 xdp-worker root         qw    11/21/2026 01:44:31                                    2
     14 0.55500 xdp-worker root         Eqw   11/21/2026 01:44:31                                    2
     15 0.55500 xdp-worker root         hqw   11/21/2026 01:44:31                                    2
     16 0.55500 xdp-worker root         dr    11/21/2026 01:44:31 all.q@vm                           2
     17 0.55500 xdp-worker root         t     11/21/2026 01:44:31 all.q@vm                           2
"""
LSF_LIST = """JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME
1       root    RUN   normal     vm          vm          xdp-worker Nov 21 01:44
2       root    PEND  normal     vm                      xdp-worker Nov 21 01:44
3       root    EXIT  normal     vm          vm          xdp-worker Nov 21 01:44
4       root    DONE  normal     vm          vm          xdp-worker Nov 21 01:44
5       root    PSUSP normal     vm                      xdp-worker Nov 21 01:44
6       root    UNKWN normal     vm          vm          xdp-worker Nov 21 01:44
"""
PBS_LIST = """Job id            Name             User              Time Use S Queue
----------------  ---------------- ----------------  -------- - -----
1.vm              xdp-worker       root              00:00:01 R workq
2.vm              xdp-worker       root                     0 Q workq
3.vm              xdp-worker       root              00:00:01 E workq
4.vm              xdp-worker       root              00:00:01 F workq
"""
SLURM_LIST = "1 RUNNING\n2 PENDING\n3 COMPLETING\n4 NODE_FAIL\n5 CONFIGURING\n"


@pytest.mark.parametrize(
    ("name", "listing", "states"),
    [
        ("sge", SGE_LIST, {"12": RUNNING, "13": QUEUED, "14": FAILED, "15": QUEUED, "16": RUNNING, "17": RUNNING}),
        ("lsf", LSF_LIST, {"1": RUNNING, "2": QUEUED, "3": FAILED, "5": QUEUED, "6": RUNNING}),
        ("pbs", PBS_LIST, {"1": RUNNING, "2": QUEUED, "3": RUNNING}),
        ("slurm", SLURM_LIST, {"1": RUNNING, "2": QUEUED, "3": RUNNING, "4": FAILED, "5": RUNNING}),
    ],
)
def test_lists_of_jobs(name, listing, states):
    assert DIALECTS[name].parse(listing) == states
    assert DIALECTS[name].parse("") == {}


PBS_CUT = """Job id            Name             User              Time Use S Queue
----------------  ---------------- ----------------  -------- - -----
38438.master      test-pbs         someone                  0 Q romeq
38439.master.gw*  test-pbs         someone           00:00:01 R romeq
38440[].master    test-pbs         someone                  0 B romeq
38441[4].master   test-pbs         someone                  0 Q romeq
38442             test-pbs         someone                  0 Q romeq
"""


def test_pbs_jobs_are_known_by_every_form_of_their_ids(tmp_path, monkeypatch):
    (tmp_path / "list").write_text(PBS_CUT)
    fake(tmp_path, monkeypatch, "qstat", f"cat {tmp_path}/list")
    jobs = DIALECTS["pbs"].jobs(10)
    for job in ("38438", "38439", "38440[]", "38441[4]", "38442"):
        for form in (job, f"{job}.master", f"{job}.master.gw4.metoffice.gov.uk"):
            assert form in jobs
            assert jobs[form] == jobs.get(form) == (RUNNING if job in ("38439", "38440[]") else QUEUED)
    assert len(jobs) == 5
    assert all(job in jobs for job in jobs)
    for job in ("3843.master", "38441[5].master", "38441.master", "384380.master"):
        assert job not in jobs
        assert jobs.get(job) is None
        assert jobs.get(job, "gone") == "gone"


def test_pbs_deletes_a_job_by_its_whole_id(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "qdel", f'echo "$@" > {tmp_path}/deleted')
    DIALECTS["pbs"].cancel_jobs(["38438.master.gw4.metoffice.gov.uk", "38441[4].master"], 10)
    assert (tmp_path / "deleted").read_text() == "38438.master.gw4.metoffice.gov.uk 38441[4].master\n"


@pytest.mark.parametrize(
    ("name", "command", "said", "job"),
    [
        ("sge", "qsub", "12", "12"),
        ("lsf", "bsub", "Job <77> is submitted to default queue <normal>.", "77"),
        ("pbs", "qsub", "123.server.example.org", "123.server.example.org"),
        ("pbs", "qsub", "123[].server.example.org", "123[].server.example.org"),
        ("slurm", "sbatch", "456;cluster", "456"),
    ],
)
def test_ids_of_submitted_jobs(tmp_path, monkeypatch, name, command, said, job):
    fake(tmp_path, monkeypatch, command, f"echo '{said}'")
    assert DIALECTS[name].submit_script("#!/bin/bash\n", str(tmp_path / "script"), 10) == job


def test_a_refusal_is_quoted(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "bsub", "echo 'psfehq: No such queue. Job not submitted.' >&2; exit 255")
    with pytest.raises(SchedulerError, match=r"^bsub said: psfehq: No such queue\. Job not submitted\.$"):
        DIALECTS["lsf"].submit_script("", "x", 10)


def test_an_answer_without_an_id_is_quoted(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "sbatch", "echo hello there")
    with pytest.raises(SchedulerError, match="sbatch gave no job id, it said: hello there"):
        DIALECTS["slurm"].submit_script("", "x", 10)


def test_lsf_says_that_there_are_no_jobs_by_an_error(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "bjobs", "echo 'No unfinished job found' >&2; exit 255")
    assert DIALECTS["lsf"].jobs(10) == {}
    fake(tmp_path, monkeypatch, "bjobs", "echo 'LSF is down. Please wait ...' >&2; exit 255")
    with pytest.raises(SchedulerError, match="LSF is down"):
        DIALECTS["lsf"].jobs(10)


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
    lines = DIALECTS["lsf"].header(REQUEST, Site(scheduler="lsf", **keys))
    assert f'-R "rusage[mem={reserved}]"' in lines
    assert f"-M {limit}" in lines


def fake(folder, monkeypatch, name, body):
    """Put a command of that name first on the path."""
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
    if str(folder) not in os.environ["PATH"].split(os.pathsep):
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
