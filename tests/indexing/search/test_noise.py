"""Spots that are turned about at random keep their structure, and rings do not pass for a lattice."""

from __future__ import annotations

import numpy as np
from indexing_data import make_state, make_sweep

from xdp.experiment.experiment import ExperimentList
from xdp.indexing.options import Fft3d, Indexing, ReciprocalSpaceGrid
from xdp.indexing.search.cells import Cell
from xdp.indexing.search.noise import exceeds_structured_noise, turn_about_axes
from xdp.indexing.search.trial import Trial, try_geometry
from xdp.indexing.spots import ReciprocalSpots
from xdp.reflections.table import ReflectionTable

SMALL = Indexing(fft3d=Fft3d(reciprocal_space_grid=ReciprocalSpaceGrid(n_points=96)))


def ring_spots(n: int = 150) -> ReciprocalSpots:
    """Spots on four powder rings, in random directions."""
    rng = np.random.default_rng(3)
    direction = rng.normal(size=(n, 3))
    q = direction / np.linalg.norm(direction, axis=1, keepdims=True) / rng.choice([3.9, 3.67, 3.44, 2.67], n)[:, None]
    return ReciprocalSpots(ReflectionTable({"id": np.full(n, -1, np.int32), "rlp": q,
                                            "imageset_id": np.zeros(n, np.int32)}))


def test_turned_spots_keep_their_distances():
    sweep, spots = ExperimentList([make_sweep()]), ring_spots()
    turned = turn_about_axes(sweep, spots)
    axis = np.asarray(sweep[0].goniometer.rotation_axis)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(spots.points, axis=1))
    np.testing.assert_allclose(turned @ axis, spots.points @ axis, atol=1e-12)
    assert np.linalg.norm(turned - spots.points, axis=1).mean() > 0.1


def test_rings_are_no_lattice():
    sweep, spots = ExperimentList([make_sweep()]), ring_spots()
    found = try_geometry(sweep, spots, 60.0, SMALL, "")
    cells = [Cell(np.diag([10.0, 11.0, 12.0]), max(found.score, 60.0), 9, len(spots), 1e-3)]
    assert not exceeds_structured_noise(Trial(sweep, spots, cells, 3), 60.0, SMALL)


def test_a_crystal_exceeds_noise():
    state, _ = make_state(400)
    found = try_geometry(state.sweeps, state.spots, 80.0, SMALL, "")
    assert exceeds_structured_noise(found, 80.0, SMALL)


def test_noise_is_searched_as_the_lattice_was(monkeypatch):
    """Short and long axes are sought apart among noise only if they were for the lattice: it takes minutes."""
    import xdp.indexing.search.trial as module

    state, _ = make_state(400)
    found = try_geometry(state.sweeps, state.spots, 80.0, SMALL, "")
    assert not found.has_sought_long_axes
    rings = try_geometry(ExperimentList([make_sweep()]), ring_spots(), 60.0, SMALL, "")
    assert rings.has_sought_long_axes
    calls, original = [], module.find_candidates_with_long_axis
    monkeypatch.setattr(module, "find_candidates_with_long_axis", lambda *a, **k: calls.append(1) or original(*a, **k))
    exceeds_structured_noise(found, 80.0, SMALL)
    assert not calls
    cells = [Cell(np.diag([10.0, 11.0, 12.0]), 60.0, 9, 150, 1e-3)]
    exceeds_structured_noise(Trial(rings.sweeps, rings.spots, cells, 3, has_sought_long_axes=True), 60.0, SMALL)
    assert calls
