"""Tasks that share one plan, run on threads of this process or on the workers of a Dask client, results in order."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from xdp.cluster.patience import patient

if TYPE_CHECKING:
    from distributed import Client

Progress = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]
"""Shows how far work has come: entered with the total and a label, gives a function that takes what more is done."""

TASKS_A_GRAPH = 1000
"""Tasks that go to the scheduler at once; a graph is some 0.3 kB a task."""
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
    from xdp.cluster.warming import is_warm, note_warm

    token = os.urandom(8).hex()
    placed = shared if isinstance(shared, Placed) else place(shared, client)
    changes = place(placed.changes, client).whole if placed.changes else {}
    keys = [f"{function.__name__}-{token}-{i}" for i in range(len(tasks))]
    futures: deque[Any] = deque()
    try:
        alone = 0 if is_warm(function) else 1
        for first, last in itertools.pairwise((0, *range(alone, len(tasks), TASKS_A_GRAPH), len(tasks))):
            if first == last:
                continue
            futures += client.map(_task, tasks[first:last], key=keys[first:last], pure=False,
                                  function=function, plan=placed.whole, changes=changes)
            if last == alone and not isinstance(_result(futures[0], with_killers), Killer):
                note_warm(function)
        while futures:
            results = (_first_results if fetch else _first_done)(futures, client, with_killers)
            for _ in results:
                futures.popleft()
            yield from results
    finally:
        if futures:
            client.cancel(list(futures))


def _finished(futures: Iterable[Any]) -> list[Any]:
    """The first futures as far as they are done, and well."""
    return list(itertools.takewhile(lambda future: future.status == "finished", futures))


def _first_done(futures: deque[Any], _: Client, with_killers: bool) -> list[Any]:
    """None for each of the first futures that are done; if none is, for the first, waited for."""
    ready = _finished(futures)
    if not ready:
        futures[0].exception()  # waits, by its own client: distributed.wait takes the one that is the default
        return [None if futures[0].status == "finished" else _result(futures[0], with_killers)]
    return [None] * len(ready)


def _first_results(futures: deque[Any], client: Client, with_killers: bool) -> list[Any]:
    """The results of the first futures as far as they are there; if none is, the first one's, waited for."""
    from distributed.scheduler import KilledWorker

    ready = _finished(itertools.islice(futures, RESULTS_AT_ONCE))
    if len(ready) > 1:
        with contextlib.suppress(KilledWorker):  # a result was lost and could not be made again: it is named below
            return client.gather(ready)
    return [_result(futures[0], with_killers)]


def _result(future: Any, with_killers: bool) -> Any:
    """The result of a future, or what stands for it if its task killed its workers."""
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        if not with_killers:
            raise
        return Killer(error.allowed_failures + 1)
