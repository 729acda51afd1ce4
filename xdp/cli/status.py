"""Say how a run stands: its job, stages, chunks done, rates, time left, and failures.

Works during the run and after it, from any machine that sees its folder.

Usage: xdp status [FOLDER ...]

Examples:

  xdp status
  xdp status run1 run2
"""

from __future__ import annotations

import sys
from pathlib import Path

from xdp.cli.plain import refuse_options
from xdp.errors import XdpError


def run(args: list[str]) -> int:
    """Run the command with its arguments; the exit status."""
    from xdp.cluster.state import read_state, summarise_state

    if "-h" in args or "--help" in args:
        sys.stdout.write(__doc__)
        return 0
    refuse_options(args, "status")
    # A user stands in the folder of the run.
    for folder in args or ["."]:
        if len(args) > 1:
            sys.stdout.write(f"{folder}\n")
        job, is_gone = _job_line(folder)
        sys.stdout.write(job)
        try:
            sys.stdout.write(summarise_state(read_state(folder), job_gone=is_gone))
        except XdpError:
            # A job that waits has no state yet, which is no error.
            if not job:
                raise
            sys.stdout.write(_describe_silence(folder, is_gone) + "\n")
    return 0


def _job_line(folder: str) -> tuple[str, bool]:
    """How the driver's job stands, if it is one, and whether it is gone."""
    from xdp.cluster.batch.commands import SchedulerError
    from xdp.cluster.batch.submission import JOB_FILE, find_job_status, read_job

    if not (Path(folder) / JOB_FILE).exists():
        return "", False
    try:
        record = read_job(folder)
        name = f"job {record['job'] or record['name']} ({record['scheduler']})"
    except SchedulerError as error:  # the batch system is asked for a job whose id never came
        return f"job: unknown: {error}\n", False
    try:
        status = find_job_status(folder)
    except XdpError as error:
        status = f"unknown: {error}"
    return f"{name}: {status}\n", status == "gone"


def _describe_silence(folder: str, is_gone: bool) -> str:
    """What is known of a submitted run that wrote no state: it has not begun, or it could not."""
    from xdp.cluster.batch.job_logs import find_reason_in_logs
    from xdp.cluster.batch.submission import read_job

    if not is_gone:
        return "the run has not said anything yet"
    record = read_job(folder)
    said = find_reason_in_logs(str(Path(folder) / record.get("logs", "xdp-logs")), str(record["job"]))
    return f"the job ended before the run began; its log says: {said}" if said else (
        "the job ended before the run began, and left no log")
