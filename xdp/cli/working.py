"""What the long commands share: a client where the parameters ask for one, a progress bar, and the state file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from xdp.cli.progress import draw_progress
from xdp.cluster import connect
from xdp.cluster.ending import end_on_signals
from xdp.cluster.state import RunState, choose_state_path, find_current_state
from xdp.protection import refuse_input
from xdp.work.progress import join_progress
from xdp.work.resources import Resources

if TYPE_CHECKING:
    from xdp.cluster import ClusterOptions, WorkerOptions


@contextmanager
def run_command_work(command: str, output: str | os.PathLike, mp: WorkerOptions, cluster: ClusterOptions
                     ) -> Iterator[Resources]:
    """Run a command's work: on the workers that the parameters ask for, with its state kept beside `output`.

    The state file is written for runs on a cluster, and for those that ``xdp submit`` started. SIGTERM ends the run as
    an error would, wherever it works.

    Parameters
    ----------
    command : str
        The command's name, for the state.
    output : path
        The main output, beside which the state lies.
    mp : WorkerOptions
        Where the work runs, and on how many cores.
    cluster : ClusterOptions
        The batch system.

    Yields
    ------
    Resources
        The client, None where threads of this process do the work, and what shows the progress.

    Raises
    ------
    XdpError
        If the state's file is an input, or workers do not start.
    """
    state = find_current_state()  # of the job that xdp submit made of this command
    if state is not None:
        with connect(mp, cluster, state) as client:
            yield Resources(client, join_progress(draw_progress, state.record_stage))
        return
    path = choose_state_path(Path(output).parent, mp.method != "none")
    if path is not None:
        refuse_input(path)
    # State first and workers last: what goes wrong with the workers is then said by the state, too.
    state = RunState(path, command)
    with end_on_signals(), state.record_run(), connect(mp, cluster, state) as client:
        yield Resources(client, join_progress(draw_progress, state.record_stage))


def run_submitted(command: str, run: Callable[[list[str]], int | None], args: list[str]) -> int:
    """Run a command that ``xdp submit`` made a job of, with a state file, whatever the command is.

    Parameters
    ----------
    command : str
        Its name.
    run : callable
        Runs it with its arguments; gives the exit status.
    args : list of str
        The arguments.

    Returns
    -------
    int
        The exit status. SIGTERM, which batch systems send first, ends the run as an error would.
    """
    state = RunState(choose_state_path(".", wanted=True), command)
    with end_on_signals(), state.record_run():
        status = int(run(args) or 0)
        if status:
            state.fail(f"xdp {command} ended with status {status}; xdp logs has what it printed")
    return status
