"""Work that is one task: done here, or by one worker of a Dask client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xdp.work.progress import Progress, no_progress

if TYPE_CHECKING:
    from distributed import Client


def run_as_one_task(function: Callable, *arguments: Any, label: str, client: Client | None = None,
                    progress: Progress | None = None) -> Any:
    """Call a function, here or on a worker, and show its end as progress.

    Parameters
    ----------
    function : callable
        What is done; its log lines appear where it runs.
    *arguments
        Of the function. They travel to the worker, and the result comes back.
    label : str
        What the progress is called, such as "lattices".
    client : distributed.Client, optional
        One of its workers does the work; None: this thread.
    progress : callable, optional
        Shows how far the work has come.

    Returns
    -------
    object
        What the function returns.

    Examples
    --------
    >>> run_as_one_task(max, 3, 5, label="numbers")
    5
    """
    with (progress or no_progress)(1, label) as advance:
        result = function(*arguments) if client is None else client.submit(function, *arguments, pure=False).result()
        advance(1)
    return result
