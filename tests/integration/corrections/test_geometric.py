from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment import Detector, Experiment, Scan
from xdp.experiment.materials import attenuation_coefficient
from xdp.integration.corrections.geometric import attenuation, correction_columns, efficiency, lp_factor
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_detector, make_goniometer, make_scan
from xdp.simulation.spots import lorentz, polarisation


def rays(n=50, seed=1):
    """Rays that are diffracted into all directions around the beam."""
    return np.random.default_rng(seed).normal(size=(n, 3)) * 0.5 + [0.0, 0.0, -1.0]


def test_the_factor_undoes_what_the_simulator_does():
    beam = dataclasses.replace(make_beam(), polarization_fraction=0.8, polarization_normal=(0.6, 0.8, 0.0))
    axis = make_goniometer().rotation_axis_lab
    s1 = rays()
    # The simulator writes the polarisation factor by the electric field's directions, not by the normal's.
    np.testing.assert_allclose(lp_factor(beam, s1, axis) * lorentz(s1, beam, axis) * polarisation(s1, beam), 1.0)
    np.testing.assert_allclose(lp_factor(beam, s1) * polarisation(s1, beam), 1.0)


def test_an_unpolarised_beam_gives_the_textbook_factor():
    beam = dataclasses.replace(make_beam(), polarization_fraction=0.5)
    s1 = rays()
    cosine = s1 @ beam.unit_s0 / np.linalg.norm(s1, axis=1)
    np.testing.assert_allclose(1.0 / lp_factor(beam, s1), (1.0 + cosine**2) / 2.0)


def test_efficiency_along_the_normal_and_at_a_slant():
    detector = make_detector()
    panel = detector[0]
    s1 = np.array([[0.0, 0.0, -1.0], [np.sin(1.0), 0.0, -np.cos(1.0)]])
    found = efficiency(detector, np.zeros(2, int), s1, 0.9795)
    np.testing.assert_allclose(found, 1 - np.exp(-panel.mu * panel.thickness / np.array([1.0, np.cos(1.0)])))


def test_a_panel_without_attenuation_takes_that_of_its_material():
    panel = dataclasses.replace(make_detector()[0], mu=0.0, material="CdTe", thickness=0.75)
    assert attenuation(panel, 0.6) == attenuation_coefficient("CdTe", 0.6)
    assert attenuation(dataclasses.replace(panel, mu=2.5), 0.6) == 2.5
    assert attenuation(dataclasses.replace(panel, material=""), 0.6) == 0.0
    assert attenuation(dataclasses.replace(panel, thickness=0.0), 0.6) == 0.0


def test_unknown_sensors_give_no_column_or_ones():
    panel = make_detector()[0]
    bare = dataclasses.replace(panel, mu=0.0, material="")
    s1 = rays(4)
    assert efficiency(Detector((bare, bare)), np.array([0, 1, 0, 1]), s1, 1.0) is None
    found = efficiency(Detector((bare, panel)), np.array([0, 1, 0, 1], np.uint64), s1, 1.0)
    assert found[0] == found[2] == 1.0
    assert max(found[1], found[3]) < 1.0


@pytest.mark.parametrize("n_experiments", [1, 2])
def test_columns_follow_the_experiments(n_experiments):
    beams = make_beam(), make_beam(1.3)
    rotation = Experiment("a", beams[0], make_detector(), make_goniometer(), make_scan())
    still = Experiment("b", beams[1], make_detector(), make_goniometer(), Scan((1, 1), (0.0, 0.0), (0.0,), (0.0,)))
    s1 = rays(10)
    ids = np.arange(10, dtype=np.int32) % n_experiments
    table = ReflectionTable({"id": ids, "panel": np.zeros(10, np.uint64), "s1": s1}, {0: "a", 1: "b"})
    columns = correction_columns([rotation, still][:n_experiments], table)
    axis = rotation.goniometer.rotation_axis_lab
    expected = np.where(ids == 0, lp_factor(beams[0], s1, axis), lp_factor(beams[1], s1))
    np.testing.assert_array_equal(columns["lp"], expected)
    assert columns["qe"].shape == (10,)
    assert np.all((columns["qe"] > 0.3) & (columns["qe"] < 1.0))
