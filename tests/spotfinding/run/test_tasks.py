"""Tasks of a search: errors of the file system that pass, and tasks that kill their workers."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from clients import InlineClient
from distributed.scheduler import KilledWorker
from sweeps import add_spot, background, sweep

from xdp.errors import XdpError
from xdp.spotfinding.find import find_spots, find_spots_to_file
from xdp.spotfinding.options import FindSpotsOptions
from xdp.spotfinding.run import tasks
from xdp.work import retries


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(retries, "PAUSES", (0.0, 0.0, 0.0))


def test_errors_of_the_disk_that_pass_change_no_byte(tmp_path, monkeypatch):
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

    def replace_with_errors(*args):
        if left:
            raise left.pop()
        return replace(*args)

    monkeypatch.setattr(os, "replace", replace_with_errors)
    assert found("ailing.refl") == well
    assert not left


class KillingClient(InlineClient):
    """A client one of whose tasks kills its workers: that of the chunk that begins with frame 3."""

    def map(self, function, tasks, /, *, key, **keywords):
        futures = super().map(function, tasks, key=key, **keywords)
        for future, task in zip(futures, tasks, strict=True):
            if future.key.startswith("search_chunk") and task[0] == 2:
                future.fail(KilledWorker(future.key, None, 2))
        return futures

    def run(self, function, on_error):
        return {"inline://": 0}

    def run_on_scheduler(self, function, key):
        return 1


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
        find_spots(experiments, options("stop"), client=KillingClient())


def test_a_killing_task_is_skipped(experiments, caplog):
    table = find_spots(experiments, options("skip"), client=KillingClient()).reflections
    assert np.floor(table["xyzobs.px.value"][:, 2]).tolist() == [0, 5]
    assert "Skipped frames 3 to 4: their task killed its workers 4 times" in caplog.text
    assert tasks.log.name in {record.name for record in caplog.records}
