"""A lattice fitted to spots: orientation, cell and spread come out as they were put in."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.shots.fit import fit_lattice
from xdp.indexing.spots import load_spots
from xdp.refinement.parameters.rotations import make_rotation
from xdp.simulation.compare import compute_misorientation
from xdp.simulation.models import LYSOZYME_CELL, draw_rotation, make_crystal
from xdp.simulation.still_spots import make_still_spots


def disturb(crystal: Crystal, angle: float, factor: float) -> Crystal:
    """The crystal turned by `angle` radians, with longer axes."""
    axes = factor * crystal.real_space_matrix @ make_rotation(np.array([0.48, 0.6, 0.64]), angle).T
    return Crystal(*(tuple(float(x) for x in row) for row in axes), crystal.space_group_hall_symbol)


def points_of(crystals: list[Crystal], n: int, n_spurious: int = 0, **named: float
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reciprocal lattice points of drawn spots, their crystals, and the incident beam."""
    experiment, spots = make_still_spots(n, n_spurious, crystals=crystals, **named)
    mapped = load_spots(ExperimentList([experiment]), spots.with_columns(id=np.zeros(len(spots), dtype=np.int32)))
    return mapped.points, spots["id"], experiment.beam.s0


def test_orientation_and_cell():
    cell = (79.6, 79.6, 37.9, 90.0, 90.0, 90.0)
    true = make_crystal(cell, orientation=draw_rotation(4))
    points, _, s0 = points_of([true], 150)
    fitted = fit_lattice(disturb(true, 0.004, 0.996), points, s0, cell=LYSOZYME_CELL)
    assert compute_misorientation(fitted.crystal, true) < 0.02
    # of 150 spots the prior of 0.3 % about 79.34 and 37.81 Å leaves little
    assert fitted.crystal.unit_cell == pytest.approx(cell, rel=5e-4)
    assert (fitted.probability > 0.5).mean() > 0.97


def test_the_cell_is_kept_where_asked():
    true = make_crystal(orientation=draw_rotation(5))
    points, _, s0 = points_of([true], 60)
    fitted = fit_lattice(disturb(true, 0.003, 1.003), points, s0, cell=LYSOZYME_CELL, cell_error=0.0)
    assert fitted.crystal.unit_cell == pytest.approx(LYSOZYME_CELL, rel=1e-9)


def test_a_wrong_distance_is_found_beside_a_known_cell():
    true = make_crystal(tuple(1.015 * v for v in LYSOZYME_CELL[:3]) + LYSOZYME_CELL[3:], orientation=draw_rotation(6))
    points, _, s0 = points_of([true], 100)
    fitted = fit_lattice(disturb(true, 0.002, 1.0 / 1.01), points, s0, cell=LYSOZYME_CELL)
    assert fitted.crystal.unit_cell == pytest.approx(true.unit_cell, rel=1e-3)


def test_spread_and_spurious_share():
    true = make_crystal(orientation=draw_rotation(7))
    points, owner, s0 = points_of([true], 200, 60, mosaicity=0.15, sigma_px=0.5)
    fitted = fit_lattice(disturb(true, 0.001, 1.0), points, s0)
    assert fitted.spread.spurious == pytest.approx(60 / 260, abs=0.05)
    own = owner == 0
    # the strongest reflections lie nearer the sphere than all do: less than the mosaicity of 0.15 degrees
    turn = fitted.residual[own, 2] / np.linalg.norm(points[own], axis=1)
    assert np.degrees(np.sqrt(np.median(turn**2))) < 0.15
    # px / (distance x wavelength), as positions are in reciprocal space near the beam; parallax makes it no less
    expected = 0.5 * 0.172 / (140.0 * 1.3)
    assert 0.6 * expected < fitted.spread.position < 1.3 * expected
    assert (fitted.probability[own] > 0.5).mean() > 0.95


def test_hardly_any_spots_change_nothing_wildly():
    true = make_crystal(orientation=draw_rotation(8))
    points, _, s0 = points_of([true], 3)
    fitted = fit_lattice(true, points, s0)
    assert compute_misorientation(fitted.crystal, true) < 0.5
