"""Shots as values."""

from __future__ import annotations

import pickle

import pytest

from xdp.serial.events.shot import Shot, ShotError, ShotFailure


def test_facts():
    shot = Shot(3, "a.cxi //3", time=1_468_015_524_133_000_000, photon_energy=12398.419843320026)
    assert shot.timestamp == "2016-07-08T22:05Z24.133"
    assert shot.wavelength == pytest.approx(1.0)
    assert "a.cxi //3" in repr(shot)
    assert "failure gone" in repr(Shot(0, "a", failure=ShotFailure("missing file", "gone")))
    assert Shot(0, "a").wavelength is None


def test_errors_travel_with_their_reason():
    error = pickle.loads(pickle.dumps(ShotError("no energy", "a.cxi: none")))
    assert (error.reason, str(error)) == ("no energy", "a.cxi: none")
