"""dask-jobqueue, imported without its signal handlers."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import signal
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], signal.signal
import xdp.cluster.batch.jobqueue
assert ([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], signal.signal) == before
assert xdp.cluster.batch.jobqueue.JobQueueCluster.__module__ == "dask_jobqueue.core"
"""


def test_signals_stay_with_the_program():
    """In a process of its own: what is imported once sets handlers once."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
