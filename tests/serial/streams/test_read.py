"""Streams: the real one is read, written and read to equal numbers; faults have their line."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.geometry_files.read_crystfel import parse_crystfel_geometry
from xdp.serial.streams import read_stream, write_stream


@pytest.fixture
def path(shared_data):
    return shared_data / "serial/streams/pal_lysozyme.stream"


def test_the_real_stream(path):
    stream = read_stream(path)
    assert len(stream.chunks[0].peaks["fs"]) == 25
    chunk = stream.chunks[0]
    assert chunk.file.endswith("PAL_2019_Apr01_r0000_062014_e88.h5")
    assert (chunk.event, chunk.photon_energy, chunk.camera_length) == ("", 9700.0, pytest.approx(149.0))
    crystal = chunk.crystals[0]
    assert crystal.cell == pytest.approx((79.385, 80.4039, 38.5562, 90.68698, 90.13504, 89.74671))
    # Axes and cell say the same: a* b* c* are the inverse of a matrix with the cell's lengths.
    lengths = np.linalg.norm(np.linalg.inv(crystal.reciprocal_axes), axis=0)
    assert lengths == pytest.approx(crystal.cell[:3], rel=1e-4)
    assert len(crystal.reflections["h"]) == 263
    assert crystal.reflections["intensity"][0] == -15.11
    assert len(parse_crystfel_geometry(stream.geometry).panels) == 1


def test_written_and_read_to_the_same_bytes(path, tmp_path):
    write_stream(tmp_path / "again.stream", read_stream(path))
    assert (tmp_path / "again.stream").read_text() == path.read_text()


def check_equal(a, b):
    assert a.lines == b.lines
    for x, y in zip(a.chunks, b.chunks, strict=True):
        assert x.lines == y.lines
        for name, column in x.peaks.items():
            assert np.array_equal(column, y.peaks[name])
        for p, q in zip(x.crystals, y.crystals, strict=True):
            assert p.lines == q.lines
            for name, column in p.reflections.items():
                assert np.array_equal(column, q.reflections[name])


def test_a_stream_that_is_still_written_ends_with_its_last_whole_image(path, tmp_path):
    lines = path.read_text().split("\n")
    whole = read_stream(path)
    ends = [i for i, line in enumerate(lines) if line == "----- End chunk -----"]
    for cut in (ends[1] + 1, ends[1] + 5, ends[2] - 3, ends[2]):
        (tmp_path / "part.stream").write_text("\n".join(lines[:cut]) + "\n")
        part = read_stream(tmp_path / "part.stream")
        assert len(part.chunks) == 2
        whole.chunks = whole.chunks[:2]
        check_equal(part, whole)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("CrystFEL stream format 2.3", "something", "line 1: is no CrystFEL stream"),
    (" 624.00  259.50       3.55       74.18   p0", " 624.00  259.50", r"line \d+: 5 columns"),
    (" 624.00  259.50", " 6x4.00  259.50", r"line \d+: fs must be a number, got '6x4.00'"),
    ("----- End geometry file -----", "", r"line \d+: the block that begins here has no end"),
    ("----- End chunk -----", "", r"line \d+: an image begins within"),
    ("--- End crystal", "", r"line \d+: a crystal has no end")])
def test_faults_have_their_line(path, tmp_path, old, new, message):
    (tmp_path / "bad.stream").write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(FormatError, match=message):
        read_stream(tmp_path / "bad.stream")
