"""Lists of events: the real one read, written and read again; shots of a list."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.serial.events import open_events
from xdp.serial.streams import ListedEvent, read_event_list, write_event_list
from xdp.serial.streams.event_list import split_event


def test_the_real_list(shared_data, tmp_path):
    path = shared_data / "serial/other/indexed_p700000_r0030.lst"
    events = read_event_list(path)
    assert events[0] == ListedEvent("p700000_r0030_vds.h5", "//94")
    assert [event.number for event in events[:3]] == [94, 95, 106]
    write_event_list(tmp_path / "again.lst", events)
    assert (tmp_path / "again.lst").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("line", "wanted"), [
    ("a.h5 //3", ("a.h5", "//3")), ("a b.h5 tag//", ("a b.h5", "tag//")), ("/x//y.h5", ("/x//y.h5", "")),
    ("a b.h5", ("a b.h5", "")), ("  a.h5\t", ("a.h5", ""))])
def test_lines(line, wanted):
    assert tuple(split_event(line)) == wanted


def test_shots_of_a_list_in_its_order(tmp_path):
    pixels = np.arange(5 * 6, dtype=np.uint16).reshape(5, 2, 3)
    for name in ("a.cxi", "b.cxi"):
        with h5py.File(tmp_path / name, "w") as handle:
            handle["cxi_version"], handle["entry_1/data_1/data"] = 140, pixels + (100 if name == "b.cxi" else 0)
    np.save(tmp_path / "c.npy", pixels[0])
    (tmp_path / "x.lst").write_text("a.cxi //4\na.cxi //1\nb.cxi //0\nabsent.cxi //3\na.cxi //99\nc.npy\n\nb.cxi\n")
    events = open_events(tmp_path / "x.lst")
    shots = list(events)
    first = [None if shot.failure else int(shot.image[0][0, 0]) for shot in shots]
    assert first == [24, 6, 100, None, None, 0, 100, 106, 112, 118, 124]
    assert [shot.failure.reason for shot in shots if shot.failure] == ["missing file", "no image"]
    assert shots[1].id.endswith("a.cxi //1")


def test_events_of_paths(tmp_path):
    (tmp_path / "x.geom").write_text(
        "clen = 0.1\nphoton_energy = 9000\nres = 1e4\ndata = /%/data\np/min_fs = 0\np/max_fs = 2\np/min_ss = 0\n"
        "p/max_ss = 1\np/corner_x = 0\np/corner_y = 0\n")
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        for i in range(3):
            handle[f"tag{i}/data"] = np.full((2, 3), i, np.uint16)
    (tmp_path / "x.lst").write_text("a.h5 tag2//\na.h5 tag0//\na.h5 tag7//\n")
    events = open_events(tmp_path / "x.lst", geometry=tmp_path / "x.geom")
    assert [int(events[i].image[0][0, 0]) for i in range(2)] == [2, 0]
    assert events[2].failure.reason == "no image"
    assert events.get_id(0).endswith("a.h5 tag2//")


def test_what_is_no_list(tmp_path):
    (tmp_path / "x.lst").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="no list"):
        read_event_list(tmp_path / "x.lst")
    with pytest.raises(FormatError, match="cannot be read"):
        read_event_list(tmp_path / "absent.lst")
    with pytest.raises(ValueError, match="line end"):
        write_event_list(tmp_path / "y.lst", ["a\nb"])
