"""Cancel a run: the job of its driver and those of its workers. What is finished is kept; a new run goes on there.

A driver that was started by hand is ended if it runs on this machine. If the batch system does not let go of a job,
its words are quoted and the exit status is 1.

Usage: xdp cancel FOLDER

Examples:

  xdp cancel run1
"""

from __future__ import annotations

import sys

from xdp.cli.plain import refuse_options
from xdp.errors import OptionError


def run(args: list[str]) -> int:
    """Cancel the run in a folder and print the ids of the jobs that were ended.

    Raises
    ------
    XdpError
        If nothing is known of a run there, or the batch system keeps a job.
    """
    from xdp.cluster.batch.cancelling import cancel_run

    if "-h" in args or "--help" in args:
        sys.stdout.write(__doc__)
        return 0
    refuse_options(args, "cancel")
    if len(args) != 1:
        raise OptionError("cancel needs the folder of one run")
    jobs = cancel_run(args[0])
    sys.stdout.write(f"cancelled: {' '.join(jobs)}\n" if jobs else "no job of this run was left\n")
    return 0
