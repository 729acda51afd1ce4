"""Headers of CBF files: fields, numbers and time stamps."""

from __future__ import annotations

import pytest

from xdp.errors import FormatError
from xdp.images.formats.cbf.header import (
    extract_header_text,
    parse_comment_fields,
    parse_convention,
    parse_epoch,
    read_number_pair,
    read_required_number,
)


@pytest.mark.parametrize(("stamp", "epoch"), [
    ("2017-11-23T15:23:41.880", 1511450621.88), ("2007/Oct/22 15:32:16.289", 1193067136.289),
    ("2019-02-14T14:25:57", 1550154357.0), ("no time at all", None), ("2019-13-41T14:25:57", None)])
def test_epochs(stamp, epoch):
    assert parse_epoch(stamp) == (None if epoch is None else pytest.approx(epoch, abs=1e-6))


def test_comment_fields():
    text = "# Detector: PILATUS 2M\n# 2016-03-05T09:04:57.290\n# Tau = 124e-9 s\n# Beam_xy (1.5, 2) pixels\nno\n"
    assert parse_comment_fields(text) == {"Detector": "PILATUS 2M", "timestamp": "2016-03-05T09:04:57.290",
                                            "Tau": "124e-9 s", "Beam_xy": "(1.5, 2) pixels"}


def test_text_ends_at_the_first_section_and_states_its_convention():
    data = b'_array_data.header_convention "PILATUS_1.2"\r\n--CIF-BINARY-FORMAT-SECTION--\r\n_array_data.x 1'
    assert parse_convention(extract_header_text(data)) == "PILATUS_1.2"
    assert "_array_data.x" not in extract_header_text(data)
    assert parse_convention("no CBF") == ""


@pytest.mark.parametrize("value", ["", "nan m", "one m"])
def test_numbers_must_be_there_and_finite(value):
    assert read_required_number({"Detector_distance": "0.15 m"}, "Detector_distance", "a.cbf") == 0.15
    assert read_number_pair({"Beam_xy": "(1.5, -2e1) pixels"}, "Beam_xy", "a.cbf") == (1.5, -20.0)
    with pytest.raises(FormatError, match=r"a\.cbf: header field Detector_distance must be a finite number"):
        read_required_number({"Detector_distance": value}, "Detector_distance", "a.cbf")
    with pytest.raises(FormatError, match=r"a\.cbf: header field Beam_xy must be two finite numbers"):
        read_number_pair({"Beam_xy": value}, "Beam_xy", "a.cbf")
