"""The record of a run."""

import pytest

from xdp.errors import XdpError
from xdp.serial.process.results.record import ShotRecord, choose_unrecorded, read_record

STEPS = [("a", "start", ""), ("a", "spotfind_start", ""), ("a", "not_enough_spots_3", "stop"), ("b,c", "start", ""),
         ("d", "start", ""), ("d", "integrate_ok_9", "done"), ("e", "start", ""), ("e", "index_exception", "fail")]


@pytest.fixture
def folder(tmp_path):
    record = ShotRecord(tmp_path / "debug")
    record.prepare()
    for step in STEPS:
        record.write(*step)
    return tmp_path / "debug"


def test_a_line_for_each_step(folder):
    file, = folder.iterdir()
    lines = file.read_text().splitlines()
    assert len(lines) == len(STEPS)
    host, tag, time, state, step = lines[0].split(",")
    assert (tag, state, step) == ("a", "    ", "start")
    assert len(time) == 23
    assert time[10] == "T"
    assert host


def test_the_record_is_read_again(folder):
    assert read_record(folder) == {"a": "stop", "b,c": "", "d": "done", "e": "fail"}
    # a line that is cut off, as by a power cut, says nothing
    with open(next(folder.iterdir()), "a") as file:
        file.write("host,f,2026")
    assert "f" not in read_record(folder)
    assert read_record(folder / "nowhere") == {}


@pytest.mark.parametrize(("named", "left"), [
    ({"processed": True}, ["b,c", "new"]), ({"unprocessed": True}, ["a", "b,c", "d", "e"]),
    ({"bad": True}, ["a", "d", "e", "new"]), ({"processed": True, "bad": True}, ["new"]), ({}, ["a", "b,c", "d", "e",
                                                                                          "new"])])
def test_shots_are_chosen_by_the_record(folder, named, left):
    tags = ["a", "b,c", "d", "e", "new"]
    assert [tags[k] for k in choose_unrecorded(tags, read_record(folder), **named)] == left


def test_no_record(tmp_path):
    ShotRecord(None).write("a", "start")
    with pytest.raises(XdpError, match="cannot be made"):
        ShotRecord(tmp_path / "no" / "debug").prepare()
