"""Times of shots, written and read in both ways."""

from __future__ import annotations

import calendar

import pytest

from xdp.errors import FormatError
from xdp.serial.events.times import find_time, format_time, format_time_digits, make_time, parse_time

SHOT = 1_468_015_524_133_000_000


def test_a_time_is_written_in_two_ways():
    assert format_time(SHOT) == "2016-07-08T22:05Z24.133"
    assert format_time_digits(SHOT) == "20160708220524133"


@pytest.mark.parametrize("text", ["2016-07-08T22:05Z24.133", "20160708220524133", "2016-07-08T22:05:24.133Z",
                                  "2016-07-08T22:05:24.133000000+00:00", "2016-07-08T15:05:24.133-07:00"])
def test_each_way_of_writing_is_read(text):
    assert parse_time(text) == SHOT


def test_milliseconds_are_cut_off_as_the_original_programs_do():
    assert format_time(make_time(1_468_015_524, 133_999_999)) == "2016-07-08T22:05Z24.133"


def test_seconds_of_a_float_are_rounded_to_nanoseconds():
    assert make_time(1.5) == 1_500_000_000
    assert make_time(calendar.timegm((2016, 7, 8, 22, 5, 24)), 133_000_000) == SHOT


@pytest.mark.parametrize("text", ["", "yesterday", "2016-13-08T22:05Z24.133", "20160230220524133",
                                  "2016-07-08T25:05Z24.133", "19690708220524133"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(FormatError, match="no time"):
        parse_time(text)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e12])
def test_seconds_out_of_bounds_are_refused(seconds):
    with pytest.raises(FormatError, match="a time must"):
        make_time(seconds)


@pytest.mark.parametrize(("name", "found"), [
    ("idx-20130301060858401.cbf.gz", "2013-03-01T06:08Z58.401"),
    ("hit-20181213155134902_00000.cbf", "2018-12-13T15:51Z34.902"), ("img_0001.cbf", None),
    ("20130301060858401-20130301060858402.cbf", None), ("x-20139901060858401.cbf", None),
    ("x-201303010608584012.cbf", None)])
def test_times_are_found_in_names(name, found):
    time = find_time(name)
    assert (None if time is None else format_time(time)) == found
