"""What workers of this machine do as they start."""

from __future__ import annotations

import signal
import threading

from xdp.cluster.worker_setup import dask_setup


def test_a_worker_leaves_ctrl_c_to_the_driver():
    before = signal.getsignal(signal.SIGINT)
    try:
        dask_setup(None)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_worker_in_a_thread_is_no_error():
    before, errors = signal.getsignal(signal.SIGINT), []

    def set_up():
        try:
            dask_setup(None)
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=set_up)
    thread.start()
    thread.join()
    assert (errors, signal.getsignal(signal.SIGINT)) == ([], before)
