"""LSF, openlava and volclava: directives, commands, lists."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from xdp.cluster.batch.commands import SchedulerError, run_command
from xdp.cluster.batch.dialects.base import FAILED, QUEUED, RUNNING, Dialect, Request, quote_path
from xdp.cluster.batch.site import Site


class Lsf(Dialect):
    """IBM Spectrum LSF, and openlava and volclava, which know fewer options."""

    name = "lsf"
    prefix = "#BSUB"
    submit_command = ("bsub",)
    cancel_command = ("bkill",)
    settings = ("LSF_ENVDIR", "LSF_SERVERDIR", "LSF_BINDIR", "LSF_LIBDIR")
    id_pattern = r"Job <(\d+)>"
    by_stdin = True  # bsub reads directives from its standard input only

    def make_directives(self, request: Request, site: Site) -> list[str]:
        """Slots on one host; memory both reserved (rusage) and limited (-M)."""
        lines = [f"-J {request.name}"]
        if site.queue:
            lines.append(f"-q {site.queue}")
        if site.project:
            lines.append(f'-P "{site.project}"')
        ours, limits = {"span": "hosts=1"}, []
        if request.memory is not None:
            reserved, limit = compute_lsf_sizes(request.memory, request.cores, site)
            ours["rusage"], limits = f"mem={reserved}", [f"-M {limit}"]
        lines += [f"-n {request.cores}", f'-R "{join_requirements(ours, site.directives)}"', *limits]
        if site.walltime_seconds:
            minutes = math.ceil(site.walltime_seconds / 60)
            lines.append(f"-W {minutes // 60:02d}:{minutes % 60:02d}")
        # without -e, errors and LSF's report go there too
        lines.append(f"-o {quote_path(f'{request.logs}/{request.name}.%J.out')}")
        # openlava and volclava know no -env: they read "-e nv", and the errors go to a file of that name
        return lines if site.pass_environment or not site.clear_environment else [*lines, '-env "none"']

    def list_site_directives(self, site: Site) -> list[str]:
        """All but the resource requirements that are joined with our own."""
        return [line for line in site.directives if read_requirement(line) is None]

    def make_list_command(self) -> tuple[str, ...]:
        """Make the command that lists the user's unfinished jobs, untruncated (-w)."""
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

    def find_waiting_reason(self, job: str, timeout: float) -> str:
        """Find out why a job waits, by what bjobs -p prints below the line of the job.

        Each reason is a line of its own, with a semicolon and often the number of hosts.
        """
        lines = run_command(("bjobs", "-p", job), timeout).out.splitlines()
        at = next((i for i, line in enumerate(lines) if line.split()[:1] == [job]), None)
        return "" if at is None else " ".join(" ".join(lines[at + 1:]).split()).rstrip(";")

    def find_jobs_by_name(self, name: str, timeout: float) -> list[str]:
        """Find jobs by bjobs -J.

        That there are none is an answer, though the exit status is 255.
        """
        said = run_command((*self.make_list_command(), "-J", name), timeout)
        if said.status != 0 and not re.search(r"No unfinished job found|is not found|No matching job", said.text):
            raise SchedulerError(f"bjobs said: {said.text or f'nothing, with status {said.status}'}")
        return list(self.parse_list(said.out))



def read_requirement(directive: str) -> dict[str, str] | None:
    """Read a directive ``-R "select[...] rusage[...]"``.

    Parameters
    ----------
    directive : str
        A line of the site's file.

    Returns
    -------
    dict of str or None
        Section -> what stands in its brackets; text without a section selects hosts. None for other directives, and
        for requirements with alternatives, which must stay as they are.

    Examples
    --------
    >>> read_requirement('-R "type==any rusage[ngpus=1]"')
    {'select': 'type==any', 'rusage': 'ngpus=1'}
    """
    match = re.fullmatch(r"""-R\s*(["'])(.*)\1\s*""", directive.strip())
    if match is None or re.search(r"[{}]|\]\s*\|\|", match[2]):
        return None
    sections = dict(re.findall(r"(\w+)\[([^\]]*)\]", match[2]))
    bare = re.sub(r"\w+\[[^\]]*\]", "", match[2]).strip()
    return {"select": bare} | sections if bare else sections


def join_requirements(ours: Mapping[str, str], directives: Sequence[str]) -> str:
    """Join our resource requirement with those of the site's file: volclava refuses a second -R.

    Parameters
    ----------
    ours : dict of str
        Section -> what stands in its brackets.
    directives : sequence of str
        The site's. What they say of a section holds; resources are reserved (rusage) beside ours.

    Returns
    -------
    str
        The sections, select first, as LSF wants it.

    Examples
    --------
    >>> join_requirements({"span": "hosts=1", "rusage": "mem=4000MB"}, ['-R "select[mem>1]"', '-R "rusage[ngpus=1]"'])
    'select[mem>1] span[hosts=1] rusage[mem=4000MB,ngpus=1]'
    """
    joined = dict(ours)
    for section, text in (item for line in directives for item in (read_requirement(line) or {}).items()):
        if section == "rusage" and section in joined and "mem=" not in text:
            text = f"{joined[section]},{text}"
        elif section == "select" and section in joined:
            text = f"({joined[section]}) && ({text})"
        joined[section] = text
    order = sorted(joined, key=lambda section: section != "select")  # the others stay in their order
    return " ".join(f"{section}[{joined[section]}]" for section in order)


def compute_lsf_sizes(memory: int, cores: int, site: Site) -> tuple[str, str]:
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
