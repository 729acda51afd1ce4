from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment.experiment import Experiment
from xdp.simulation import SimulationOptions, make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.compare import compute_misorientation
from xdp.simulation.strength import list_lattices, make_frame_scales, turn_lattice


def test_without_options_all_frames_are_alike():
    scales = make_frame_scales(7, SimulationOptions(), seed=3)
    assert scales.is_constant
    np.testing.assert_array_equal(scales.beam, 1.0)


def test_the_jitter_is_that_of_the_beam_and_the_wave_that_of_the_crystal():
    scales = make_frame_scales(4000, SimulationOptions(scale_jitter=0.02, scale_wave=0.3), seed=3)
    # 4,000 frames tell a standard deviation within 1.1 %
    assert scales.beam.std() == pytest.approx(0.02, rel=0.05)
    wave = scales.spots / scales.beam
    assert (wave.min(), wave.max()) == pytest.approx((0.7, 1.3), abs=1e-5)
    again = make_frame_scales(4000, SimulationOptions(scale_jitter=0.02), seed=4)
    assert not np.array_equal(scales.beam, again.beam)


def test_a_slip_divides_the_scan():
    whole = Experiment("one", make_beam(), make_detector(), make_goniometer(), make_scan(10), make_crystal())
    assert list_lattices(whole, SimulationOptions()) == [(whole, (0, 10))]
    (before, first), (after, last) = list_lattices(whole, SimulationOptions(slip=(0.0, 0.3, 0.4), slip_frame=4))
    assert (first, last) == ((0, 4), (4, 10))
    assert before == whole
    assert compute_misorientation(after.known.crystal, before.known.crystal) == pytest.approx(0.5, abs=1e-9)
    # after the scan there is no slip
    assert len(list_lattices(whole, SimulationOptions(slip=(0.0, 0.3, 0.4), slip_frame=10))) == 1


def test_a_turned_crystal_has_its_cell():
    crystal = make_crystal(orientation=2)
    turned = turn_lattice(crystal, (0.0, 0.0, 90.0))
    np.testing.assert_allclose(turned.A, np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) @ crystal.A, atol=1e-15)
    assert turned.unit_cell == pytest.approx(crystal.unit_cell)
