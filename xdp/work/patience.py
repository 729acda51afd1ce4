"""Tasks that outlive the hiccups of a shared file system."""

from __future__ import annotations

import copy
import errno
import logging
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

HICCUPS = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN})
"""Errors that a network file system gives when a server restarts or a handle has gone stale, and that pass."""
PAUSES = (0.5, 5.0, 30.0)
"""Seconds to wait before each further try."""


def is_hiccup(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is one of the file system that may pass."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in HICCUPS:
            return True
        error = error.__cause__
    return False


def patient(function: Callable, shared: Any, *task: Any) -> Any:
    """``function(shared, *task)``, tried again after a hiccup of the file system.

    Each further try gets a copy of `shared` as another process would: files that were open in it are opened anew, since
    a stale handle stays stale.

    Raises
    ------
    Exception
        What the last try raised; at once, what is no hiccup.
    """
    for pause in PAUSES:
        try:
            return function(shared, *task)
        except Exception as error:
            if not is_hiccup(error):
                raise
            log.warning("%s; trying again in %g s", error, pause)
            time.sleep(pause)
            shared = copy.deepcopy(shared)
    return function(shared, *task)
