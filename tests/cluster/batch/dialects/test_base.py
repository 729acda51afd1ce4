"""Job scripts against golden files, and submissions, for all batch systems.

``XDP_WRITE_GOLDEN=1 pytest tests/cluster/batch/dialects/test_base.py`` writes the golden files anew; read the diff.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from fake_commands import put_command

from xdp.cluster.batch.commands import SchedulerError
from xdp.cluster.batch.dialects import DIALECTS, Request
from xdp.cluster.batch.site import Site

GOLDEN = Path(__file__).parents[2] / "golden"
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
    script = DIALECTS[scheduler].make_script(REQUEST, Site(scheduler=scheduler, **keys))
    golden = GOLDEN / f"{case}.sh"
    if os.environ.get("XDP_WRITE_GOLDEN"):
        golden.write_text(script)
    assert script == golden.read_text()
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("case", CASES)
def test_no_memory_is_asked_for_where_none_is_wanted(case):
    scheduler, keys = CASES[case]
    site = Site(scheduler=scheduler, **{**keys, "memory": None})
    without = DIALECTS[scheduler].make_directives(dataclasses.replace(REQUEST, memory=site.memory_bytes), site)
    asked = DIALECTS[scheduler].make_directives(REQUEST, site)
    telling = re.compile(r"mem=\w+|h_vmem|m_mem_free|^-M ")
    assert not any(telling.search(line) for line in without)
    assert any(telling.search(line) for line in asked) == (case != "sge_plain")
    # all else stays as it is
    assert [re.sub(r":mem=.*| rusage\[[^\]]*\]", "", line) for line in asked
            if not re.match(r"-M |-l (mem|h_vmem|m_mem_free)=|--mem=", line)] == without


@pytest.mark.parametrize("scheduler", DIALECTS)
def test_folders_with_blanks_are_quoted_and_no_others(scheduler):
    site = Site(scheduler=scheduler)
    request = dataclasses.replace(REQUEST, logs="/tmp/my data (new)/run's/xdp-logs")
    lines = [line for line in DIALECTS[scheduler].make_directives(request, site) if line.startswith("-o")]
    assert len(lines) == 1
    assert shlex.split(lines[0])[1].startswith(request.logs)
    assert re.fullmatch('-o "/.*"', lines[0])
    assert not any('-o "' in line for line in DIALECTS[scheduler].make_directives(REQUEST, site))
    for folder in ('/a"b', "/a\\b", "/a\nb"):
        with pytest.raises(SchedulerError, match="a job script cannot name a folder with quotes, backslashes or line"):
            DIALECTS[scheduler].make_directives(dataclasses.replace(REQUEST, logs=folder), site)


def test_the_environment_reaches_the_command(tmp_path):
    request = Request("n", 'exec printf "%s|%s" "$TEXT" "$SITE"', 1, 10**9, str(tmp_path), {"TEXT": "it's $HOME"})
    script = DIALECTS["sge"].make_script(request, Site(scheduler="sge", variables={"SITE": 'a "b" `c`'}))
    done = subprocess.run(["bash"], input=script, text=True, capture_output=True, check=True)
    assert done.stdout == "it's $HOME|a \"b\" `c`"


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
    put_command(tmp_path, monkeypatch, command, f"echo '{said}'")
    assert DIALECTS[name].submit_script("#!/bin/bash\n", str(tmp_path / "script"), 10) == job


def test_a_refusal_is_quoted(tmp_path, monkeypatch):
    put_command(tmp_path, monkeypatch, "bsub", "echo 'psfehq: No such queue. Job not submitted.' >&2; exit 255")
    with pytest.raises(SchedulerError, match=r"^bsub said: psfehq: No such queue\. Job not submitted\.$"):
        DIALECTS["lsf"].submit_script("", "x", 10)


def test_an_answer_without_an_id_is_quoted(tmp_path, monkeypatch):
    put_command(tmp_path, monkeypatch, "sbatch", "echo hello there")
    with pytest.raises(SchedulerError, match="sbatch gave no job id, it said: hello there"):
        DIALECTS["slurm"].submit_script("", "x", 10)


@pytest.mark.parametrize("scheduler", DIALECTS)
def test_a_job_finds_the_commands_of_its_own_batch_system(tmp_path, monkeypatch, scheduler):
    """Its path is short, and the prologue may put those of another one on it."""
    command = DIALECTS[scheduler].submit_command[0]
    for folder in ("own place", "other"):
        (tmp_path / folder).mkdir()
        put_command(tmp_path / folder, monkeypatch, command, f"echo {folder}")
    request = Request("n", f"exec {command}", 1, None, str(tmp_path), command_folders=(str(tmp_path / "own place"),))
    site = Site(scheduler=scheduler, prologue=(f'PATH="{tmp_path}/other:$PATH"',))
    script = DIALECTS[scheduler].make_script(request, site)
    done = subprocess.run(["bash"], input=script, text=True, capture_output=True, check=True, cwd=tmp_path,
                          env={"PATH": "/usr/bin:/bin"})
    assert done.stdout == "own place\n"
