"""The normal equations of many experiments: here, or on the workers of a Dask client, summed in one order."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np

from xdp.refinement.equations.parts import NormalEquations, Part
from xdp.refinement.equations.problem import build_normal_equations
from xdp.work.tasks import run_tasks
from xdp.work.workers import send_to_workers

# Reflections for one task: some tens of milliseconds of work, against about one for the scheduler. A choice.
_BAG = 20_000


class Equations:
    """A context in which calls give the normal equations of all parts at p, in the order of the parts.

    With a client the observations travel to the workers once. A step then sends the parameters and brings back the
    small matrices. The result is the same number for number, since each part is summed on its own.

    Parameters
    ----------
    parts : sequence of Part
        The experiments.
    client : dask.distributed.Client, optional
        None: all is computed in this process.
    """

    def __init__(self, parts: Sequence[Part], client: Any = None) -> None:
        self._parts = tuple(parts)
        self._client = client
        self._bags: list[Any] = []  # futures of the bags, on the workers

    def __enter__(self) -> Equations:
        if self._client is not None:
            # each bag goes to one worker, which keeps it; the scheduler sends it anew if that worker is lost
            self._bags = [send_to_workers(bag, self._client).whole for bag in split_into_bags(self._parts)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bags = []

    def __call__(self, p: np.ndarray) -> list[NormalEquations]:
        """NormalEquations equations at parameters `p`."""
        if self._client is None:
            return [build_normal_equations(part, p) for part in self._parts]
        found = run_tasks(compute_bag, p, [(bag,) for bag in self._bags], client=self._client)
        return [normal for some in found for normal in some]


def split_into_bags(parts: Sequence[Part]) -> list[tuple[Part, ...]]:
    """Divide parts, in their order, into bags with about as many reflections each as are worth a task.

    A bag is closed once it has 20,000 reflections; a part is never divided.
    """
    result: list[list[Part]] = []
    count = _BAG  # so that the first part opens a bag
    for part in parts:
        if count >= _BAG:
            result.append([])
            count = 0
        result[-1].append(part)
        count += len(part.data)
    return [tuple(some) for some in result]


def compute_bag(p: np.ndarray, parts: Sequence[Part]) -> list[NormalEquations]:
    """Build the normal equations of each part of a bag: the task of a worker. All tasks share the parameters `p`."""
    return [build_normal_equations(part, p) for part in parts]
