"""What a worker of this machine does as it starts; Dask imports this module in each."""

from __future__ import annotations

import contextlib
import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the driver, which ends its workers.

    A terminal sends it to all processes of a command, and each worker would print a traceback before it goes.

    Parameters
    ----------
    worker : distributed.Worker
        Not used; Dask gives it.
    """
    with contextlib.suppress(ValueError):  # not in the main thread, where nobody is interrupted
        signal.signal(signal.SIGINT, signal.SIG_IGN)
