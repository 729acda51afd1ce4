"""Tasks that share one plan, run on threads of this process or on the workers of a Dask client, results in order."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from xdp.work.patience import patient

if TYPE_CHECKING:
    from distributed import Client

Progress = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]
"""Shows how far work has come: entered with the total and a label, gives a function that takes what more is done."""

TASKS_A_GRAPH = 1000
"""Tasks that go to the scheduler at once; a graph is some 0.3 kB a task."""
_LOOK_EVERY = 0.1
"""Seconds between looks at a task that runs alone."""
RESULTS_AT_ONCE = 16
"""Results fetched at once from the workers, so that the driver's memory stays bounded."""


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
            waiting.append(pool.submit(patient, function, shared, *task))
            if len(waiting) > 2 * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _itself(shared: Any) -> Any:
    """The task that puts what all tasks share on the workers, once each."""
    return shared


@dataclass(frozen=True)
class Placed:
    """What several rounds of tasks share, on the workers of a Dask client: it goes there once, not with each round.

    Attributes
    ----------
    whole : distributed.Future
        Of what is shared.
    changes : dict of str to Any
        Fields of it, then a dataclass, that are others by now.
    """

    whole: Any
    changes: dict[str, Any] = field(default_factory=dict)

    def replaced(self, **changes: Any) -> Placed:
        """As ``dataclasses.replace`` of what is there; only the changes travel."""
        return Placed(self.whole, self.changes | changes)


def place(shared: Any, client: Client) -> Placed:
    """Put what tasks share on the workers of a client, for as long as the result is held."""
    # a task, not scattered data: if the workers that hold it are lost, the scheduler makes it again
    return Placed(client.submit(_itself, shared, key=f"plan-{os.urandom(8).hex()}", pure=False))


@dataclass(frozen=True)
class Killer:
    """Given in place of the result of a task that killed its workers again and again.

    Attributes
    ----------
    times : int
        How many workers it killed.
    """

    times: int


def _task(task: tuple, function: Callable, plan: Any, changes: dict[str, Any]) -> Any:
    """One task on a worker."""
    return patient(function, replace(plan, **changes) if changes else plan, *task)


def on_client(function: Callable, shared: Any, tasks: Sequence[tuple], client: Client, *,
              with_killers: bool = False, fetch: bool = True) -> Iterator[Any]:
    """Results of ``function(shared, *task)`` in order, computed by the workers of a Dask client.

    What is shared may have been put there before (:func:`place`). The first task runs alone where the workers' cache of
    kernels has not seen `function` yet. With `with_killers` a task that kills its workers again and again gives a
    :class:`Killer` in place of an error. Without `fetch` results stay where they are, and None is given for each: for
    tasks that leave theirs in files.

    Notes
    -----
    Tasks go to the scheduler many in a graph, and results that are there come back together: one by one, a task took
    the driver 2.2 times as long (``benchmarks/scaling.py``).
    """
    from xdp.work.warming import is_warm, note_warm

    placed = shared if isinstance(shared, Placed) else place(shared, client)
    changes = place(placed.changes, client).whole if placed.changes else {}
    sent = _Round(client, function, placed.whole, changes, with_killers, fetch)
    try:
        n_alone = 0 if is_warm(function) else 1
        sent.add(tasks[:n_alone])
        first = sent.take() if sent.waiting else []
        if first and not isinstance(first[0], Killer):
            note_warm(function)
        sent.add(tasks[n_alone:])
        yield from first
        while sent.waiting:
            yield from sent.take()
    finally:
        if sent.waiting:
            client.cancel([future for _, future in sent.waiting])


class _Round:
    """Tasks that are with the workers, in order."""

    def __init__(self, client: Client, function: Callable, plan: Any, changes: Any, with_killers: bool, fetch: bool):
        self.client, self.function, self.with_killers, self.fetch = client, function, with_killers, fetch
        self.waiting: deque[tuple[tuple, Any]] = deque()
        self._shared = {"function": function, "plan": plan, "changes": changes}
        self._token = os.urandom(8).hex()
        self._n_sent = 0

    def add(self, tasks: Sequence[tuple]) -> None:
        """Give tasks to the scheduler."""
        self.waiting += zip(tasks, self._send(tasks), strict=True)

    def _send(self, tasks: Sequence[tuple]) -> list[Any]:
        """Futures of tasks."""
        keys = [f"{self.function.__name__}-{self._token}-{self._n_sent + i}" for i in range(len(tasks))]
        self._n_sent += len(tasks)
        futures: list[Any] = []
        for first in range(0, len(tasks), TASKS_A_GRAPH):
            part = slice(first, first + TASKS_A_GRAPH)
            futures += self.client.map(_task, tasks[part], key=keys[part], pure=False, **self._shared)
        return futures

    def take(self) -> list[Any]:
        """The results of the first tasks as far as they are there; if none is, the first one's, waited for."""
        results = self._there() or [self._first()]
        for _ in results:
            self.waiting.popleft()
        return results

    def _there(self) -> list[Any]:
        """The results that need not be waited for, if there are several of them; without fetching, if there are any."""
        from distributed.scheduler import KilledWorker

        most = RESULTS_AT_ONCE if self.fetch else None
        ready = [future for _, future in itertools.takewhile(lambda sent: sent[1].status == "finished",
                                                             itertools.islice(self.waiting, most))]
        if not self.fetch:
            return [None] * len(ready)
        if len(ready) > 1:
            with contextlib.suppress(KilledWorker):  # a result was lost and could not be made again
                return self.client.gather(ready)
        return []

    def _first(self) -> Any:
        """The result of the first task, waited for."""
        from distributed.scheduler import KilledWorker

        task, future = self.waiting[0]
        try:
            # not distributed.wait, which takes the client that is the default
            return None if not self.fetch and future.exception() is None else future.result()
        except KilledWorker as error:
            return self._alone(task, error)

    def _alone(self, task: tuple, error: Any) -> Any:
        """The result of a task that workers had as they died, run again while nothing else runs.

        Dask counts the death of a worker against all tasks that it has been given, also those that only wait.
        """
        others = [i for i, (_, future) in enumerate(self.waiting) if i and future.status == "pending"]
        self.client.cancel([self.waiting[i][1] for i in others])
        while any(self.client.run(_n_running, on_error="ignore").values()):
            time.sleep(_LOOK_EVERY)
        (future,) = self._send([task])
        result = self._watched(future, error)
        for i, again in zip(others, self._send([self.waiting[i][0] for i in others]), strict=True):
            self.waiting[i] = self.waiting[i][0], again
        return result

    def _watched(self, future: Any, error: Any) -> Any:
        """The result of a task that runs alone; its first death of a worker is its own."""
        from distributed.scheduler import KilledWorker

        try:
            while not self.client.run_on_scheduler(_n_deaths, key=future.key):
                with contextlib.suppress(TimeoutError):
                    future.exception(timeout=_LOOK_EVERY)
                if future.status != "pending":
                    return future.result() if self.fetch or future.status != "finished" else None
        except KilledWorker:
            pass
        self.client.cancel([future])
        if not self.with_killers:
            raise error
        return Killer(error.allowed_failures + 2)


def _n_running(dask_worker: Any) -> int:
    """How many tasks a worker runs, among them those that were cancelled as they ran."""
    return len(dask_worker.state.executing)


def _n_deaths(key: str, dask_scheduler: Any) -> int:
    """How many workers have died that had been given a task."""
    task = dask_scheduler.tasks.get(key)
    return 0 if task is None else task.suspicious
