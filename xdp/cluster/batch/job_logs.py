"""Why a job ended, by what it and its batch system left in the job's log."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from xdp.cluster.batch.job_names import LETTERS

_TELLING = (
    (re.compile(r"^TERM_\w+"), 1000),
    (re.compile(r"MemoryError|[Ee]rror:|\boom\b|oom[-_]kill|\bKilled\b|exceeded"), 40),
    (re.compile(r"^(?!Exited with)"), 20),
    (re.compile(r"^Exited with"), 1000),
)
"""Patterns of lines that tell why a job ended, the best first, and the lines from the end of a log in which each is
looked for. LSF's verdict counts wherever it stands; an error far above the end was survived."""
_REPORT = re.compile(r"^Sender: LSF System.*?^The output \(if any\)[^\n]*$", re.DOTALL | re.MULTILINE)
"""LSF's report in a job's log, before or after the job's own output. It repeats the whole script."""
_VERDICT = re.compile(r"^(?:TERM_|Exited with).*$", re.MULTILINE)
"""The lines of that report which tell why the job ended."""
_NOISE = re.compile(
    r" - INFO - |^PS:|^Read file <|^-+$|resource_tracker|^warnings\.warn\(|Couldn't detect a suitable IP address|"
    r"defaulting to hostname|Worker process still alive|User defined signal [12]|^Terminated$|^Hangup$|^Interrupt$|"
    r"(?:line \d+: +\d+ )(?:Terminated|Hangup|User defined signal [12])|^\^C|^Aborted!$|^During handling of the above|"
    r"^The above exception was the direct")
"""Lines that every job may leave, whatever it died of: talk, warnings of Dask and Python, and the echo of the signals
by which batch systems end jobs, which say that a job was ended and not why."""
_ENDING = re.compile(r"^(?:[\w.]*\.)?(?:KeyboardInterrupt|SystemExit|CancelledError|GeneratorExit)\b")
"""Exceptions by which a process ends that was sent a signal."""
_JOB_NAME = re.compile(rf"^xdp-.*-[{LETTERS}]{{4}}(?=\.)")
"""The name of a job at the beginning of a log's name; that of a driver has the label of its run, often a number."""
_LONGEST = 300
"""Letters of a line that are quoted: a line of Dask's may hold a whole task."""


def find_reason_in_logs(folder: str, job: str) -> str:
    """Find the line of a job's logs that tells best why it ended.

    Parameters
    ----------
    folder : str
        Where the jobs' logs lie.
    job : str
        The job's id; its number stands in the names of its logs.

    Returns
    -------
    str
        LSF's verdict, an error, else the last line; empty if there is none.
    """
    number = re.sub(r"[^0-9].*", "", job)
    logs: list[list[str]] = []
    for path in sorted(Path(folder).glob(f"*{number}*")):
        # job 12 is not job 112, and not the 12 that a run is called by
        if re.search(rf"(?<![0-9]){number}(?![0-9])", _JOB_NAME.sub("", path.name)):
            with contextlib.suppress(OSError):
                logs.append(_read_telling_lines(path))
    # the last of the telling lines: an earlier error may have been survived
    for pattern, depth in _TELLING:
        for line in (line for lines in reversed(logs) for line in reversed(lines[-depth:])):
            if pattern.search(line):
                return line[:_LONGEST]
    return ""


def _read_telling_lines(path: Path) -> list[str]:
    """The lines of a log without what is there in every log."""
    text = path.read_text(encoding="utf-8", errors="replace")
    # the report repeats the script, whose text would be searched for errors
    text = _REPORT.sub(lambda report: "\n".join(_VERDICT.findall(report[0])), text)
    lines = map(str.strip, _drop_frames(text.splitlines()))
    return [line for line in lines if line and not _NOISE.search(line) and not _ENDING.match(line)]


def _drop_frames(lines: Iterable[str]) -> Iterator[str]:
    """The lines without the frames of tracebacks: the exception below them tells more than a line of code."""
    in_traceback = False
    for line in lines:
        if line.strip().startswith("Traceback (most recent call last)"):
            in_traceback = True
        elif not (in_traceback and line.startswith((" ", "\t"))):
            in_traceback = False
            yield line
