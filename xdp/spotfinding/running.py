"""The tasks of a search, run on threads of this process or on the workers of a Dask client, their results in order."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from xdp.spotfinding import report
from xdp.spotfinding.frames import FrameFinder
from xdp.spotfinding.task import ChunkResult, SpotRules, find_in_chunk

if TYPE_CHECKING:
    from distributed import Client

Progress = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]
"""Shows how far work has come: entered with the total and a label, gives a function that takes what more is done."""


@contextlib.contextmanager
def no_progress(total: int, label: str) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda done: None


class Task(NamedTuple):
    """The arguments of :func:`run_task`."""

    finder: FrameFinder
    rules: SpotRules
    first: int
    last: int
    path: Path | None

    def load(self) -> ChunkResult:
        """The result from its file; a damaged one is made again."""
        result = ChunkResult.load(self.path)
        if result is None:
            self.path.unlink(missing_ok=True)
            run_task(*self)
            result = ChunkResult.load(self.path)
        return result


def run_task(finder: FrameFinder, rules: SpotRules, first: int, last: int, path: Path | None,
             keep: bool = False) -> ChunkResult | None:
    """One task: the chunk's result, or None where it lies at `path` (found there; put there, unless to `keep`)."""
    if path is not None and path.exists():
        return None
    result = find_in_chunk(finder, rules, first, last)
    if path is not None:
        result.save(path)
    return result if keep or path is None else None


def chunk_results(tasks: list[Task], *, client: Client | None, n_threads: int,
                  progress: Progress = no_progress) -> Iterator[ChunkResult]:
    """The results of tasks in order, each as soon as it and those before it are there.

    Parameters
    ----------
    tasks : list of Task
        Of one search.
    client : distributed.Client or None
        Whose workers run them; None for threads of this process.
    n_threads : int
        How many threads.
    """
    done = _on_client(tasks, client) if client is not None else _on_threads(tasks, n_threads)
    with contextlib.closing(done), progress(tasks[-1].last, "images") as advance:
        for task, result in zip(tasks, done, strict=True):
            if result is None:
                result = task.load()
            report.log_frames(task.finder.search, task.first, result.n_strong, result.background)
            advance(task.last - task.first)
            yield result


def _on_threads(tasks: list[Task], n_threads: int) -> Iterator[ChunkResult | None]:
    """Run tasks on threads; few results wait to be taken, so that memory stays bounded."""
    n_threads = max(1, min(n_threads, len(tasks)))
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="threshold")
    waiting: deque[Future] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(run_task, *task, True))  # in one process results need not be read again
            if len(waiting) > 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _itself(finder: FrameFinder) -> FrameFinder:
    """The task that puts what all tasks share on the workers, once each."""
    return finder


def _on_client(tasks: list[Task], client: Client) -> Iterator[ChunkResult | None]:
    """Run tasks on the workers of a Dask client."""
    finder, rules, *_ = tasks[0]
    token = os.urandom(8).hex()
    # a task, not scattered data: if the workers that hold it are lost, the scheduler makes it again
    shared = client.submit(_itself, finder, key=f"plan-{token}", pure=False)
    futures = [client.submit(run_task, shared, rules, task.first, task.last, task.path and task.path.absolute(),
                             key=f"threshold-{token}-{task.first}", pure=False) for task in tasks]
    try:
        while futures:
            result = futures[0].result()
            futures.pop(0).release()
            yield result
    finally:
        client.cancel(futures)
