"""Spot lists of stills: as many as asked for, where reflections are, and the same each time."""

from __future__ import annotations

import numpy as np

from xdp.indexing.shots.positions import predict_on_panels
from xdp.simulation.models import draw_rotation, make_crystal
from xdp.simulation.still_spots import make_still_spots


def test_spots_are_where_their_reflections_are():
    experiment, spots = make_still_spots(50, sigma_px=0.2)
    xy, delta_psi = predict_on_panels(experiment, experiment.crystal, spots["miller_index"],
                                      spots["panel"].astype(np.int64))
    off = spots["xyzobs.px.value"][:, :2] - xy
    assert 0.1 < off.std() < 0.3  # of 100 numbers of standard deviation 0.2
    assert np.degrees(np.abs(delta_psi)).max() < 4 * 0.08


def test_counts_of_crystals_and_of_spurious_spots():
    crystals = [make_crystal(orientation=draw_rotation(k)) for k in (3, 4)]
    _, spots = make_still_spots(30, 7, crystals=crystals)
    assert np.unique(spots["id"], return_counts=True)[1].tolist() == [7, 30, 30]
    experiment, spots = make_still_spots(n_spurious=5, crystals=[])
    assert experiment.crystal is None
    assert len(spots) == 5


def test_the_seed_decides():
    first, second, other = (make_still_spots(seed=k)[1]["xyzobs.px.value"] for k in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
