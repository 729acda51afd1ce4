"""dask-jobqueue, imported so that signals stay with the program.

As it is imported it gives Ctrl-C to a function that ends Python with status 0, as if all had gone well; and it cannot
be imported in a thread.
"""

from __future__ import annotations

import signal
from typing import Any

_set = signal.signal


def _set_no_handler(*_: Any) -> None:
    """Set no handler."""


signal.signal = _set_no_handler  # type: ignore[assignment]
try:
    from dask_jobqueue.core import Job, JobQueueCluster
finally:
    signal.signal = _set

__all__ = ["Job", "JobQueueCluster"]
