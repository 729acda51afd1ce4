"""LSF, openlava and volclava: directives, commands, lists."""

from __future__ import annotations

import math

from xdp.cluster.batch.commands import SchedulerError, run_command
from xdp.cluster.batch.dialects.base import FAILED, QUEUED, RUNNING, Dialect, Request, quote_path
from xdp.cluster.batch.site import Site


class Lsf(Dialect):
    """IBM Spectrum LSF."""

    name = "lsf"
    prefix = "#BSUB"
    submit_command = ("bsub",)
    cancel_command = ("bkill",)
    id_pattern = r"Job <(\d+)>"
    by_stdin = True  # bsub reads directives from its standard input only

    def make_directives(self, request: Request, site: Site) -> list[str]:
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

    def make_list_command(self) -> tuple[str, ...]:
        """The user's unfinished jobs, untruncated."""
        return ("bjobs", "-w")

    def list_jobs(self, timeout: float) -> dict[str, str]:
        """As for all, except that "No unfinished job found" is an answer, not a complaint."""
        said = run_command(self.make_list_command(), timeout)
        if said.status != 0 and "No unfinished job found" not in said.text:
            raise SchedulerError(f"bjobs said: {said.text or f'nothing, with status {said.status}'}")
        return self.parse_list(said.out)

    def parse_list(self, listing: str) -> dict[str, str]:
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
