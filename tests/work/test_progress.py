"""Progress that is shown nowhere, or in several places."""

from __future__ import annotations

import contextlib

import pytest

from xdp.work.progress import join_progress, no_progress


def keeping(log, name):
    """A progress that keeps the numbers it gets."""

    @contextlib.contextmanager
    def progress(total, label):
        log.append(f"{name} begins {total} {label}")
        try:
            yield lambda count: log.append(f"{name} {count}")
        finally:
            log.append(f"{name} ends")

    return progress


def test_nothing_is_shown():
    with no_progress(3, "frames") as advance:
        assert advance(1) is None


def test_each_progress_gets_all_steps_in_order():
    log = []
    with join_progress(keeping(log, "bar"), keeping(log, "file"))(7, "frames") as advance:
        advance(2)
    assert log == ["bar begins 7 frames", "file begins 7 frames", "bar 2", "file 2", "file ends", "bar ends"]


def test_all_end_after_an_error():
    log = []
    with pytest.raises(ZeroDivisionError), join_progress(keeping(log, "bar"), keeping(log, "file"))(7, "frames"):
        raise ZeroDivisionError
    assert log[-2:] == ["file ends", "bar ends"]
