"""The normal equations of many experiments: here, or on the workers of a Dask client, summed in one order."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from xdp.refinement.equations.problem import Normal, Part, normal_equations
from xdp.work.tasks import run_tasks
from xdp.work.workers import send_to_workers

_BAG = 20_000  # reflections that one task looks at: some tens of milliseconds


class Equations:
    """Calls give the normal equations of all parts at p, in the order of the parts.

    With a client the observations travel to the workers once; a step sends the parameters and brings back the small
    matrices. The result is the same number for number, since each part is summed on its own.
    """

    def __init__(self, parts: Sequence[Part], client: Any = None) -> None:
        self._parts = tuple(parts)
        self._client = client
        self._bags: list[Any] = []

    def __enter__(self) -> Equations:
        if self._client is not None:
            # each bag goes to one worker, which keeps it; the scheduler sends it anew if that worker is lost
            self._bags = [send_to_workers(bag, self._client).whole for bag in bags(self._parts)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bags = []

    def __call__(self, p: np.ndarray) -> list[Normal]:
        """Normal equations at parameters `p`."""
        if self._client is None:
            return [normal_equations(part, p) for part in self._parts]
        found = run_tasks(bag_equations, p, [(bag,) for bag in self._bags], client=self._client)
        return [normal for some in found for normal in some]


def bags(parts: Sequence[Part]) -> list[tuple[Part, ...]]:
    """Runs of parts with about as many reflections each as are worth a task."""
    result: list[list[Part]] = []
    count = _BAG
    for part in parts:
        if count >= _BAG:
            result.append([])
            count = 0
        result[-1].append(part)
        count += len(part.data)
    return [tuple(some) for some in result]


def bag_equations(p: np.ndarray, parts: Sequence[Part]) -> list[Normal]:
    """The task: normal equations of each of some parts at parameters `p`, which all tasks share."""
    return [normal_equations(part, p) for part in parts]
