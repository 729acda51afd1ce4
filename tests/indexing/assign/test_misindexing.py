"""Indices that are off by whole numbers fit worse than the right ones."""

from __future__ import annotations

import numpy as np
from indexing_data import make_state

from xdp.indexing.assign.misindexing import compare_offsets
from xdp.indexing.search.beam_search import differentiate_by_shift
from xdp.indexing.spots import load_spots


def test_the_right_offset_has_the_smallest_residual():
    state, spots = make_state(500)
    loaded = load_spots(state.sweeps, spots.table)
    wrong = spots.miller_index + np.array([0, 1, -1])
    fits = compare_offsets(loaded.points, differentiate_by_shift(state.sweeps, loaded), wrong)
    assert len(fits) == 27
    assert fits[0].dh == (0, -1, 1)
    np.testing.assert_allclose(fits[0].shift, 0.0, atol=0.03)  # 500 spots of 0.034 mm error
    np.testing.assert_allclose(fits[0].setting, state.crystals[0].A, atol=2e-5)


def test_scope_bounds_the_offsets():
    hkl = np.random.default_rng(0).integers(-5, 6, (50, 3))
    points, slope = hkl * 0.02, np.zeros((50, 3, 2))
    fits = compare_offsets(points, slope, hkl, 0)
    assert [f.dh for f in fits] == [(0, 0, 0)]
    assert fits[0].rms < 1e-12
    np.testing.assert_allclose(fits[0].setting, 0.02 * np.eye(3), atol=1e-12)
