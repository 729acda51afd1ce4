"""PBS: directives, commands, lists."""

from __future__ import annotations

import getpass
import math
import re

from xdp.cluster.batch.commands import run_command, run_or_raise
from xdp.cluster.batch.dialects.base import QUEUED, RUNNING, Dialect, Request, quote_path
from xdp.cluster.batch.site import Site


class Pbs(Dialect):
    """PBS Professional, OpenPBS and Torque."""

    name = "pbs"
    prefix = "#PBS"
    submit_command = ("qsub",)
    cancel_command = ("qdel",)
    settings = ("PBS_CONF_FILE", "PBS_EXEC", "PBS_HOME", "PBS_SERVER")
    id_pattern = r"\d+(?:\[\])?(?:\.[\w.-]+)?"

    def make_directives(self, request: Request, site: Site) -> list[str]:
        """One chunk with cores and memory (select), or one node with processors (nodes), as the site has it."""
        lines = [f"-N {request.name[:15]}"]  # PBS allows 15 letters
        if site.queue:
            lines.append(f"-q {site.queue}")
        if site.project:
            lines.append(f"-A {site.project}")
        # PBS's mb are MiB
        memory = [] if request.memory is None else [f"mem={math.ceil(request.memory / (1 << 20))}mb"]
        if site.pbs_style == "select":
            lines.append("-l " + ":".join(["select=1", f"ncpus={request.cores}", *memory]))
        else:
            lines += [f"-l nodes=1:ppn={request.cores}", *(f"-l {text}" for text in memory)]
        if site.walltime_seconds:
            hours, rest = divmod(site.walltime_seconds, 3600)
            lines.append(f"-l walltime={hours:02d}:{rest // 60:02d}:{rest % 60:02d}")
        # a folder: PBS makes the name of the file of the job's id
        lines += ["-j oe", f"-o {quote_path(f'{request.logs}/')}"]
        return [*lines, "-V"] if site.pass_environment else lines

    def shorten_id(self, job: str) -> str:
        """The number, with an array's index.

        qsub prints ``123.server.example.org``, qstat only ``123.server`` or ``123.server.exa*``.
        """
        return job.partition(".")[0]

    def make_start_lines(self) -> list[str]:
        """Go to the folder of the submission, since PBS starts jobs in the home folder."""
        return ['cd "${PBS_O_WORKDIR:-.}"']

    def make_list_command(self) -> tuple[str, ...]:
        """Make the command that lists all jobs that have not ended.

        The plain form: the wide one (``qstat -u``) cuts ids.
        """
        return ("qstat",)

    def parse_list(self, listing: str) -> dict[str, str]:
        """Read the columns id, name, user, time, state, queue.

        F, C and X have ended, where the server keeps a history; R runs, E is at its end, B is an array that has begun.
        """
        jobs = {}
        for line in listing.splitlines():
            words = line.split()
            if len(words) >= 6 and words[0][0].isdigit():
                state = words[-2]
                if state in ("F", "C", "X"):
                    continue
                jobs[self.shorten_id(words[0])] = RUNNING if state in ("R", "E", "B") else QUEUED
        return jobs

    def find_waiting_reason(self, job: str, timeout: float) -> str:
        """Find out why a job waits, by its comment in qstat -f, which PBS writes at each of its cycles.

        A long comment goes on in lines that begin with a tab.
        """
        said = run_command(("qstat", "-f", job), timeout).out.replace("\n\t", "")
        found = re.search(r"^\s*comment = (.*)$", said, re.MULTILINE)
        return found[1].strip() if found else ""

    def find_jobs_by_name(self, name: str, timeout: float) -> list[str]:
        """Find jobs by qselect, which OpenPBS and Torque have; no output means that there are none."""
        return run_or_raise(("qselect", "-N", name, "-u", getpass.getuser()), timeout).split()
