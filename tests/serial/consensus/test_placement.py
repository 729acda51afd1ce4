"""Orientations are refined to the truth, and scores tell lattices from chance."""

import numpy as np
import pytest
from consensus_data import map_still

from xdp.serial.consensus.common_cell import guess_widths
from xdp.serial.consensus.placement import (
    ResidualWidths,
    find_nearest_rotation,
    make_skew,
    place_lattice,
    split_residuals,
    sum_products,
    turn,
    weigh,
)
from xdp.simulation.models import LYSOZYME_CELL
from xdp.simulation.spot_lists import draw_crystal

SEED = 4


@pytest.fixture(scope="module")
def truth():
    return draw_crystal("tP", LYSOZYME_CELL, SEED)


@pytest.fixture(scope="module")
def shot(truth):
    return map_still(truth, SEED, n_spots=40)


@pytest.mark.parametrize("degrees", [0.0, 0.1, 0.5])
def test_a_turned_lattice_comes_back(shot, truth, degrees):
    start = turn(truth.U, np.radians(degrees) * np.array([0.6, -0.48, 0.64]))
    found = place_lattice(shot, start, truth.B, ResidualWidths(4e-4, 8e-4))
    off = np.degrees(np.arccos((np.trace(found.rotation.T @ truth.U) - 1.0) / 2.0))
    assert off < 0.05
    assert found.n_indexed > 0.95 * len(shot.points)
    assert found.score > 200.0


def test_a_wrong_orientation_is_no_better_than_chance(shot, truth):
    rng = np.random.default_rng(1)
    scores = []
    for _ in range(40):
        start = find_nearest_rotation(rng.normal(size=(3, 3)))
        scores.append(place_lattice(shot, start, truth.B, guess_widths(truth.B)).score)
    assert max(scores) < 25.0


def test_the_residuals_are_split_along_and_across_the_ray(shot, truth):
    found = split_residuals(shot, truth.U, truth.B)
    assert np.allclose(found.across**2 + found.along**2, np.sum(found.offset**2, axis=1))
    assert np.array_equal(found.hkl, np.round(found.hkl))


def test_weights_are_the_inverse_of_the_covariance(shot, truth):
    found, widths = split_residuals(shot, truth.U, truth.B), ResidualWidths(2e-4, 1e-3)
    ray = found.rays[0]
    covariance = widths.across**2 * (np.eye(3) - np.outer(ray, ray)) + widths.along**2 * np.outer(ray, ray)
    assert np.allclose(weigh(found, widths)[0] @ covariance, np.eye(3))
    squares = np.einsum("ni,nij,nj->n", found.offset, weigh(found, widths), found.offset)
    assert np.allclose(squares, found.measure(widths))


def test_a_small_turn_acts_as_a_cross_product():
    vector, point = np.array([1e-6, -2e-6, 3e-6]), np.array([0.3, 0.1, -0.2])
    rotation = find_nearest_rotation(np.random.default_rng(2).normal(size=(3, 3)))
    turned = turn(rotation, vector)
    assert np.allclose(turned.T @ turned, np.eye(3))
    # U exp([w]) p = U (p + w x p), to the square of the angle
    assert np.allclose(turned @ point, rotation @ (point + np.cross(vector, point)), atol=1e-11)
    assert np.allclose(make_skew(vector[None])[0] @ point, np.cross(vector, point))


def test_sums_of_products_are_those_of_einsum():
    rng = np.random.default_rng(3)
    left, right, vector = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 3, 4)), rng.normal(size=(5, 3))
    assert np.allclose(sum_products(left, right), np.einsum("nki,nkj->ij", left, right))
    assert np.allclose(sum_products(left, vector), np.einsum("nki,nk->i", left, vector))
