"""SIGTERM, wherever it comes."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time

import pytest

from xdp.cluster.ending import Termination, end_on_signals


class Loose:
    """Does something when it is destroyed."""

    def __init__(self, last_deed):
        self.last_deed = last_deed

    def __del__(self):
        self.last_deed()


@pytest.fixture(autouse=True)
def ctrl_c():
    """Ctrl-C as a terminal has it, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def shoot(number):
    """Send this process a signal, and be there when it comes."""
    os.kill(os.getpid(), number)
    for _ in range(1000):
        pass


def wait():
    """Time for a signal that comes later."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.01)


def drop_and_wait(last_deed):
    """Destroy an object in whose destructor something happens."""
    thing = Loose(last_deed)
    del thing
    wait()


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, Termination), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_while_an_object_is_destroyed_is_not_lost(number, error):
    with pytest.raises(error), end_on_signals():
        drop_and_wait(lambda: shoot(number))


def test_a_signal_during_garbage_collection_is_not_lost():
    def collecting(phase, info):
        if phase == "stop":
            gc.callbacks.remove(collecting)
            shoot(signal.SIGTERM)

    def collect():
        gc.callbacks.append(collecting)
        gc.collect()
        wait()

    with pytest.raises(SystemExit) as ended, end_on_signals():
        collect()
    assert ended.value.code == 143


def fail_and_end():
    """An error that nobody gets, then SIGTERM."""
    thing = Loose(lambda: 1 / 0)
    del thing
    shoot(signal.SIGTERM)


def test_afterwards_all_is_as_before():
    hook, handler = sys.unraisablehook, signal.getsignal(signal.SIGTERM)
    dropped = []
    sys.unraisablehook = dropped.append
    try:
        with pytest.raises(Termination), end_on_signals(), end_on_signals():
            fail_and_end()
        assert [one.exc_type for one in dropped] == [ZeroDivisionError]
        assert sys.unraisablehook == dropped.append
    finally:
        sys.unraisablehook = hook
    assert signal.getsignal(signal.SIGTERM) == handler


@pytest.mark.parametrize("call", ["load()", "t = threading.Thread(target=load); t.start(); t.join()"])
def test_batch_systems_leave_ctrl_c_alone(call):
    """As dask-jobqueue is imported, it would have Ctrl-C end a run with status 0."""
    code = f"""
import signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
def load():
    import xdp.cluster.batch.jobs
{call}
assert "xdp.cluster.batch.jobs" in sys.modules and "dask_jobqueue.runner" in sys.modules
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
