"""Hiccups of a file system, and tasks that kill their workers."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from sweeps import add_spot, background, sweep

from xdp.errors import FormatError, XdpError
from xdp.spotfinding.find import find_spots, find_spots_to_file
from xdp.spotfinding.options import FindSpotsOptions
from xdp.spotfinding.run import tasks as running
from xdp.work import patience
from xdp.work.patience import is_hiccup, patient
from xdp.work.tasks import on_threads


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(patience, "PAUSES", (0.0, 0.0, 0.0))


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
def test_a_hiccup_is_waited_out(code):
    assert patient(call, Flaky(OSError(code, "hiccup"), OSError(code, "again")), 3) == ("done", 3)


def test_what_does_not_pass_is_raised():
    with pytest.raises(OSError, match="hiccup"):
        patient(call, Flaky(*[OSError(errno.EIO, "hiccup")] * 4), 3)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError(errno.ENOENT, "gone"), ValueError("wrong")])
def test_other_errors_are_raised_at_once(error):
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        patient(call, flaky, 3)
    assert not flaky.left


def test_errors_of_formats_show_what_caused_them():
    error = FormatError("x.cbf: cannot be read")
    error.__cause__ = OSError(errno.ESTALE, "stale")
    assert is_hiccup(error)
    assert not is_hiccup(FormatError("x.cbf: is truncated"))


def test_threads_are_patient():
    assert list(on_threads(call, Flaky(OSError(errno.EIO, "hiccup")), [(1,), (2,)], 1)) == [("done", 1), ("done", 2)]


def test_a_disk_that_ails_once_changes_no_byte(tmp_path, monkeypatch):
    counts = background(6)
    add_spot(counts, 2, 20, 20)
    experiments = sweep(tmp_path, counts)

    def found(name):
        options = FindSpotsOptions(output={"reflections": str(tmp_path / name)},
                                   spotfinder={"mp": {"chunksize": 2}})
        find_spots_to_file(experiments, options)
        return (tmp_path / name).read_bytes()

    well = found("well.refl")
    replace, left = os.replace, [OSError(errno.ESTALE, "stale"), OSError(errno.EIO, "ailing")]

    def ailing(*args):
        if left:
            raise left.pop()
        return replace(*args)

    monkeypatch.setattr(os, "replace", ailing)
    assert found("ailing.refl") == well
    assert not left


class Killing:
    """A client one of whose tasks kills its workers."""

    def submit(self, submitted, *args, key, pure, **keywords):
        from distributed.scheduler import KilledWorker

        class Future:
            status = "pending"

            def __init__(self):
                self.key = key

            def result(self):
                if key.startswith("threshold") and args[0][0] == 2:
                    raise KilledWorker(key, None, 2)
                return submitted(*args, **{name: a.result() if hasattr(a, "result") else a
                                          for name, a in keywords.items()})

        return Future()

    def run(self, function, on_error):
        return {"tcp://somewhere": 0}

    def run_on_scheduler(self, function, key):
        return 1

    def map(self, mapped, tasks, *, key, **keywords):
        return [self.submit(mapped, task, key=name, **keywords) for task, name in zip(tasks, key, strict=True)]

    def cancel(self, futures):
        pass


@pytest.fixture
def experiments(tmp_path):
    counts = background(6)
    for frame in (0, 2, 5):
        add_spot(counts, frame, 20, 20 + 5 * frame)
    return sweep(tmp_path, counts)


def options(killed):
    return FindSpotsOptions(spotfinder={"mp": {"chunksize": 2, "killed_task": killed}})


def test_a_killing_task_stops_the_run_and_is_named(experiments):
    with pytest.raises(XdpError, match="frames 3 to 4: their task killed its workers 4 times"):
        find_spots(experiments, options("stop"), Killing())


def test_a_killing_task_is_skipped(experiments, caplog):
    table = find_spots(experiments, options("skip"), Killing())
    assert np.floor(table["xyzobs.px.value"][:, 2]).tolist() == [0, 5]
    assert "Skipped frames 3 to 4: their task killed its workers 4 times" in caplog.text
    assert running.log.name in {record.name for record in caplog.records}
