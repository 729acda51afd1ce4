"""The tasks of a search, run on threads of this process or on the workers of a Dask client, their results in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xdp.cluster.running import Progress, no_progress, on_client, on_threads
from xdp.spotfinding import report
from xdp.spotfinding.frames import FrameFinder
from xdp.spotfinding.task import ChunkResult, SpotRules, find_in_chunk

if TYPE_CHECKING:
    from distributed import Client

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
    finder, rules, *_ = tasks[0]
    if client is None:  # in one process results need not be read again
        done = on_threads(_task, (finder, rules), [(t.first, t.last, t.path, True) for t in tasks], n_threads)
    else:
        done = on_client(_task, (finder, rules), [(t.first, t.last, t.path and t.path.absolute(), False)
                                                  for t in tasks], client)
    with contextlib.closing(done), progress(tasks[-1].last, "images") as advance:
        for task, result in zip(tasks, done, strict=True):
            if result is None:
                result = task.load()
            report.log_frames(task.finder.search, task.first, result.n_strong, result.background)
            advance(task.last - task.first)
            yield result


def _task(shared: tuple[FrameFinder, SpotRules], *which: Any) -> ChunkResult | None:
    """:func:`run_task` with what all tasks share in one argument."""
    return run_task(*shared, *which)
