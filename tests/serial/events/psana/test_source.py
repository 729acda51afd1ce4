"""Shots of LCLS streams through stand-ins for psana 1 and 2."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from fake_psana import make_first, make_images, make_second

from xdp.cli.main import main
from xdp.errors import XdpError
from xdp.serial.events.psana import open_stream

NAMES = {"experiment": "cxi49812", "run": 69, "address": "CxiDs2.0:Cspad.0", "encoder": "CXI:DS1:MMS:06.RBV"}


@pytest.fixture(params=[make_first, make_second], ids=["psana1", "psana2"])
def make(request):
    return request.param


def test_events_of_both_versions_are_the_same_shots(make, monkeypatch):
    images = make_images(4)
    monkeypatch.setitem(sys.modules, "psana", make(images))
    events = open_stream(NAMES, detz_offset=575.0)
    assert len(events) == 4
    shots = [events[i] for i in (0, 3, 1, 2)]  # in any order
    for shot, i in zip(shots, (0, 3, 1, 2), strict=True):
        assert shot.failure is None
        assert np.array_equal(np.stack(shot.image), images[i])
        assert (shot.index, shot.id, shot.distance) == (i, f"cxi49812-r0069 //{i}", 125.0)
        assert (shot.photon_energy, shot.pulse_energy) == (9500.0 + i, 1.5)
        assert shot.timestamp == f"2016-07-08T22:05Z24.{133 + i}"


def test_a_call_that_raises_takes_its_shot_alone(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "psana", make(make_images(4), broken={1}))
    events = open_stream(NAMES)
    assert [shot.failure.reason if shot.failure else None for shot in events] == [None, "psana", None, None]
    assert events[1].failure.message.endswith("psana raised RuntimeError: psana fell over in the middle")


def test_missing_images_and_energies(make, monkeypatch):
    images = make_images(3)
    images[2] = None
    monkeypatch.setitem(sys.modules, "psana", make(images, energy=None))
    events = open_stream(NAMES)
    assert events[2].failure.reason == "no image"
    assert events[0].photon_energy is None or np.isnan(events[0].photon_energy)


def test_streams_that_grow_are_counted_again(monkeypatch):
    images = make_images(2)
    monkeypatch.setitem(sys.modules, "psana", make_first(images))
    events = open_stream(NAMES)
    images += make_images(3)
    assert len(events) == 2
    assert events.refresh() == 5


def test_segments_are_cut_by_a_geometry(make, monkeypatch, tmp_path):
    (tmp_path / "x.data").write_text("CAM 0 MTRX:V2:3:8:100:100 0 0 0 0 0 0 0 0 0 0\n"
                                     "CAM 0 MTRX:V2:3:8:100:100 1 0 500 0 0 0 0 0 0 0\n"
                                     "IP 0 CAM 0 0 0 100000 0 0 0 0 0 0\n")
    images = make_images(2)
    monkeypatch.setitem(sys.modules, "psana", make(images))
    shot = open_stream(NAMES | {"events.distance": 93.0}, geometry=str(tmp_path / "x.data"))[1]
    assert shot.failure is None
    assert np.array_equal(np.stack(shot.image), images[1])
    assert shot.experiment.detector.panel_shapes == [(3, 8), (3, 8)]
    monkeypatch.setitem(sys.modules, "psana", make(make_images(2, (2, 2, 8))))
    assert open_stream(NAMES, geometry=str(tmp_path / "x.data"))[0].failure.reason == "wrong shape"


def test_events_travel_to_workers(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "psana", make(make_images(3)))
    events = pickle.loads(pickle.dumps(open_stream(NAMES)))
    assert events[2].image[0][0, 0] == 2000


def test_average_reads_streams_where_no_file_is_given(make, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "psana", make(make_images(3)))
    assert main(["average", "-x", "cxi49812", "-r", "69", "-a", "CxiDs2.0:Cspad.0", "-d", "575", "-R"]) == 0
    assert (tmp_path / "cxi49812_avg-r0069.h5").exists()


def test_without_psana_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psana", None)
    with pytest.raises(XdpError, match="conda install -c lcls-i psana"):
        open_stream(NAMES)
    with pytest.raises(XdpError, match="experiment, run and address"):
        open_stream()
