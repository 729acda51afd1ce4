"""A progress bar for people who watch: drawn on a terminal only, and rich is imported only then."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from xdp.work.progress import Advance, no_progress


@contextmanager
def draw_progress(total: int, label: str) -> Iterator[Advance]:
    """Show the progress of a long loop on stderr; give a function that says how many more are done.

    Off a terminal (in a batch job, in a pipe) the function does nothing.

    Examples
    --------
    >>> with draw_progress(3, "frames") as advance:
    ...     for frame in range(3):
    ...         advance(1)
    """
    if not sys.stderr.isatty():
        with no_progress(total, label) as advance:
            yield advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)

        def advance(count: int = 1) -> None:
            bar.advance(task, count)

        yield advance
