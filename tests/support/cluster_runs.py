"""Runs of xdp on the clusters of the tests, as processes of their own, and waiting for their queues."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xdp.cluster.batch.dialects import DIALECTS

#: What a process needs to find Debian's DRMAA library of Grid Engine.
DRMAA = {"GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=8192",
         "SGE_ROOT": os.environ.get("SGE_ROOT", "/var/lib/gridengine")}


def need_drmaa() -> None:
    """Skip the test where the Python package is missing."""
    if importlib.util.find_spec("drmaa") is None:
        pytest.skip("needs the package drmaa (pip install xdp[cluster])")


def xdp(*args, cwd, check=True, **environment):
    """Run an xdp command; what it printed."""
    done = subprocess.run([sys.executable, "-m", "xdp.cli.main", *map(str, args)], cwd=cwd, text=True, check=False,
                          capture_output=True, env={**os.environ, **environment}, timeout=280)
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done


def same(series: Path, folder: Path) -> bool:
    """Whether a run's spots are byte for byte those of the local run."""
    return (folder / "strong.refl").read_bytes() == (series / "local.refl").read_bytes()


def left_in_queue(name: str, seconds: float = 45.0) -> dict[str, str]:
    """The jobs that a batch system still has after the seconds that cancelling takes, at most."""
    end = time.monotonic() + seconds
    while (jobs := DIALECTS[name].list_jobs(30)) and time.monotonic() < end:
        time.sleep(0.5)
    return jobs


def explain_left_jobs(name: str, jobs: dict[str, str]) -> str:
    """What the batch system knows of jobs that should be gone, for the message of the test."""
    commands = {"slurm": [["scontrol", "show", "job", job] for job in jobs]
                + [["grep", "-hE", "|".join(f"(JobId=|JOB |job |\\[){job}\\b" for job in jobs),
                    "/var/log/slurm/slurmctld.log", "/var/log/slurm/slurmd.log"],
                   ["ps", "axo", "pid,ppid,etimes,stat,args"]],
                "sge": [["qstat", "-j", job] for job in jobs]}.get(name, [])
    said = [subprocess.run(command, capture_output=True, text=True, check=False).stdout[-3000:] for command in commands]
    return "\n".join([str(jobs), *said]) if jobs else ""
