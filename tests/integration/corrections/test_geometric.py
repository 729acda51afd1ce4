from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment import Detector, Experiment, Scan
from xdp.experiment.materials import attenuation_coefficient
from xdp.integration.corrections.geometric import (
    compute_attenuation,
    compute_correction_columns,
    compute_efficiency,
    compute_lp,
)
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_detector, make_goniometer, make_scan
from xdp.simulation.spots import compute_lorentz, compute_polarisation


def rays(n=50, seed=1):
    """Rays that are diffracted into all directions around the beam."""
    return np.random.default_rng(seed).normal(size=(n, 3)) * 0.5 + [0.0, 0.0, -1.0]


def test_the_factor_undoes_what_the_simulator_does():
    beam = dataclasses.replace(make_beam(), polarization_fraction=0.8, polarization_normal=(0.6, 0.8, 0.0))
    axis = make_goniometer().rotation_axis_lab
    s1 = rays()
    # The simulator writes the polarisation factor by the electric field's directions, not by the normal's.
    np.testing.assert_allclose(compute_lp(beam, s1, axis) * compute_lorentz(s1, beam, axis)
                               * compute_polarisation(s1, beam), 1.0)
    np.testing.assert_allclose(compute_lp(beam, s1) * compute_polarisation(s1, beam), 1.0)


def test_an_unpolarised_beam_gives_the_textbook_factor():
    beam = dataclasses.replace(make_beam(), polarization_fraction=0.5)
    s1 = rays()
    cosine = s1 @ beam.unit_s0 / np.linalg.norm(s1, axis=1)
    np.testing.assert_allclose(1.0 / compute_lp(beam, s1), (1.0 + cosine**2) / 2.0)


def test_efficiency_along_the_normal_and_at_a_slant():
    detector = make_detector()
    panel = detector[0]
    s1 = np.array([[0.0, 0.0, -1.0], [np.sin(1.0), 0.0, -np.cos(1.0)]])
    found = compute_efficiency(detector, np.zeros(2, int), s1, 0.9795)
    np.testing.assert_allclose(found, 1 - np.exp(-panel.mu * panel.thickness / np.array([1.0, np.cos(1.0)])))


def test_a_panel_without_attenuation_takes_that_of_its_material():
    panel = dataclasses.replace(make_detector()[0], mu=0.0, material="CdTe", thickness=0.75)
    assert compute_attenuation(panel, 0.6) == attenuation_coefficient("CdTe", 0.6)
    assert compute_attenuation(dataclasses.replace(panel, mu=2.5), 0.6) == 2.5
    assert compute_attenuation(dataclasses.replace(panel, material=""), 0.6) == 0.0
    assert compute_attenuation(dataclasses.replace(panel, thickness=0.0), 0.6) == 0.0


def test_unknown_sensors_give_no_column_or_ones():
    panel = make_detector()[0]
    bare = dataclasses.replace(panel, mu=0.0, material="")
    s1 = rays(4)
    assert compute_efficiency(Detector((bare, bare)), np.array([0, 1, 0, 1]), s1, 1.0) is None
    found = compute_efficiency(Detector((bare, panel)), np.array([0, 1, 0, 1], np.uint64), s1, 1.0)
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
    columns = compute_correction_columns([rotation, still][:n_experiments], table)
    axis = rotation.goniometer.rotation_axis_lab
    expected = np.where(ids == 0, compute_lp(beams[0], s1, axis), compute_lp(beams[1], s1))
    np.testing.assert_array_equal(columns["lp"], expected)
    assert columns["qe"].shape == (10,)
    assert np.all((columns["qe"] > 0.3) & (columns["qe"] < 1.0))
