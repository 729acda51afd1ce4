"""As much of a Dask client as stages use, in this process: for tests that need no real workers."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle


class InlineFuture:
    """The result or the error of a task that has run."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.status, self._result, self._error = "pending", None, None

    def run(self, function: Any, args: tuple, keywords: dict[str, Any]) -> None:
        try:
            self._result = function(*_resolved(args), **_resolved(keywords))
            self.status = "finished"
        except Exception as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        self.status, self._error = "error", error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result

    def exception(self) -> BaseException | None:
        return self._error


def _resolved(value: Any) -> Any:
    """A value with the results of all futures in it, as a worker sees it: a copy."""
    if isinstance(value, InlineFuture):
        return value.result()
    if type(value) in (list, tuple):
        return type(value)(_resolved(one) for one in value)
    if type(value) is dict:
        return {name: _resolved(one) for name, one in value.items()}
    return pickle.loads(cloudpickle.dumps(value))


class InlineClient:
    """Runs tasks in this process as they are submitted; those that are submitted together in the opposite order.

    Attributes
    ----------
    keys : list of str
        Of all tasks that were submitted, in order.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []

    def submit(self, function: Any, /, *args: Any, pure: bool, key: str = "one", **keywords: Any) -> InlineFuture:
        return self.map(function, [args], key=[key], pure=pure, _unpack=True, **keywords)[0]

    def map(self, function: Any, tasks: Any, /, *, key: list[str], pure: bool, _unpack: bool = False,
            **keywords: Any) -> list[InlineFuture]:
        self.keys += key
        futures = [InlineFuture(name) for name in key]
        for future, task in reversed(list(zip(futures, tasks, strict=True))):
            future.run(function, task if _unpack else (task,), keywords)
        return futures

    def gather(self, futures: list[InlineFuture]) -> list[Any]:
        return [future.result() for future in futures]

    def cancel(self, futures: list[InlineFuture]) -> None:
        """Tasks have run when they were submitted, so that nothing is to be cancelled."""

    def nthreads(self) -> dict[str, int]:
        return {"inline://": 1}
