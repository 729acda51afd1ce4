"""Sections of detectors."""

from __future__ import annotations

from xdp.serial.calibration.sections import list_sections
from xdp.serial.events import open_events


def test_two_chips_of_a_cspad_share_a_sensor(shared_data):
    shot = open_events(shared_data / "thermolysin_cspad")[0]
    sections = list_sections(shot.experiment.detector, 64)
    assert len(sections) == 32
    assert sections[:2] == [(0, 1), (2, 3)]


def test_panels_on_the_root_are_sections_of_their_own(shared_data):
    shot = open_events(shared_data / "stills_dev/stills_dev.h5")[0]
    assert list_sections(shot.experiment.detector, 1) == [(0,)]
    assert list_sections(None, 2) == [(0,), (1,)]
