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
SMALLEST_GAIN = 0.2
"""Doubling the workers pays if the run gets shorter by this part at least. A choice: 0.5 would be ideal; at 0.2
twice the workers are a quarter faster."""
_SHORTEST_TASK = 0.2
"""A task takes this part of the mean at least, where its time is drawn at random: a normal distribution of large spread
would give negative times."""


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
        """Bytes that a worker of `n_threads` threads takes."""
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


def simulate_run(task_seconds: Sequence[float] | np.ndarray, n_slots: int, *, dispatch: float, collect: float,
                 start: float = 0.0) -> float:
    """Simulate a run: seconds until all tasks are done and taken in by a driver that does one thing at a time.

    Parameters
    ----------
    task_seconds : (n,) float
        How long each task takes on its worker.
    n_slots : int
        Tasks that run at once: workers times threads.
    dispatch, collect : float
        Seconds of the driver before a task starts, and after it ended.
    start : float, default 0.0
        Seconds until the workers are there.

    Returns
    -------
    float
        Seconds from the start of the run to the last result taken in; `start` where there are no tasks.

    Examples
    --------
    >>> simulate_run([1.0, 1.0, 1.0], 2, dispatch=0.0, collect=0.5)
    3.0

    Notes
    -----
    A simulation of events: of the tasks that have ended and the slots that are free, the driver serves the one that
    has waited longest.
    """
    # moments at which slots are free, and at which tasks ended: heaps, the earliest first (equal moments make one)
    free = [start] * min(n_slots, len(task_seconds))
    ended: list[float] = []
    driver, left = start, iter(task_seconds)
    seconds = next(left, None)
    while seconds is not None or ended:
        # whichever has waited longer: a free slot for its next task, or a result to be taken in
        if seconds is not None and free and (not ended or free[0] <= ended[0]):
            driver = max(driver, heapq.heappop(free)) + dispatch
            heapq.heappush(ended, driver + seconds)
            seconds = next(left, None)
        else:
            moment = heapq.heappop(ended)
            heapq.heappush(free, moment)
            driver = max(driver, moment) + collect
    return driver


def forecast_run(n_frames: int, costs: Costs, n_workers: int, n_threads: int,
                 frames_a_task: Callable[[int], int]) -> Forecast:
    """Forecast what a run takes on so many workers.

    Parameters
    ----------
    n_frames : int
        Frames of the series.
    costs : Costs
        What a sample of them took.
    n_workers, n_threads : int
        Workers, and threads of each.
    frames_a_task : callable
        Gives the frames of a task by the number of workers.

    Returns
    -------
    Forecast
        The same for the same arguments: the times of tasks are drawn with a fixed seed.

    Examples
    --------
    >>> costs = Costs(frame=0.1, spread=0.0, driver=0.001, frame_bytes=6e6, base_memory=3e8, thread_memory=1e8)
    >>> [round(forecast_run(1000, costs, n, 1, lambda n: 20).seconds) for n in (1, 10, 100)]
    [105, 14, 7]
    """
    size = frames_a_task(n_workers)
    n_tasks = math.ceil(n_frames / size)
    rng = np.random.default_rng(0)
    frames = np.full(n_tasks, size)
    frames[-1] = n_frames - size * (n_tasks - 1)
    spread = np.maximum(_SHORTEST_TASK, 1.0 + costs.spread * rng.standard_normal(n_tasks))
    # the driver's part of the last task is counted as of a full one: it is small beside the rest
    seconds = simulate_run(frames * costs.frame * spread, n_workers * n_threads, dispatch=costs.dispatch,
                           collect=costs.task + costs.driver * size, start=costs.start)
    return Forecast(n_workers, n_tasks, size, seconds, n_frames * costs.frame / (seconds * n_workers * n_threads),
                    n_frames * costs.frame_bytes / seconds)


def list_worker_counts(most: int) -> list[int]:
    """List the numbers of workers to look at: 1, 2, 4 ... and `most` itself.

    Parameters
    ----------
    most : int
        The largest, at least 1.

    Examples
    --------
    >>> list_worker_counts(10)
    [1, 2, 4, 8, 10]
    """
    steps = [2**k for k in range(int(math.log2(most)) + 1)]
    return steps if steps[-1] == most else [*steps, most]


def choose_forecast(forecasts: Sequence[Forecast]) -> Forecast:
    """Choose the largest number of workers that still pays.

    Parameters
    ----------
    forecasts : sequence of Forecast
        Of rising numbers of workers.

    Returns
    -------
    Forecast
        The last one before the first step that saves less than :data:`SMALLEST_GAIN` for each doubling of the workers.
    """
    best = forecasts[0]
    for further in forecasts[1:]:
        # the last step may be less than a doubling, and then need save less
        doublings = math.log2(further.n_workers / best.n_workers)
        if further.seconds > best.seconds * (1.0 - SMALLEST_GAIN) ** doublings:
            break
        best = further
    return best
