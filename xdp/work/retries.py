"""Calls that are repeated after an error of a shared file system that usually passes."""

from __future__ import annotations

import copy
import errno
import logging
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

PASSING_ERRORS = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN})
"""Error numbers that a network file system gives while a server restarts or after a file handle has gone stale. They
usually pass; a full disk (ENOSPC) or a missing file (ENOENT) does not, and is not among them."""
PAUSES = (0.5, 5.0, 30.0)
"""Seconds to wait before each further try. A choice: the first bridges a stale handle, all together a server that
restarts within half a minute."""


def is_passing_error(error: BaseException | None) -> bool:
    """Whether an error, or an error that caused it, is one of the file system that usually passes.

    Parameters
    ----------
    error : BaseException or None
        The error; the chain of its causes (``raise ... from ...``) is searched, too.

    Examples
    --------
    >>> is_passing_error(OSError(errno.ESTALE, "Stale file handle"))
    True
    >>> is_passing_error(OSError(errno.ENOSPC, "No space left on device"))
    False
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in PASSING_ERRORS:
            return True
        # readers raise FormatError from the OSError, so that the number is that of the cause
        error = error.__cause__
    return False


def call_with_retries(function: Callable, shared: Any, *task: Any) -> Any:
    """Call ``function(shared, *task)``, again after a pause where the file system gave an error that may pass.

    Each further try gets a copy of `shared` as another process would: files that were open in it are opened anew, since
    a stale handle stays stale.

    Parameters
    ----------
    function : callable
        The task. It may run several times, so that whatever it writes must be whole or absent.
    shared : object
        What all tasks share; copied by ``copy.deepcopy`` before a further try.
    *task : object
        The arguments of this task.

    Returns
    -------
    object
        What `function` returned.

    Raises
    ------
    Exception
        What the last try raised; an error that does not pass is raised at once.
    """
    for pause in PAUSES:
        try:
            return function(shared, *task)
        except Exception as error:
            if not is_passing_error(error):
                raise
            log.warning("%s; trying again in %g s", error, pause)
            time.sleep(pause)
            shared = copy.deepcopy(shared)
    return function(shared, *task)
