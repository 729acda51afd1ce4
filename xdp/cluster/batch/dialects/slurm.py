"""Slurm: directives, commands, lists."""

from __future__ import annotations

import getpass
import math

from xdp.cluster.batch.commands import run_command, run_or_raise
from xdp.cluster.batch.dialects.base import FAILED, QUEUED, RUNNING, Dialect, Request, quote_path
from xdp.cluster.batch.site import Site


class Slurm(Dialect):
    """Slurm."""

    name = "slurm"
    prefix = "#SBATCH"
    submit_command = ("sbatch", "--parsable")
    cancel_command = ("scancel",)
    settings = ("SLURM_CONF",)

    def make_directives(self, request: Request, site: Site) -> list[str]:
        """One task with its cores, memory for the node."""
        lines = [f"-J {request.name}"]
        if site.queue:
            lines.append(f"-p {site.queue}")
        if site.project:
            lines.append(f"-A {site.project}")
        lines += ["-n 1", f"--cpus-per-task={request.cores}"]
        if request.memory is not None:
            lines.append(f"--mem={math.ceil(request.memory / (1 << 20))}M")
        if site.walltime_seconds:
            hours, rest = divmod(site.walltime_seconds, 3600)
            lines.append(f"-t {hours:02d}:{rest // 60:02d}:{rest % 60:02d}")
        lines.append(f"-o {quote_path(f'{request.logs}/{request.name}.%j.out')}")
        return [*lines, f"--export={'ALL' if site.pass_environment else 'NONE'}"]

    def make_list_command(self) -> tuple[str, ...]:
        """Id and state of the user's jobs."""
        return ("squeue", "-h", "-u", getpass.getuser(), "-o", "%i %T")

    def parse_list(self, listing: str) -> dict[str, str]:
        """Two columns."""
        running = ("RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SUSPENDED")
        ended = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL")
        words = [line.split() for line in listing.splitlines()]
        return {
            pair[0]: RUNNING if pair[1] in running else FAILED if pair[1] in ended else QUEUED
            for pair in words
            if len(pair) == 2
        }

    def find_waiting_reason(self, job: str, timeout: float) -> str:
        """The reason that squeue knows: Resources, Priority, QOSMaxCpuPerUserLimit ...; "None" is none."""
        said = run_command(("squeue", "-h", "-j", job, "-o", "%r"), timeout)
        reason = " ".join(said.out.split())
        return "" if said.status != 0 or reason == "None" else reason

    def find_jobs_by_name(self, name: str, timeout: float) -> list[str]:
        """By squeue -n."""
        command = ("squeue", "-h", "-u", getpass.getuser(), "-n", name, "-o", "%i")
        return run_or_raise(command, timeout).split()
