"""Grid Engine: directives, commands, lists."""

from __future__ import annotations

import getpass
import math
import re

from xdp.cluster.batch.commands import run_command, run_or_raise
from xdp.cluster.batch.dialects.base import FAILED, QUEUED, RUNNING, Dialect, Request, quote_path
from xdp.cluster.batch.site import Site, parse_size

ADDRESS_SPACE = ("h_vmem", "s_vmem")
"""Resources of Grid Engine that limit address space, of which a process reserves more than it uses."""


class Sge(Dialect):
    """Sun, Univa, Son of, and Open Grid Engine."""

    name = "sge"
    prefix = "#$"
    submit_command = ("qsub", "-terse")
    cancel_command = ("qdel",)
    settings = ("SGE_ROOT", "SGE_CELL", "SGE_QMASTER_PORT", "SGE_EXECD_PORT")

    def make_directives(self, request: Request, site: Site) -> list[str]:
        """Slots by a parallel environment; memory by the site's resource, which counts per slot."""
        lines = ["-S /bin/bash", f"-N {request.name}"]
        if site.queue:
            lines.append(f"-q {site.queue}")
        if site.project:
            lines.append(f"-P {site.project}")
        # a queue may serve no parallel environment, which a job of one slot does not need
        if request.cores > 1 and site.parallel_environment:
            lines.append(f"-pe {site.parallel_environment} {request.cores}")
        if site.memory_resource and request.memory is not None:
            # Grid Engine multiplies what is asked for by the slots, unless the resource is counted per job
            per_slot = site.memory_per_slot is None or site.memory_per_slot
            memory = max(request.memory, request.cores * least_per_slot(site)) / (request.cores if per_slot else 1)
            lines.append(f"-l {site.memory_resource}={math.ceil(memory / (1 << 20))}M")
        if site.walltime_seconds:
            lines.append(f"-l h_rt={site.walltime_seconds}")
        # a folder: Grid Engine makes the name of the file of the job's name and id
        lines += ["-cwd", "-j y", f"-o {quote_path(f'{request.logs}/')}"]
        return [*lines, "-V"] if site.pass_environment else lines

    def make_list_command(self) -> tuple[str, ...]:
        """All jobs of the user."""
        return ("qstat", "-u", getpass.getuser())

    def parse_list(self, listing: str) -> dict[str, str]:
        """Read the list of qstat.

        The fifth column has letters of the state: E is an error, r and t are running; dr is running and being deleted.
        The lines above the jobs begin with no number.
        """
        jobs = {}
        for line in listing.splitlines():
            words = line.split()
            if len(words) > 4 and words[0].isdigit():
                state = words[4]
                jobs[words[0]] = FAILED if "E" in state else RUNNING if "r" in state or "t" in state else QUEUED
        return jobs

    def find_reason(self, job: str, timeout: float) -> str:
        """Find the reason of a job in the state Eqw, such as a log folder that the node does not have.

        ``qstat -j`` has a line "error reason  1:  ..." for it.
        """
        said = run_command(("qstat", "-j", job), timeout)
        found = re.search(r"error reason\s+\d+:\s*(.*)", said.out)
        return found[1].strip() if found else ""

    def find_waiting_reason(self, job: str, timeout: float) -> str:
        """Find out why a job waits, by the "scheduling info" of qstat -j.

        Where a site has switched that off (schedd_job_info), ``qalter -w v`` tries whether the job could run on the
        empty cluster, and changes nothing.
        """
        lines = run_command(("qstat", "-j", job), timeout).out.splitlines()
        start = next((i for i, line in enumerate(lines) if line.startswith("scheduling info:")), None)
        if start is not None:
            # the first line has the label, further ones are indented and go on to the end
            reasons = [lines[start].partition(":")[2].strip(), *map(str.strip, lines[start + 1:])]
            reasons = [line for line in reasons if line and not line.startswith("(Collecting")]
            if reasons:
                return "; ".join(reasons)
        tried = run_command(("qalter", "-w", "v", job), timeout)
        reasons = [line.strip() for line in f"{tried.out}\n{tried.err}".splitlines()]
        return "; ".join(line for line in reasons if line.startswith(("Job ", "verification: no ")))

    def find_jobs_by_name(self, name: str, timeout: float) -> list[str]:
        """Find jobs by the long form of qstat, which has a line "Full jobname:" below that of each job.

        The short form cuts names after ten letters.
        """
        job, found = "", []
        for line in run_or_raise((*self.make_list_command(), "-r"), timeout).splitlines():
            words = line.split()
            if words and words[0].isdigit():
                job = words[0]
            elif words[:2] == ["Full", "jobname:"] and words[2:] == [name]:
                found.append(job)
        return found


def least_per_slot(site: Site) -> int:
    """Choose the least memory that is asked for a slot.

    Parameters
    ----------
    site : Site

    Returns
    -------
    int
        Bytes; 0 where the resource limits memory in use, of which no more is needed than the site's file says.
    """
    if site.memory_resource not in ADDRESS_SPACE or site.slot_minimum is None:
        return 0
    return parse_size(site.slot_minimum)
