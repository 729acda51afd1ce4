"""Tasks of a stage, run on threads of this process or on the workers of a Dask client; their results come in order.

A task is a tuple of arguments; ``function(shared, *task)`` runs it, where `shared` is what all tasks of the stage have
in common. Tasks may run more than once: after errors of the file system that pass (:mod:`xdp.work.retries`), and where
a worker dies. What a task writes must therefore be whole or absent, and the same each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from xdp.work.retries import call_with_retries

if TYPE_CHECKING:
    from distributed import Client


def run_tasks(function: Callable, shared: Any, tasks: Sequence[tuple], *, client: Client | None = None,
              n_threads: int = 1, keep_killed: bool = False, fetch: bool = True,
              at_once: int | None = None) -> Generator[Any, None, None]:
    """Run tasks and give their results in order, each as soon as it and those before it are there.

    Parameters
    ----------
    function : callable
        Called as ``function(shared, *task)``.
    shared : object
        What all tasks have in common. With a client it travels to each worker once; it may have been sent before
        (:func:`xdp.work.workers.send_to_workers`).
    tasks : sequence of tuple
        The arguments of each task.
    client : distributed.Client, optional
        Whose workers run the tasks; by default threads of this process.
    n_threads : int, default 1
        Threads to use where there is no client.
    keep_killed : bool, default False
        Whether a task that kills its workers again and again gives a :class:`~xdp.work.workers.KilledTask` as its
        result, and the others go on; otherwise the run ends with an error. With a client only.
    fetch : bool, default True
        Whether results are wanted; without, None is given for each task that is done. With a client only: for tasks
        that leave their results in files.
    at_once : int, optional
        Tasks that are with the workers at a time, where their arguments or results are large; by default all.

    Returns
    -------
    generator
        To be used up or closed: closing it cancels the tasks that have not begun.

    Raises
    ------
    Exception
        The first error of a task, when its turn comes; the tasks that have not begun are cancelled.

    Examples
    --------
    >>> import operator
    >>> list(run_tasks(operator.mul, 2, [(1,), (2,), (3,)], n_threads=2))
    [2, 4, 6]
    """
    if client is None:
        return run_on_threads(function, shared, tasks, n_threads)
    from xdp.work.workers import run_on_client

    return run_on_client(function, shared, tasks, client, keep_killed=keep_killed, fetch=fetch,
                         at_once=at_once)


def run_on_threads(function: Callable, shared: Any, tasks: Sequence[tuple],
                   n_threads: int) -> Generator[Any, None, None]:
    """Run tasks on threads of this process and give their results in order.

    Parameters
    ----------
    function : callable
        Called as ``function(shared, *task)``; it should release the GIL most of the time.
    shared : object
        What all tasks have in common.
    tasks : sequence of tuple
        The arguments of each task.
    n_threads : int
        Threads to use; no more than there are tasks are started.

    Returns
    -------
    generator
        As of :func:`run_tasks`. About twice as many results as there are threads wait to be taken; further tasks begin
        only when one is, so that memory stays bounded.
    """
    n_threads = max(1, min(n_threads, len(tasks)))
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix=function.__name__)
    waiting: deque[Future] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(call_with_retries, function, shared, *task))
            # twice the threads: while the caller uses a result, each thread has its next task
            if len(waiting) > 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
