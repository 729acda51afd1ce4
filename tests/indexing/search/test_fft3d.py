"""Peaks of the three-dimensional transform."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_points import BASIS, points_on

from xdp.indexing.options import Fft3d, ReciprocalSpaceGrid
from xdp.indexing.search import fft3d
from xdp.indexing.search.fft3d import find_candidates_fft3d, refine_vectors, select_candidates
from xdp.options import AUTO
from xdp.work.cores import count_cores

SMALL = ReciprocalSpaceGrid(n_points=96)


def test_edges_of_the_cell_are_candidates():
    points = points_on(BASIS, 400)
    found = find_candidates_fft3d(points, 70.0, Fft3d(reciprocal_space_grid=SMALL))
    for edge in BASIS:
        apart = np.minimum(np.linalg.norm(found.vectors - edge, axis=1), np.linalg.norm(found.vectors + edge, axis=1))
        # errors of 2e-4 1/Å on 400 points of up to 0.5 1/Å: hundredths of an Å
        assert apart.min() < 0.1
    assert np.all(np.diff(found.periodicity) <= 0.0)
    assert found.periodicity[0] > 0.9


def test_a_common_shift_of_all_points_changes_nothing():
    points = points_on(BASIS, 400)
    options = Fft3d(reciprocal_space_grid=SMALL)
    here = find_candidates_fft3d(points, 70.0, options).vectors
    there = find_candidates_fft3d(points + np.array([0.004, -0.003, 0.002]), 70.0, options).vectors
    nearest = [min(np.linalg.norm(there - v, axis=1).min(), np.linalg.norm(there + v, axis=1).min()) for v in here[:3]]
    assert max(nearest) < 0.2


def test_no_points_above_the_cutoff_give_no_candidates():
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 3))
    options = Fft3d(rmsd_cutoff=1e6, reciprocal_space_grid=SMALL)
    assert len(find_candidates_fft3d(points, 70.0, options).vectors) == 0


def test_vectors_move_to_the_maximum_of_the_power():
    points = points_on(BASIS, 400, noise=0.0)
    moved, periodicity = refine_vectors(BASIS + 0.3, points, np.ones(len(points)))
    np.testing.assert_allclose(moved, BASIS, atol=1e-6)
    np.testing.assert_allclose(periodicity, 1.0)
    far = refine_vectors(np.array([[37.0, 21.0, 3.0]]), points, np.ones(len(points)))[1]
    assert far[0] < 0.5


@pytest.mark.parametrize("most", [2, 40])
def test_short_vectors_are_kept_and_multiples_dropped(most: int):
    vectors = np.array([[0, 0, 60.0], [30.0, 0, 0], [0, 0, 30.0], [0, 45.0, 0], [2.0, 0, 0]])
    found = select_candidates(vectors, np.array([0.9, 0.8, 0.9, 0.95, 1.0]), 3.0, most)
    want = [[0, 45.0, 0], [0, 0, 30.0], [30.0, 0, 0]][:most] if most == 40 else [[0, 45.0, 0], [30.0, 0, 0]]
    assert found.vectors.tolist() == want


@pytest.mark.parametrize(("nproc", "threads"), [(3, 3), (None, count_cores()), (AUTO, count_cores())])
def test_threads_of_the_transform_change_nothing_else(monkeypatch, nproc, threads):
    points = np.random.default_rng(2).normal(scale=0.1, size=(200, 3))
    seen: list[int] = []
    for transform in (fft3d.fft.rfft, fft3d.fft.fft):
        def note(*args, workers, transform=transform, **more):
            seen.append(workers)
            return transform(*args, workers=workers, **more)
        monkeypatch.setattr(fft3d.fft, transform.__name__, note)
    plain = fft3d.find_candidates_fft3d(points, 50.0)
    with fft3d.use_threads(nproc):
        other = fft3d.find_candidates_fft3d(points, 50.0)
    assert seen == [-1] * 3 + [threads] * 3  # one for each axis
    np.testing.assert_array_equal(plain.vectors, other.vectors)


@pytest.mark.parametrize("m", [1, 30, 900])
def test_the_transform_is_that_of_the_whole_grid(m: int):
    rng = np.random.default_rng(m)
    place, weights = rng.integers(0, 12, (m, 3)), rng.random(m).astype(np.float32)
    grid = np.zeros((12, 12, 12), dtype=np.float32)
    for point, weight in zip(place, weights, strict=True):
        grid[tuple(point)] = max(grid[tuple(point)], weight)
    np.testing.assert_array_equal(fft3d.transform_points(place, weights, 12), fft3d.fft.rfftn(grid))
