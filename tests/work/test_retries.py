"""Calls that are repeated after errors of the file system that pass."""

from __future__ import annotations

import errno

import pytest

from xdp.errors import FormatError
from xdp.work import retries
from xdp.work.retries import call_with_retries, is_passing_error
from xdp.work.tasks import run_on_threads


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(retries, "PAUSES", (0.0, 0.0, 0.0))


class Flaky:
    """Raises `errors` one after the other, then works; copies share the count."""

    def __init__(self, *errors):
        self.left = list(errors)

    def __deepcopy__(self, memo):
        copied = Flaky()
        copied.left = self.left
        return copied

    def __call__(self):
        if self.left:
            raise self.left.pop(0)
        return "done"


def call(flaky, number):
    return flaky(), number


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_passing_error_is_waited_out(code):
    assert call_with_retries(call, Flaky(OSError(code, "stale"), OSError(code, "again")), 3) == ("done", 3)


def test_the_last_error_is_raised_where_no_try_succeeds():
    with pytest.raises(OSError, match="stale"):
        call_with_retries(call, Flaky(*[OSError(errno.EIO, "stale")] * 4), 3)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError(errno.ENOENT, "gone"), ValueError("wrong")])
def test_other_errors_are_raised_at_once(error):
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        call_with_retries(call, flaky, 3)
    assert not flaky.left


def test_errors_of_formats_show_what_caused_them():
    error = FormatError("x.cbf: cannot be read")
    error.__cause__ = OSError(errno.ESTALE, "stale")
    assert is_passing_error(error)
    assert not is_passing_error(FormatError("x.cbf: is truncated"))


def test_tasks_on_threads_are_repeated():
    flaky = Flaky(OSError(errno.EIO, "stale"))
    assert list(run_on_threads(call, flaky, [(1,), (2,)], 1)) == [("done", 1), ("done", 2)]


def test_each_further_try_has_a_copy_of_what_is_shared():
    seen = []

    class Shared:
        """Notes which of its copies a task was called with."""

    def task(shared):
        seen.append(shared)
        if len(seen) < 3:
            raise OSError(errno.ESTALE, "stale")

    first = Shared()
    call_with_retries(task, first)
    assert seen[0] is first
    assert len({id(shared) for shared in seen}) == 3


def test_a_retry_is_logged_with_its_reason(caplog):
    call_with_retries(call, Flaky(OSError(errno.EIO, "input/output error")), 1)
    assert "input/output error; trying again in 0 s" in caplog.text
