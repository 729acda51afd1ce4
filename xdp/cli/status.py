"""Say how a run stands: its job, stages, chunks done, rates, time left, and failures.

Works during the run and after it, from any machine that sees its folder. Of serial runs (xdp stills_process, xdp
find_hits) it counts shots, hits, lattices and failures, too. --json writes the same as a line of JSON for each folder.

Usage: xdp status [--json] [FOLDER ...]

Examples:

  xdp status
  xdp status run1 run2
  xdp status --json run1
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from xdp.cli.plain import refuse_options
from xdp.errors import XdpError


def run(args: list[str]) -> int:
    """Run the command with its arguments; the exit status."""
    if "-h" in args or "--help" in args:
        sys.stdout.write(__doc__)
        return 0
    as_json = "--json" in args
    # the only option; other words are folders
    folders = [word for word in args if word != "--json"]
    refuse_options(folders, "status")
    # A user stands in the folder of the run.
    for folder in folders or ["."]:
        if as_json:
            sys.stdout.write(_write_json(folder) + "\n")
            continue
        if len(folders) > 1:
            sys.stdout.write(f"{folder}\n")
        _write_text(folder)
    return 0


def _write_text(folder: str) -> None:
    """Write how a run stands, for people."""
    from xdp.cluster.state import read_state, summarise_state

    job, is_gone = _job_line(folder)
    sys.stdout.write(job)
    shots = _summarise_table(folder)
    try:
        sys.stdout.write(summarise_state(read_state(folder), job_gone=is_gone))
    except XdpError:
        # A job that waits has no state yet, which is no error; a table of shots says enough by itself.
        if not job and shots is None:
            raise
        if job:
            sys.stdout.write(_describe_silence(folder, is_gone) + "\n")
    if shots is not None:
        from xdp.serial.live.summary import describe_shots

        sys.stdout.write(describe_shots(shots))


def _write_json(folder: str) -> str:
    """How a run stands, as one line: ``folder``, ``status``, ``run`` (its state) and ``shots``; null where unknown."""
    from xdp.cluster.state import find_status, read_state

    shots = _summarise_table(folder)
    try:
        state = read_state(folder)
    except XdpError:
        if shots is None:
            raise
        state = None
    status = None if state is None else find_status(state)
    return json.dumps({"folder": folder, "status": status, "run": state, "shots": shots})


def _summarise_table(folder: str) -> dict[str, Any] | None:
    """The table of shots of a folder in numbers; None where there is none."""
    from xdp.serial.live.summary import find_shot_table, summarise_shots

    table = find_shot_table(folder)
    return None if table is None else summarise_shots(table)


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
