"""What is asked of psana."""

from __future__ import annotations

import sys

import pytest
from fake_psana import make_first, make_images, make_second

from xdp.errors import XdpError
from xdp.serial.events.psana.adapters import FirstPsana, SecondPsana, StreamNames, open_stream_run


def test_runs_are_opened_by_their_names(monkeypatch):
    names = StreamNames("mfx1", 7, "epix10k2M", folder="/data/xtc")
    first, second = make_first(make_images(2)), make_second(make_images(2))
    monkeypatch.setitem(sys.modules, "psana", first)
    assert isinstance(open_stream_run(names), FirstPsana)
    assert first.opened == ["exp=mfx1:run=7:idx:dir=/data/xtc"]
    monkeypatch.setitem(sys.modules, "psana", second)
    run = open_stream_run(names)
    assert isinstance(run, SecondPsana)
    assert second.opened[0] == ("mfx1", 7, {"dir": "/data/xtc"})
    assert run.count_events() == 2
    assert run.read_event(0).encoder is None
    with pytest.raises(XdpError, match="has 2 events"):
        run.read_event(5)
