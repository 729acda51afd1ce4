"""The Patterson map against a sum over cosines, and its largest peak."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.intensities.patterson import PattersonMap


@pytest.fixture(scope="module")
def reflections():
    hkl = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return hkl[len(hkl) // 2 + 1:]  # one of each pair of mates


BASIS = np.array([[30.0, 0.0, 0.0], [-5.0, 36.0, 0.0], [-4.0, -6.0, 40.0]])


def test_a_peak_is_where_the_sum_of_cosines_is_largest(reflections):
    values = np.random.default_rng(3).normal(size=len(reflections))
    found = PattersonMap(reflections, BASIS, 8.0).find_maximum(values)
    rng = np.random.default_rng(4)
    points = np.concatenate([rng.random((20000, 3)), found.vector + 0.01 * rng.normal(size=(200, 3))])
    near = np.min([np.linalg.norm((points % 1.0 - corner) @ BASIS, axis=1) for corner in np.ndindex(2, 2, 2)], axis=0)
    direct = 2.0 * np.cos(2.0 * np.pi * points @ reflections.T) @ values
    # the map has a point within a sixth of the shortest wave along each axis
    assert found.value >= 0.85 * direct[near > 8.5].max()
    at = 2.0 * np.cos(2.0 * np.pi * found.vector @ reflections.T) @ values
    assert at == pytest.approx(found.value, rel=0.1)
    assert at >= 0.98 * found.value


@pytest.mark.parametrize("shift", [(0.5, 0.5, 0.5), (0.31, 0.02, 0.5), (0.02, 0.27, 0.97)])
def test_translations_are_found_on_either_half_of_the_cell(reflections, shift):
    found = PattersonMap(reflections, BASIS, 5.0).find_maximum(np.cos(2.0 * np.pi * reflections @ np.array(shift)))
    away = [np.abs((found.vector - sign * np.array(shift) + 0.5) % 1.0 - 0.5).max() for sign in (1, -1)]
    assert min(away) < 0.01
    assert found.prominence > 6.0
    lengths = [np.linalg.norm((np.array(shift) - c) @ BASIS) for c in np.ndindex(2, 2, 2)]
    assert found.distance == pytest.approx(min(lengths), abs=1.5)


def test_height_is_that_of_the_maximum(reflections):
    patterson, values = PattersonMap(reflections, BASIS, 8.0), np.random.default_rng(5).normal(size=len(reflections))
    assert patterson.find_height(values) == pytest.approx(patterson.find_maximum(values).value, rel=1e-6)


def test_small_cells_have_no_room(reflections):
    assert not PattersonMap(reflections, BASIS, 60.0).has_room
