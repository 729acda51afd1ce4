"""Tasks that share one plan, run on threads of this process or on the workers of a Dask client, results in order."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

Progress = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]
"""Shows how far work has come: entered with the total and a label, gives a function that takes what more is done."""


@contextlib.contextmanager
def no_progress(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda done: None


def on_threads(function: Callable, shared: Any, tasks: Sequence[tuple], n_threads: int) -> Iterator[Any]:
    """Results of ``function(shared, *task)`` in order; few of them wait to be taken, so that memory stays bounded."""
    n_threads = max(1, min(n_threads, len(tasks)))
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix=function.__name__)
    waiting: deque[Future] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(function, shared, *task))
            if len(waiting) > 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _itself(shared: Any) -> Any:
    """The task that puts what all tasks share on the workers, once each."""
    return shared


def on_client(function: Callable, shared: Any, tasks: Sequence[tuple], client: Client) -> Iterator[Any]:
    """Results of ``function(shared, *task)`` in order, computed by the workers of a Dask client.

    The first task runs alone where the workers' cache of kernels has not seen `function` yet.
    """
    from xdp.cluster.warming import is_warm, note_warm

    token = os.urandom(8).hex()
    # a task, not scattered data: if the workers that hold it are lost, the scheduler makes it again
    plan = client.submit(_itself, shared, key=f"plan-{token}", pure=False)
    futures: list[Any] = []
    try:
        for i, task in enumerate(tasks):
            futures.append(client.submit(function, plan, *task, key=f"{function.__name__}-{token}-{i}", pure=False))
            if i == 0 and not is_warm(function):
                futures[0].result()
                note_warm(function)
        while futures:
            result = futures[0].result()
            futures.pop(0).release()
            yield result
    finally:
        client.cancel(futures)
