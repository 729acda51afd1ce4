"""Crossings of moving points with a moving sphere: a point that is skipped over never crosses."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.prediction._kernels_crossings import find_crossings
from xdp.prediction.rays import make_rotation_matrices

pytestmark = pytest.mark.kernels

N_FRAMES = 50


def make_models(width=0.02, drift=0.0):
    """Setting matrices and beams at the ends of frames of a crystal that turns and stretches."""
    a = np.array([[0.021, 0.001, -0.004], [0.002, 0.018, 0.003], [-0.001, 0.004, 0.025]])
    turns = make_rotation_matrices((1.0, 0.1, 0.0), np.arange(N_FRAMES + 1) * width)
    settings = turns @ a * (1.0 + drift * np.arange(N_FRAMES + 1))[:, None, None]
    beams = np.tile([0.0, 0.02, -1.0], (N_FRAMES + 1, 1))
    return settings[:-1].copy(), settings[1:].copy(), beams[:-1].copy(), beams[1:].copy()


def search_all(hkl, begin, end, beam_begin, beam_end):
    """Row and frame of each change of sign, frame by frame."""
    found = []
    for i, index in enumerate(hkl):
        for frame in range(len(begin)):
            r, after = begin[frame] @ index, end[frame] @ index
            g = [2.0 * s @ q + q @ q >= 0.0 for s, q in ((beam_begin[frame], r), (beam_end[frame], after))]
            if g[0] != g[1]:
                found.append((i, frame))
    return found


@pytest.mark.parametrize("drift", [0.0, 1e-4])
def test_no_crossing_is_skipped(drift):
    models = make_models(drift=drift)
    hkl = np.random.default_rng(3).integers(-25, 26, (80, 3)).astype(np.float64)
    rows, frames = np.empty((2, 500), np.int64)
    # a point moves by |r| (0.02 + drift) a frame at most; with |s0| and |r| near 1 a factor of 4 is safe
    reach = 4.0 * np.array([0.02 + drift, 0.02 + drift])
    n = find_crossings(hkl, *models, reach, rows, frames)
    assert list(zip(rows[:n].tolist(), frames[:n].tolist(), strict=True)) == search_all(hkl, *models)
    assert n > 5


def test_crossings_beyond_the_room_are_counted():
    models = make_models()
    hkl = np.random.default_rng(3).integers(-25, 26, (80, 3)).astype(np.float64)
    rows, frames = np.full((2, 3), -1, np.int64)
    n = find_crossings(hkl, *models, np.array([0.08, 0.08]), rows, frames)
    assert n == len(search_all(hkl, *models)) > 3
