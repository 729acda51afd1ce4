"""SIGTERM ends a run as an error would: files are closed, jobs are cancelled, the state says what happened."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

AGAIN_AFTER = 0.05
"""Seconds after which a signal is sent again whose exception was lost. A choice: the collection of garbage in which it
was lost is over by then, and no user notices the delay."""


class Termination(SystemExit):
    """SIGTERM has come."""


_SIGNALS: dict[type, int] = {Termination: signal.SIGTERM, KeyboardInterrupt: signal.SIGINT}


@contextlib.contextmanager
def end_on_signals() -> Iterator[None]:
    """Let SIGTERM end the run as an exception would, so that jobs are cancelled (batch systems send it first).

    Python drops an exception that is raised while it collects garbage (Dask has a function that is called then, and
    destructors run at any time), and the run would go on. Such a signal, and one of Ctrl-C, is sent once more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler, hook = signal.signal(signal.SIGTERM, _terminate), sys.unraisablehook
    sys.unraisablehook = lambda dropped: _send_again(dropped, hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, handler)


def _terminate(*_: Any) -> None:
    raise Termination(128 + signal.SIGTERM)


def _send_again(dropped: Any, hook: Callable[[Any], object]) -> None:
    """Send a signal again whose exception nobody got; other exceptions go to Python's own `hook`."""
    number = _SIGNALS.get(dropped.exc_type)
    if number is None:
        hook(dropped)
        return
    # not at once: it would be dropped as the first was
    timer = threading.Timer(AGAIN_AFTER, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()
