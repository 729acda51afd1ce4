"""Tasks on the workers of a Dask client: what they share travels once, and a task that kills its workers is found out.

Tasks go to the scheduler many in a graph, and results that are there come back together: one by one, a task took the
driver 2.2 times as long (``benchmarks/scaling.py``).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from xdp.work.retries import call_with_retries

if TYPE_CHECKING:
    from distributed import Client

TASKS_PER_GRAPH = 1000
"""Tasks that go to the scheduler at once. A task is some 0.3 kB of the graph, so that a graph stays a small message."""
RESULTS_AT_ONCE = 16
"""Results that are fetched from the workers at once; few, so that the driver's memory stays bounded."""
_LOOK_EVERY = 0.1
"""Seconds between looks at a task that runs alone. A choice: such a task costs minutes, a look a few milliseconds."""


@dataclass(frozen=True)
class SharedOnWorkers:
    """What several rounds of tasks share, on the workers of a Dask client: it goes there once, not with each round.

    Attributes
    ----------
    whole : distributed.Future
        Of what is shared.
    changes : dict of str to object
        Fields of it, then a dataclass, that have other values by now.
    """

    whole: Any
    changes: dict[str, Any] = field(default_factory=dict)

    def with_changes(self, **changes: Any) -> SharedOnWorkers:
        """Give what is shared with other values of some fields, as ``dataclasses.replace``; only these travel."""
        return SharedOnWorkers(self.whole, self.changes | changes)


@dataclass(frozen=True)
class KilledTask:
    """Given in place of the result of a task that killed its workers again and again.

    Attributes
    ----------
    n_workers : int
        How many workers it killed.
    """

    n_workers: int


def send_to_workers(shared: Any, client: Client) -> SharedOnWorkers:
    """Send what tasks share to the workers of a client, where it stays as long as the result is held.

    Parameters
    ----------
    shared : object
        Anything that can be pickled.
    client : distributed.Client
        Of the workers.

    Returns
    -------
    SharedOnWorkers
        To be given to :func:`run_on_client` in place of `shared`.
    """
    # a task, not scattered data: if the workers that hold it are lost, the scheduler makes it again
    return SharedOnWorkers(client.submit(_give_back, shared, key=f"plan-{os.urandom(8).hex()}", pure=False))


def _give_back(shared: Any) -> Any:
    """The task by which shared data become a result that workers hold."""
    return shared


def run_on_client(function: Callable, shared: Any, tasks: Sequence[tuple], client: Client, *,
                  keep_killed: bool = False, fetch: bool = True,
                  at_once: int | None = None) -> Generator[Any, None, None]:
    """Run tasks on the workers of a Dask client and give their results in order.

    Parameters
    ----------
    function : callable
        Called as ``function(shared, *task)``. Where the workers' cache of kernels has not seen it yet, the first task
        runs alone (:mod:`xdp.work.kernel_cache`).
    shared : object or SharedOnWorkers
        What all tasks have in common, or what :func:`send_to_workers` made of it.
    tasks : sequence of tuple
        The arguments of each task. Futures of the client and Dask's delayed values among them arrive as their results.
    client : distributed.Client
        Of the workers.
    keep_killed : bool, default False
        Whether a task that kills its workers again and again gives a :class:`KilledTask` and the others go on.
    fetch : bool, default True
        Whether results are brought here; without, they stay with the workers, and None is given for each task.
    at_once : int, optional
        Tasks that are with the workers at a time; by default all.

    Returns
    -------
    generator
        As of :func:`xdp.work.tasks.run_tasks`.

    Raises
    ------
    distributed.scheduler.KilledWorker
        If a task kills its workers again and again, without `keep_killed`.
    """
    from xdp.work.kernel_cache import has_kernels, note_kernels

    sent = shared if isinstance(shared, SharedOnWorkers) else send_to_workers(shared, client)
    changes = send_to_workers(sent.changes, client).whole if sent.changes else {}
    queue = _TaskQueue(client, function, {"plan": sent.whole, "changes": changes}, keep_killed, fetch)
    try:
        # of delayed values none is asked for alone: what they have in common would be computed for it, and then again
        n_sent = 0 if has_kernels(function) or _has_delayed(tasks) else 1
        queue.add(tasks[:n_sent])
        results = queue.take() if queue.waiting else []
        if results and not isinstance(results[0], KilledTask):
            note_kernels(function)
        while True:
            n_next = len(tasks) if at_once is None else n_sent + at_once - len(queue.waiting)
            queue.add(tasks[n_sent:n_next])
            n_sent = max(n_sent, n_next)
            yield from results
            if not queue.waiting:
                break
            results = queue.take()
    finally:
        if queue.waiting:
            client.cancel([future for _, future in queue.waiting])


def _has_delayed(tasks: Sequence[tuple]) -> bool:
    """Whether tasks have Dask's delayed values among their arguments."""
    from dask import is_dask_collection

    return len(tasks) > 0 and any(is_dask_collection(argument) for argument in tasks[0])


def _run_task(task: tuple, function: Callable, plan: Any, changes: dict[str, Any]) -> Any:
    """Run one task; called on a worker."""
    return call_with_retries(function, replace(plan, **changes) if changes else plan, *task)


class _TaskQueue:
    """Tasks that are with the workers, in the order in which their results are given."""

    def __init__(self, client: Client, function: Callable, shared: dict[str, Any], keep_killed: bool, fetch: bool):
        self.client, self.function, self.keep_killed, self.fetch = client, function, keep_killed, fetch
        self.waiting: deque[tuple[tuple, Any]] = deque()
        self._arguments = {"function": function, **shared}
        # keys differ between rounds of the same function, or Dask would take a task for one that it knows
        self._token = os.urandom(8).hex()
        self._n_sent = 0

    def add(self, tasks: Sequence[tuple]) -> None:
        """Give tasks to the scheduler."""
        self.waiting += zip(tasks, self._send(tasks), strict=True)

    def _send(self, tasks: Sequence[tuple]) -> list[Any]:
        """Give tasks to the scheduler; their futures."""
        keys = [f"{self.function.__name__}-{self._token}-{self._n_sent + i}" for i in range(len(tasks))]
        self._n_sent += len(tasks)
        futures: list[Any] = []
        for first in range(0, len(tasks), TASKS_PER_GRAPH):
            part = slice(first, first + TASKS_PER_GRAPH)
            futures += (self._send_delayed if _has_delayed(tasks) else self._send_part)(tasks[part], keys[part])
        return futures

    def _send_part(self, tasks: Sequence[tuple], keys: list[str]) -> list[Any]:
        """Give tasks to the scheduler in one graph."""
        return self.client.map(_run_task, tasks, key=keys, pure=False, **self._arguments)

    def _send_delayed(self, tasks: Sequence[tuple], keys: list[str]) -> list[Any]:
        """Give tasks to the scheduler in one graph with that of the delayed values among their arguments."""
        import dask

        call = dask.delayed(_run_task, pure=False)
        return self.client.compute([call(task, **self._arguments, dask_key_name=key)
                                    for task, key in zip(tasks, keys, strict=True)])

    def take(self) -> list[Any]:
        """Take the results of the first tasks as far as they are there; if none is, wait for that of the first task."""
        results = self._take_ready() or [self._wait_for_first()]
        for _ in results:
            self.waiting.popleft()
        return results

    def _take_ready(self) -> list[Any]:
        """The results that need not be waited for, if there are several of them; without fetching, if there are any."""
        from distributed.scheduler import KilledWorker

        most = RESULTS_AT_ONCE if self.fetch else None
        ready = [future for _, future in itertools.takewhile(lambda sent: sent[1].status == "finished",
                                                             itertools.islice(self.waiting, most))]
        if not self.fetch:
            return [None] * len(ready)
        if len(ready) > 1:
            # KilledWorker: a result was lost with its worker and could not be made again; taken one by one, the task
            # at fault is found
            with contextlib.suppress(KilledWorker):
                return self.client.gather(ready)
        return []

    def _wait_for_first(self) -> Any:
        """The result of the first task, waited for."""
        from distributed.scheduler import KilledWorker

        task, future = self.waiting[0]
        try:
            # not distributed.wait, which takes the client that is the default
            return None if not self.fetch and future.exception() is None else future.result()
        except KilledWorker as error:
            return self._rerun_alone(task, error)

    def _rerun_alone(self, task: tuple, error: Any) -> Any:
        """The result of a task that workers had as they died, run again while nothing else runs.

        Dask counts the death of a worker against all tasks that it has been given, also those that only wait.
        """
        others = [i for i, (_, future) in enumerate(self.waiting) if i and future.status == "pending"]
        self.client.cancel([self.waiting[i][1] for i in others])
        # a cancelled task that runs already cannot be stopped: it is waited for, or its death would be counted too
        while any(self.client.run(_count_running, on_error="ignore").values()):
            time.sleep(_LOOK_EVERY)
        (future,) = self._send([task])
        result = self._watch(future, error)
        for i, again in zip(others, self._send([self.waiting[i][0] for i in others]), strict=True):
            self.waiting[i] = self.waiting[i][0], again
        return result

    def _watch(self, future: Any, error: Any) -> Any:
        """The result of a task that runs alone; the first worker that dies under it shows that it is at fault."""
        from distributed.scheduler import KilledWorker

        try:
            while not self.client.run_on_scheduler(_count_deaths, key=future.key):
                with contextlib.suppress(TimeoutError):
                    future.exception(timeout=_LOOK_EVERY)
                if future.status != "pending":
                    return future.result() if self.fetch or future.status != "finished" else None
        except KilledWorker:
            pass
        self.client.cancel([future])
        if not self.keep_killed:
            raise error
        # Dask gives up after one death more than it allows; the run alone adds one
        return KilledTask(error.allowed_failures + 2)


def _count_running(dask_worker: Any) -> int:
    """How many tasks a worker runs, among them those that were cancelled as they ran."""
    return len(dask_worker.state.executing)


def _count_deaths(key: str, dask_scheduler: Any) -> int:
    """How many workers have died that had been given a task."""
    task = dask_scheduler.tasks.get(key)
    return 0 if task is None else task.suspicious
