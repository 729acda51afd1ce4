"""The tasks of a search, run on threads of this process or on the workers of a Dask client, their results in order."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from xdp.errors import XdpError
from xdp.spotfinding.run import report
from xdp.spotfinding.run.chunk import ChunkResult, SpotRules, find_in_chunk, make_empty_result
from xdp.spotfinding.run.frames import FrameFinder
from xdp.work.progress import Progress, no_progress
from xdp.work.store import ResultStore
from xdp.work.tasks import run_tasks
from xdp.work.workers import KilledTask

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


class Task(NamedTuple):
    """A chunk of frames to be searched.

    Attributes
    ----------
    first, last : int
        Its positions, half-open.
    name : str or None
        Of its result in the work folder; None: it is not kept there.
    """

    first: int
    last: int
    name: str | None


@dataclass(frozen=True)
class ChunkWork:
    """What all tasks of a search share.

    Attributes
    ----------
    finder : FrameFinder
    rules : SpotRules
    store : ResultStore
        Where results are kept that have a name.
    returns : bool
        Whether tasks return results that they keep, too.
    """

    finder: FrameFinder
    rules: SpotRules
    store: ResultStore
    returns: bool = True


def search_chunk(work: ChunkWork, first: int, last: int, name: str | None) -> ChunkResult | None:
    """Search one chunk: this is the task that workers run.

    Parameters
    ----------
    work : ChunkWork
        What the tasks of a search share.
    first, last : int
        Half-open range of positions.
    name : str or None
        Of the result in the store; None: it is not kept there.

    Returns
    -------
    ChunkResult or None
        None where the result lies in the store.
    """
    # an earlier run, or the same task that ran twice
    if name is not None and work.store.has(name):
        return None
    result = find_in_chunk(work.finder, work.rules, first, last)
    if name is not None:
        work.store.save(name, result.to_arrays())
    return result if work.returns or name is None else None


def _load(work: ChunkWork, task: Task) -> ChunkResult:
    """The result of a task from its file; a damaged one is made again."""
    assert task.name is not None
    return ChunkResult.from_arrays(work.store.load_or_make(task.name, lambda: search_chunk(work, *task)))


def run_chunks(work: ChunkWork, tasks: list[Task], *, client: Client | None, n_threads: int,
                  progress: Progress = no_progress, skip_killed: bool = False) -> Generator[ChunkResult, None, None]:
    """The results of tasks in order, each as soon as it and those before it are there.

    Parameters
    ----------
    work : ChunkWork
        What the tasks share.
    tasks : list of Task
        Of one search.
    client : distributed.Client or None
        Whose workers run them; None for threads of this process.
    n_threads : int
        How many threads.
    skip_killed : bool
        A task that kills its workers again and again finds nothing, with a warning, instead of stopping the run.
    """
    # in one process results need not be read again: they come back, and lie in the work folder all the same
    work = replace(work, returns=client is None)
    done = run_tasks(search_chunk, work, tasks, client=client, n_threads=n_threads, keep_killed=True,
                     fetch=any(task.name is None for task in tasks))
    with contextlib.closing(done), progress(tasks[-1].last, "images") as advance:
        for task, result in zip(tasks, done, strict=True):
            if isinstance(result, KilledTask):
                result = _skip_chunk(work, task, result, skip_killed)
            elif result is None:
                result = _load(work, task)
            # in order of the images, and as they come: the log of a run under way shows how far it is
            report.log_frames(work.finder.search, task.first, result.n_strong, result.background)
            advance(task.last - task.first)
            yield result


def _skip_chunk(work: ChunkWork, task: Task, killed: KilledTask, skips: bool) -> ChunkResult:
    """The result of a task that killed its workers: nothing, with a warning, or the end of the run."""
    what = (f"frames {task.first + 1} to {task.last}: their task killed its workers {killed.n_workers} times (memory? "
            "see memory in the site's file, and the jobs' logs)")
    if not skips:
        raise XdpError(f"{what}; the run may be started again and goes on where it was, with mp.killed_task=skip "
                       "without these frames")
    log.warning("Skipped %s", what)
    return make_empty_result(work.finder, work.rules, task.first, task.last)
