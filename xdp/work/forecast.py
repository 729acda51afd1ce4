"""What a run on many workers will take, forecast from what a few frames took on one.

Tasks are dealt to whichever worker is free first; the driver is one server that hands out tasks, takes in results and
joins them, so that it bounds the speed however many workers there are.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

DISPATCH = 2.2e-3
"""Seconds of the driver a task takes to be submitted, scheduled and fetched (``benchmarks/scaling.py``: of the
processor, with TLS)."""
WORKER_START = 4.0
"""Seconds from the start of a job to its first task: Python, imports, connection, kernels from the cache."""
WORTH = 0.2
"""Doubling the workers pays if the run gets shorter by this part at least (0.5 would be ideal)."""


@dataclass(frozen=True)
class Costs:
    """What was measured on a sample of frames.

    Attributes
    ----------
    frame : float
        Seconds of one thread for one frame: reading, decoding, finding.
    spread : float
        Relative standard deviation of that between tasks.
    driver : float
        Seconds of the driver for one frame: reading its spots, joining those of different tasks, writing them.
    frame_bytes : float
        Bytes read a frame.
    base_memory, thread_memory : float
        Bytes of a worker, and on top of them of each of its threads.
    dispatch, start : float
        Seconds: see :data:`DISPATCH` and :data:`WORKER_START`.
    task : float
        Seconds of the driver for the result of one task, however few its frames.
    n_pixels : int
        Of a frame.
    """

    frame: float
    spread: float
    driver: float
    frame_bytes: float
    base_memory: float
    thread_memory: float
    dispatch: float = DISPATCH
    start: float = WORKER_START
    task: float = 0.0
    n_pixels: int = 1

    def memory(self, n_threads: int) -> float:
        """Bytes that a worker of so many threads takes."""
        return self.base_memory + n_threads * self.thread_memory


@dataclass(frozen=True)
class Forecast:
    """A run on so many workers.

    Attributes
    ----------
    n_workers, n_tasks, frames_a_task : int
    seconds : float
        From the first worker's start to the written table.
    efficiency : float
        Part of the workers' time that goes into frames.
    bytes_per_second : float
        That all workers together read.
    """

    n_workers: int
    n_tasks: int
    frames_a_task: int
    seconds: float
    efficiency: float
    bytes_per_second: float


def simulate(task_seconds: Sequence[float] | np.ndarray, n_slots: int, *, dispatch: float, collect: float,
             start: float = 0.0) -> float:
    """Seconds until all tasks are done and taken in, in order, by a driver that does one thing at a time.

    Parameters
    ----------
    task_seconds : (n,) float
        How long each task takes on its worker.
    n_slots : int
        Tasks that run at once: workers times threads.
    dispatch, collect : float
        Seconds of the driver before a task starts, and after it ended.
    start : float
        Seconds until the workers are there.

    Notes
    -----
    A simulation of events: of the tasks that have ended and the slots that are free, the driver serves the one that
    has waited longest.
    """
    free = [start] * min(n_slots, len(task_seconds))  # a heap as it is
    ended: list[float] = []
    driver, left = start, iter(task_seconds)
    seconds = next(left, None)
    while seconds is not None or ended:
        wants_task = seconds is not None and bool(free) and (not ended or free[0] <= ended[0])
        if wants_task:
            driver = max(driver, heapq.heappop(free)) + dispatch
            heapq.heappush(ended, driver + seconds)
            seconds = next(left, None)
        else:
            moment = heapq.heappop(ended)
            heapq.heappush(free, moment)
            driver = max(driver, moment) + collect
    return driver


def forecast(n_frames: int, costs: Costs, n_workers: int, n_threads: int,
             frames_a_task: Callable[[int], int]) -> Forecast:
    """The run of `n_frames` on `n_workers` of `n_threads`; `frames_a_task` gives a task's frames by the workers."""
    size = frames_a_task(n_workers)
    n_tasks = math.ceil(n_frames / size)
    rng = np.random.default_rng(0)  # the same answer for the same question
    frames = np.full(n_tasks, size)
    frames[-1] = n_frames - size * (n_tasks - 1)
    tasks = frames * costs.frame * np.maximum(0.2, 1.0 + costs.spread * rng.standard_normal(n_tasks))
    seconds = simulate(tasks, n_workers * n_threads, dispatch=costs.dispatch,
                       collect=costs.task + costs.driver * size, start=costs.start)
    return Forecast(n_workers, n_tasks, size, seconds, n_frames * costs.frame / (seconds * n_workers * n_threads),
                    n_frames * costs.frame_bytes / seconds)


def ladder(most: int) -> list[int]:
    """1, 2, 4 ... and `most` itself."""
    steps = [2**k for k in range(int(math.log2(most)) + 1)]
    return steps if steps[-1] == most else [*steps, most]


def worthwhile(forecasts: Sequence[Forecast]) -> Forecast:
    """The last forecast of a rising ladder before the step that no longer pays (see :data:`WORTH`)."""
    best = forecasts[0]
    for further in forecasts[1:]:
        doublings = math.log2(further.n_workers / best.n_workers)
        if further.seconds > best.seconds * (1.0 - WORTH) ** doublings:
            break
        best = further
    return best
