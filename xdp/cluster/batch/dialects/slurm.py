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
        """Make the directives: one task with its cores, and memory for its node.

        Workers are processes with threads inside, so that a job has one task, whatever its cores.
        """
        lines = [f"-J {request.name}"]
        if site.queue:
            lines.append(f"-p {site.queue}")
        if site.project:
            lines.append(f"-A {site.project}")
        lines += ["-n 1", f"--cpus-per-task={request.cores}"]
        if request.memory is not None:
            # Slurm's M is a MiB
            lines.append(f"--mem={math.ceil(request.memory / (1 << 20))}M")
        if site.walltime_seconds:
            hours, rest = divmod(site.walltime_seconds, 3600)
            lines.append(f"-t {hours:02d}:{rest // 60:02d}:{rest % 60:02d}")
        lines.append(f"-o {quote_path(f'{request.logs}/{request.name}.%j.out')}")
        # written in both cases: a site may have another default
        return [*lines, f"--export={'ALL' if site.pass_environment else 'NONE'}"]

    def make_list_command(self) -> tuple[str, ...]:
        """Make the command that lists the user's jobs: id and state, without the line of titles."""
        return ("squeue", "-h", "-u", getpass.getuser(), "-o", "%i %T")

    def parse_list(self, listing: str) -> dict[str, str]:
        """Read the two columns: id and state.

        States that are neither running nor ended wait: PENDING, REQUEUED, SPECIAL_EXIT ...
        """
        # jobs that complete or are suspended hold their cores still
        running = ("RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SUSPENDED")
        ended = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL")
        words = [line.split() for line in listing.splitlines()]
        return {
            pair[0]: RUNNING if pair[1] in running else FAILED if pair[1] in ended else QUEUED
            for pair in words
            if len(pair) == 2
        }

    def find_waiting_reason(self, job: str, timeout: float) -> str:
        """Find out why a job waits: Resources, Priority, QOSMaxCpuPerUserLimit ...

        Slurm says "None" of a job that its scheduler has not looked at yet.
        """
        said = run_command(("squeue", "-h", "-j", job, "-o", "%r"), timeout)
        reason = " ".join(said.out.split())
        return "" if said.status != 0 or reason == "None" else reason

    def find_jobs_by_name(self, name: str, timeout: float) -> list[str]:
        """Find jobs by squeue -n, which compares whole names; no output means that there are none."""
        command = ("squeue", "-h", "-u", getpass.getuser(), "-n", name, "-o", "%i")
        return run_or_raise(command, timeout).split()
