"""Models of sweeps that other programs measured."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.experiment import ExperimentList
from xdp.unmerged.sweeps import ForeignSweep, make_sweep_models, make_sweep_table


def make_sweep(**named):
    values = {"group": gemmi.SpaceGroup("P 4"), "cell": (50.0, 50.0, 70.0, 90.0, 90.0, 90.0), "wavelength": 1.0,
              "beam": np.array([0, 0, 2.0]), "axis": np.array([3.0, 0, 0]), "setting": None, "images": (3, 6),
              "start": 10.0, "width": 0.5, "panel": None}
    return ForeignSweep(**(values | named))


def test_the_models_are_what_the_sweep_says():
    found = make_sweep_models(make_sweep(), "a.mtz")
    np.testing.assert_allclose(found.beam.s0, [0, 0, 1])
    np.testing.assert_allclose(found.goniometer.rotation_axis_lab, [1, 0, 0])
    assert found.scan.array_range == (2, 6)
    assert found.crystal.space_group.xhm() == "P 4"
    # the nominal panel is square to the beam, behind the crystal
    np.testing.assert_allclose(np.abs(found.detector[0].normal), [0, 0, 1], atol=1e-12)
    assert found.detector[0].origin[2] == pytest.approx(100.0)


def test_rays_follow_the_rotation():
    A = np.diag([0.02, 0.02, 1.0 / 70.0])
    experiments = ExperimentList([make_sweep_models(make_sweep(setting=A), "a")])
    # z = 4 is one degree after the start at 10
    table = make_sweep_table(experiments, np.zeros(1, int), np.array([[0, 1, 0]]), np.array([[0, 0, 4.0]]), {},
                             oriented=True)
    angle = np.deg2rad(11.0)
    ray = np.array([0.0, 0.02 * np.cos(angle), 1.0 + 0.02 * np.sin(angle)])
    np.testing.assert_allclose(table["s1"][0], ray / np.linalg.norm(ray), atol=1e-12)


@pytest.mark.parametrize("named", [{"wavelength": 0.0}, {"wavelength": float("nan")}, {"setting": np.zeros((3, 3))}])
def test_impossible_models_are_refused(named):
    with pytest.raises(FormatError):
        make_sweep_models(make_sweep(**named), "a.mtz")
