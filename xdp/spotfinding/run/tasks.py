"""The tasks of a search, run on threads of this process or on the workers of a Dask client, their results in order."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xdp.errors import XdpError
from xdp.spotfinding.run import report
from xdp.spotfinding.run.chunk import ChunkResult, SpotRules, find_in_chunk, nothing_in_chunk
from xdp.spotfinding.run.frames import FrameFinder
from xdp.work.progress import Progress, no_progress
from xdp.work.tasks import run_tasks
from xdp.work.workers import KilledTask

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


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
                  progress: Progress = no_progress, skip_killed: bool = False) -> Iterator[ChunkResult]:
    """The results of tasks in order, each as soon as it and those before it are there.

    Parameters
    ----------
    tasks : list of Task
        Of one search.
    client : distributed.Client or None
        Whose workers run them; None for threads of this process.
    n_threads : int
        How many threads.
    skip_killed : bool
        A task that kills its workers again and again finds nothing, with a warning, instead of stopping the run.
    """
    finder, rules, *_ = tasks[0]
    # in one process results need not be read again: they come back, and lie in the work folder all the same
    keep = client is None
    done = run_tasks(threshold, (finder, rules), [(t.first, t.last, t.path and t.path.absolute(), keep) for t in tasks],
                     client=client, n_threads=n_threads, keep_killed=True, fetch=any(t.path is None for t in tasks))
    with contextlib.closing(done), progress(tasks[-1].last, "images") as advance:
        for task, result in zip(tasks, done, strict=True):
            if isinstance(result, KilledTask):
                result = _instead(task, result, skip_killed)
            elif result is None:
                result = task.load()
            report.log_frames(task.finder.search, task.first, result.n_strong, result.background)
            advance(task.last - task.first)
            yield result


def _instead(task: Task, killed: KilledTask, skips: bool) -> ChunkResult:
    """The result of a task that killed its workers: nothing, with a warning, or the end of the run."""
    what = (f"frames {task.first + 1} to {task.last}: their task killed its workers {killed.n_workers} times (memory? "
            "see memory in the site's file, and the jobs' logs)")
    if not skips:
        raise XdpError(f"{what}; the run may be started again and goes on where it was, with mp.killed_task=skip "
                       "without these frames")
    log.warning("Skipped %s", what)
    return nothing_in_chunk(task.finder, task.rules, task.first, task.last)


def threshold(shared: tuple[FrameFinder, SpotRules], *which: Any) -> ChunkResult | None:
    """:func:`run_task` with what all tasks share in one argument."""
    return run_task(*shared, *which)
