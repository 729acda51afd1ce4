"""Goniometers by the detectors that stand at them."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.images.formats.cbf.sites import find_goniometer, make_kappa_goniometer


@pytest.mark.parametrize(("detector", "year", "axis"), [
    ("PILATUS3 6M, S/N 60-0119", 2019, (0, 1, 0)), ("PILATUS3 6M, S/N 60-0119", 2012, (1, 0, 0)),
    ("PILATUS 6M, S/N 60-0125", 2012, (-1, 0, 0)), ("PILATUS 6M, S/N 60-9999", 2012, (1, 0, 0))])
def test_goniometers_of_sites(detector, year, axis):
    assert find_goniometer({"Detector": detector, "Oscillation_axis": "X.CW"}, year).rotation_axis == axis


def test_smargon_keeps_its_angles():
    header = {"Detector": "EIGER 16M S/N 160-0001", "Phi": "10 deg.", "Chi": "20 deg.", "Omega": "30.5 deg."}
    goniometer = find_goniometer(header, 2020)
    assert goniometer.names == ("GON_PHI", "GON_CHI", "GON_OMEGA")
    assert (goniometer.angles, goniometer.scan_axis) == ((10.0, 20.0, 30.5), 2)


def test_i23_turned_the_other_way_until_april_2016():
    header = {"Detector": "PILATUS 12M, S/N 120-0100", "epoch": "1459468799.0"}
    assert find_goniometer(header, 2016).rotation_axis == (-1.0, 0.0, 0.0)
    assert find_goniometer(header | {"epoch": "1459468800.0"}, 2016).names == ("PHI", "KAPPA", "OMEGA")


def test_kappa_axis_is_inclined_by_alpha():
    goniometer = make_kappa_goniometer(50.0, (0.0, 1.0), [0.0, 0.0, 0.0], 2)
    np.testing.assert_allclose(np.degrees(np.arccos(goniometer.axes[1] @ np.array([1.0, 0.0, 0.0]))), 50.0)
