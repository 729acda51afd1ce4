"""Grid Engine: directives, commands, lists."""

from __future__ import annotations

import getpass
import math
import re

from xdp.cluster.batch.commands import run_command
from xdp.cluster.batch.dialects.base import FAILED, QUEUED, RUNNING, Dialect, Request, quote_path
from xdp.cluster.batch.site import Site


class Sge(Dialect):
    """Sun, Univa, Son of, and Open Grid Engine."""

    name = "sge"
    prefix = "#$"
    submit_command = ("qsub", "-terse")
    cancel_command = ("qdel",)

    def make_directives(self, request: Request, site: Site) -> list[str]:
        """Slots by a parallel environment; memory by the site's resource, which counts per slot."""
        lines = ["-S /bin/bash", f"-N {request.name}"]
        if site.queue:
            lines.append(f"-q {site.queue}")
        if site.project:
            lines.append(f"-P {site.project}")
        if request.cores > 1 and site.parallel_environment:
            lines.append(f"-pe {site.parallel_environment} {request.cores}")
        if site.memory_resource and request.memory is not None:
            per_slot = site.memory_per_slot is None or site.memory_per_slot
            memory = request.memory / (request.cores if per_slot else 1)
            lines.append(f"-l {site.memory_resource}={math.ceil(memory / (1 << 20))}M")
        if site.walltime_seconds:
            lines.append(f"-l h_rt={site.walltime_seconds}")
        lines += ["-cwd", "-j y", f"-o {quote_path(f'{request.logs}/')}"]
        return [*lines, "-V"] if site.pass_environment else lines

    def make_list_command(self) -> tuple[str, ...]:
        """All jobs of the user."""
        return ("qstat", "-u", getpass.getuser())

    def parse_list(self, listing: str) -> dict[str, str]:
        """Columns: id, priority, name, user, state ...; E in the state is an error, r or t running."""
        jobs = {}
        for line in listing.splitlines():
            words = line.split()
            if len(words) > 4 and words[0].isdigit():
                state = words[4]
                jobs[words[0]] = FAILED if "E" in state else RUNNING if "r" in state or "t" in state else QUEUED
        return jobs

    def find_reason(self, job: str, timeout: float) -> str:
        """The "error reason" of qstat -j."""
        said = run_command(("qstat", "-j", job), timeout)
        found = re.search(r"error reason\s+\d+:\s*(.*)", said.out)
        return found[1].strip() if found else ""
