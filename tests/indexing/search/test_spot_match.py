"""Innermost spots matched to a known small cell."""

from __future__ import annotations

import numpy as np
from lattice_points import is_same_lattice, points_of

from xdp.experiment.crystal import cell_of
from xdp.indexing.options import CandidateSpots, LowResSpotMatch
from xdp.indexing.search.spot_match import match_spots


def test_innermost_spots_match_a_known_small_cell():
    cell = (7.1, 9.3, 12.2, 90.0, 90.0, 90.0)
    points, a = points_of(cell, 25, 1.5, noise=1e-3)
    best = match_spots(points, cell, " P 1", 1e-3, LowResSpotMatch())[0]
    assert is_same_lattice(best.basis, a)
    # the axes come in the order of the known cell
    np.testing.assert_allclose(cell_of(best.basis), cell, rtol=0.01)


def test_resolution_limit_of_the_matched_spots():
    cell = (7.1, 9.3, 12.2, 90.0, 90.0, 90.0)
    points, _ = points_of(cell, 25, 1.5)
    nothing = LowResSpotMatch(candidate_spots=CandidateSpots(limit_resolution_by="d_min", d_min=50.0))
    assert match_spots(points, cell, " P 1", 1e-3, nothing) == []  # no spot is so far in
