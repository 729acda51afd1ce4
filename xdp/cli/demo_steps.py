"""What the demonstrations share: steps that are timed, run without their words, and shown as a table."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from xdp.errors import XdpError
from xdp.protection import command_scope

Row = tuple[str, str, str]
"""Name of a step, its seconds, its result."""


def run_quietly(name: str, module: str, words: Sequence[str], folder: Path) -> None:
    """Run one command; what it would say on the screen is in its log.

    Parameters
    ----------
    name : str
        Of the step, for messages.
    module : str
        Of the command, in ``xdp.cli``.
    words : sequence of str
        Its arguments.
    folder : Path
        Where its log is.

    Raises
    ------
    XdpError
        If it does not end well.
    """
    # Each step's lines are in its log; here one line a step is enough.
    with contextlib.redirect_stdout(io.StringIO()), command_scope():
        status = importlib.import_module(f"xdp.cli.{module}").run(list(words))
    if status:
        raise XdpError(f"the step '{name}' ended with status {status}; its log is in {folder}")


@contextlib.contextmanager
def time_step(name: str, rows: list[Row]) -> Iterator[list[str]]:
    """Time a step, and keep what was said of it.

    Parameters
    ----------
    name : str
        Of the step.
    rows : list of Row
        Gets its row.

    Yields
    ------
    list of str
        For its result, one text.
    """
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{name} ...")
    start = time.perf_counter()
    said: list[str] = []
    yield said
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    rows.append((name, f"{time.perf_counter() - start:.1f}", " ".join(said)))


def print_rows(rows: Sequence[Row], title: str) -> None:
    """Print the steps: a table for people, plain lines for pipes.

    Parameters
    ----------
    rows : sequence of Row
    title : str
        Of the table.
    """
    if not sys.stdout.isatty():
        for name, seconds, result in rows:
            sys.stdout.write(f"{name:<14}{seconds:>6} s  {result}\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("step", "seconds", "result", title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
