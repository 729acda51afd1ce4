"""How each batch system is spoken to: directives of a job script, commands, and the lists they print."""

from __future__ import annotations

import getpass
import math
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdp.cluster.batch.commands import SchedulerError, run_command, run_or_raise
from xdp.cluster.batch.site import Site

QUEUED, RUNNING, FAILED = "queued", "running", "failed"


@dataclass(frozen=True)
class Request:
    """One job.

    Attributes
    ----------
    name : str
        The job's name; its output goes to NAME.o<id> or so in `logs`.
    command : str
        Shell text that the job runs last.
    cores : int
    memory : int or None
        Bytes for the whole job; None: no request, as the batch system does it.
    logs : str
        Folder, which exists.
    environment : dict
        Variables exported before the command.
    """

    name: str
    command: str
    cores: int
    memory: int | None
    logs: str
    environment: dict[str, str] = field(default_factory=dict)


def quote_path(path: str) -> str:
    """A path as one word of a directive: in double quotes, which all four systems understand, if it has blanks.

    Raises
    ------
    SchedulerError
        If it has a letter that cannot be written so.
    """
    if re.search(r'["\\]|[^\S ]', path):
        raise SchedulerError(f"{path!r}: a job script cannot name a folder with quotes, backslashes or line breaks; "
                             "work in another one or set log_folder in the site's file")
    return path if re.fullmatch(r"[\w./%+=:,@~^-]+", path) else f'"{path}"'


class Listing(dict[str, str]):
    """Jobs of a batch system: id -> state, where a job is found by its id in whatever form its commands print it."""

    def __init__(self, jobs: Mapping[str, str], key: Callable[[str], str]) -> None:
        """List `jobs`, of whose ids `key` makes the part that all forms have in common."""
        super().__init__({key(job): state for job, state in jobs.items()})
        self._key = key

    def __contains__(self, job: object) -> bool:
        return super().__contains__(self._key(str(job)))

    def __getitem__(self, job: str) -> str:
        return super().__getitem__(self._key(job))

    def get(self, job: str, default: Any = None) -> Any:
        """The state of a job, else `default`."""
        return super().get(self._key(job), default)


class Dialect(ABC):
    """A batch system; subclasses say how it differs."""

    name = ""
    prefix = "#"
    submit: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    id_pattern = r"\d+"
    by_stdin = False

    @abstractmethod
    def header(self, request: Request, site: Site) -> list[str]:
        """The directives of a job, without their prefix."""

    def script(self, request: Request, site: Site) -> str:
        """The whole job script."""
        directives = [f"{self.prefix} {line}" for line in (*self.header(request, site), *site.directives)]
        exports = [
            f"export {name}={shlex.quote(value)}" for name, value in {**request.environment, **site.variables}.items()
        ]
        lines = ["#!/bin/bash", *directives, *self.start_lines(), *site.prologue, *exports, request.command]
        return "\n".join(lines) + "\n"

    def start_lines(self) -> list[str]:
        """Shell lines that every job of this batch system needs first."""
        return []

    def submit_script(self, script: str, path: str, timeout: float) -> str:
        """Submit the script, which lies at `path`; the job's id.

        Raises
        ------
        SchedulerError
            If it is refused; the message quotes why.
        """
        if self.by_stdin:
            said = run_or_raise(self.submit, timeout, stdin=script)
        else:
            said = run_or_raise((*self.submit, path), timeout)
        match = re.search(self.id_pattern, said)
        if match is None:
            raise SchedulerError(f"{self.submit[0]} gave no job id, it said: {' '.join(said.split())}")
        return match[1] if match.groups() else match[0]

    def cancel_jobs(self, ids: Sequence[str], timeout: float) -> None:
        """Cancel jobs; those that are gone already are none of our concern."""
        if ids:
            run_command((*self.cancel, *ids), timeout)

    @abstractmethod
    def query(self) -> tuple[str, ...]:
        """The command that lists the user's jobs."""

    @abstractmethod
    def parse(self, listing: str) -> dict[str, str]:
        """The list of jobs as id -> "queued", "running" or "failed"."""

    def job_key(self, job: str) -> str:
        """The part of a job's id that every command prints."""
        return job

    def jobs(self, timeout: float) -> dict[str, str]:
        """The user's jobs that the batch system knows; a job is found by any form of its id.

        Raises
        ------
        SchedulerError
            If it does not answer or complains.
        """
        return Listing(self.parse(run_or_raise(self.query(), timeout)), self.job_key)

    def reason(self, job: str, timeout: float) -> str:
        """Why a job failed to start, as the batch system says it; empty if it does not."""
        return ""


class Sge(Dialect):
    """Sun, Univa, Son of, and Open Grid Engine."""

    name = "sge"
    prefix = "#$"
    submit = ("qsub", "-terse")
    cancel = ("qdel",)

    def header(self, request: Request, site: Site) -> list[str]:
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

    def query(self) -> tuple[str, ...]:
        """All jobs of the user."""
        return ("qstat", "-u", getpass.getuser())

    def parse(self, listing: str) -> dict[str, str]:
        """Columns: id, priority, name, user, state ...; E in the state is an error, r or t running."""
        jobs = {}
        for line in listing.splitlines():
            words = line.split()
            if len(words) > 4 and words[0].isdigit():
                state = words[4]
                jobs[words[0]] = FAILED if "E" in state else RUNNING if "r" in state or "t" in state else QUEUED
        return jobs

    def reason(self, job: str, timeout: float) -> str:
        """The "error reason" of qstat -j."""
        said = run_command(("qstat", "-j", job), timeout)
        found = re.search(r"error reason\s+\d+:\s*(.*)", said.out)
        return found[1].strip() if found else ""


class Lsf(Dialect):
    """IBM Spectrum LSF."""

    name = "lsf"
    prefix = "#BSUB"
    submit = ("bsub",)
    cancel = ("bkill",)
    id_pattern = r"Job <(\d+)>"
    by_stdin = True  # bsub reads directives from its standard input only

    def header(self, request: Request, site: Site) -> list[str]:
        """Slots on one host; memory both reserved (rusage) and limited (-M)."""
        lines = [f"-J {request.name}"]
        if site.queue:
            lines.append(f"-q {site.queue}")
        if site.project:
            lines.append(f'-P "{site.project}"')
        lines += [f"-n {request.cores}", '-R "span[hosts=1]"']
        if request.memory is not None:
            reserved, limit = lsf_sizes(request.memory, request.cores, site)
            lines += [f'-R "rusage[mem={reserved}]"', f"-M {limit}"]
        if site.walltime_seconds:
            minutes = math.ceil(site.walltime_seconds / 60)
            lines.append(f"-W {minutes // 60:02d}:{minutes % 60:02d}")
        # without -e, errors and LSF's report go there too
        lines.append(f"-o {quote_path(f'{request.logs}/{request.name}.%J.out')}")
        return lines if site.pass_environment else [*lines, '-env "none"']

    def query(self) -> tuple[str, ...]:
        """The user's unfinished jobs, untruncated."""
        return ("bjobs", "-w")

    def jobs(self, timeout: float) -> dict[str, str]:
        """As for all, except that "No unfinished job found" is an answer, not a complaint."""
        said = run_command(self.query(), timeout)
        if said.status != 0 and "No unfinished job found" not in said.text:
            raise SchedulerError(f"bjobs said: {said.text or f'nothing, with status {said.status}'}")
        return self.parse(said.out)

    def parse(self, listing: str) -> dict[str, str]:
        """Columns: id, user, state ...; EXIT and ZOMBI have failed, RUN runs (UNKWN: its host is silent)."""
        jobs = {}
        for line in listing.splitlines():
            words = line.split()
            if len(words) > 2 and words[0].isdigit() and words[2] != "DONE":
                state = words[2]
                jobs[words[0]] = FAILED if state in ("EXIT", "ZOMBI") else (
                    RUNNING if state in ("RUN", "UNKWN", "USUSP", "SSUSP") else QUEUED)
        return jobs


def lsf_sizes(memory: int, cores: int, site: Site) -> tuple[str, str]:
    """The memory that LSF shall reserve, by rusage, and the limit, by -M.

    Notes
    -----
    A number alone means MB in rusage but kB in -M, unless lsf.conf has LSF_UNIT_FOR_LIMITS, so units are written out;
    releases before 10.1.0.2, which know none, need `site.lsf_units`. By default LSF reserves for the job on its host,
    and applies -M to each process, of which a worker is one with all its threads; a site may have set up either for
    each slot.

    References
    ----------
    IBM Spectrum LSF 10.1: bsub -M; LSF_UNIT_FOR_LIMITS; "Enabling per-task memory reservation".
    """
    unit = site.lsf_units
    factors = {None: (1e6, 1e6), "kb": (1e6, 1e3), "mb": (1e6, 1e6), "gb": (1e9, 1e9)}[unit]
    slots = (cores if site.memory_per_slot else 1, cores if site.limit_per_slot else 1)
    numbers = [math.ceil(memory / n / factor) for n, factor in zip(slots, factors, strict=True)]
    return tuple(f"{number}{'' if unit else 'MB'}" for number in numbers)  # type: ignore[return-value]


class Pbs(Dialect):
    """PBS Professional, OpenPBS and Torque."""

    name = "pbs"
    prefix = "#PBS"
    submit = ("qsub",)
    cancel = ("qdel",)
    id_pattern = r"\d+(?:\[\])?(?:\.[\w.-]+)?"

    def header(self, request: Request, site: Site) -> list[str]:
        """One chunk with cores and memory (select), or one node with processors (nodes), as the site has it."""
        lines = [f"-N {request.name[:15]}"]  # PBS allows 15 letters
        if site.queue:
            lines.append(f"-q {site.queue}")
        if site.project:
            lines.append(f"-A {site.project}")
        memory = [] if request.memory is None else [f"mem={math.ceil(request.memory / (1 << 20))}mb"]
        if site.pbs_style == "select":
            lines.append("-l " + ":".join(["select=1", f"ncpus={request.cores}", *memory]))
        else:
            lines += [f"-l nodes=1:ppn={request.cores}", *(f"-l {text}" for text in memory)]
        if site.walltime_seconds:
            hours, rest = divmod(site.walltime_seconds, 3600)
            lines.append(f"-l walltime={hours:02d}:{rest // 60:02d}:{rest % 60:02d}")
        lines += ["-j oe", f"-o {quote_path(f'{request.logs}/')}"]
        return [*lines, "-V"] if site.pass_environment else lines

    def job_key(self, job: str) -> str:
        """The number, with an array's index: qstat prints only the first part of the server's name, or cuts it."""
        return job.partition(".")[0]

    def start_lines(self) -> list[str]:
        """PBS starts jobs in the home folder."""
        return ['cd "${PBS_O_WORKDIR:-.}"']

    def query(self) -> tuple[str, ...]:
        """All jobs that have not ended (the wide form cuts names, so the plain one)."""
        return ("qstat",)

    def parse(self, listing: str) -> dict[str, str]:
        """Columns: id, name, user, time, state, queue."""
        jobs = {}
        for line in listing.splitlines():
            words = line.split()
            if len(words) >= 6 and words[0][0].isdigit():
                state = words[-2]
                if state in ("F", "C", "X"):
                    continue
                jobs[self.job_key(words[0])] = RUNNING if state in ("R", "E", "B") else QUEUED
        return jobs


class Slurm(Dialect):
    """Slurm."""

    name = "slurm"
    prefix = "#SBATCH"
    submit = ("sbatch", "--parsable")
    cancel = ("scancel",)

    def header(self, request: Request, site: Site) -> list[str]:
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

    def query(self) -> tuple[str, ...]:
        """Id and state of the user's jobs."""
        return ("squeue", "-h", "-u", getpass.getuser(), "-o", "%i %T")

    def parse(self, listing: str) -> dict[str, str]:
        """Two columns."""
        running = ("RUNNING", "COMPLETING", "CONFIGURING", "STAGE_OUT", "SUSPENDED")
        ended = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL")
        words = [line.split() for line in listing.splitlines()]
        return {
            pair[0]: RUNNING if pair[1] in running else FAILED if pair[1] in ended else QUEUED
            for pair in words
            if len(pair) == 2
        }


DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Sge(), Lsf(), Pbs(), Slurm())}
