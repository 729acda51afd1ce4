"""How work shows its progress: one type for all stages, so that each may be given the same bar or state file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Advance(Protocol):
    """Takes how many more units (frames, stills, tiles ...) of a step are done."""

    def __call__(self, count: int = 1) -> None:
        """Count `count` more units as done."""


Progress = Callable[[int, str], AbstractContextManager[Advance]]
"""Begins a step: called with the total number of units and a label, gives a context whose value is an `Advance`."""


@contextlib.contextmanager
def no_progress(total: int, label: str) -> Iterator[Advance]:
    """Show nothing; the default of all functions that take a `Progress`.

    Parameters
    ----------
    total : int
        Units of the step.
    label : str
        What the units are.

    Examples
    --------
    >>> with no_progress(3, "frames") as advance:
    ...     for frame in range(3):
    ...         advance(1)
    """
    yield _show_nothing


def _show_nothing(count: int = 1) -> None:
    """Take how many more are done, for nobody."""


def join_progress(*shown: Progress) -> Progress:
    """Make one `Progress` that passes each step on to several, such as a bar on the terminal and a state file.

    Parameters
    ----------
    *shown : Progress
        Those that are told; they begin in this order and end in the opposite one.

    Examples
    --------
    >>> done = []
    >>> @contextlib.contextmanager
    ... def keep(total, label):
    ...     yield done.append
    >>> with join_progress(keep, no_progress, keep)(5, "frames") as advance:
    ...     advance(2)
    >>> done
    [2, 2]
    """

    @contextlib.contextmanager
    def progress(total: int, label: str) -> Iterator[Advance]:
        with contextlib.ExitStack() as stack:
            parts = [stack.enter_context(one(total, label)) for one in shown]

            def advance(count: int = 1) -> None:
                for part in parts:
                    part(count)

            yield advance

    return progress
