"""The distance of lattices does not depend on axes, is small for small changes, and large for other lattices."""

import itertools

import numpy as np
import pytest

from xdp.experiment.crystal import b_matrix
from xdp.indexing.lattice.basis import reduce_basis
from xdp.serial.consensus.metric import (
    compute_lengths,
    list_permutations,
    match_cell_axes,
    measure_distances,
)


def make_basis(*cell):
    return np.linalg.inv(b_matrix(cell))


CELLS = [
    make_basis(79.3, 79.3, 37.8, 90, 90, 90), make_basis(50, 65, 90, 90, 105, 90), make_basis(10, 20, 30, 75, 85, 110),
    make_basis(40, 40, 40, 60, 60, 60), make_basis(40, 40, 40, 109.4712, 109.4712, 109.4712),
    make_basis(60, 60, 95, 90, 90, 120), make_basis(30, 31, 250, 90, 90, 90),
]


def draw_change(rng, n_steps=8):
    """Draw a product of elementary changes of axes."""
    change = np.eye(3)
    for _ in range(n_steps):
        i, j = rng.choice(3, 2, replace=False)
        step = np.eye(3)
        step[i, j] = rng.integers(-2, 3)
        change = step @ change
    return change


def compute_lengths_slowly(basis):
    """The shortest vector of each class modulo 2, of all with indices up to 3 of a reduced cell."""
    reduced = reduce_basis(basis)
    best = {}
    for v in itertools.product(range(-3, 4), repeat=3):
        parity = tuple(x % 2 for x in v)
        if any(parity):
            best[parity] = min(best.get(parity, np.inf), np.linalg.norm(v @ reduced))
    return [best[p] for p in sorted(best)]


@pytest.mark.parametrize("cell", CELLS)
def test_lengths_are_those_of_the_slow_twin(cell):
    assert np.allclose(compute_lengths(cell[None])[0], compute_lengths_slowly(cell), rtol=1e-12)


def test_there_are_168_permutations_and_they_are_a_group():
    permutations = {tuple(p) for p in list_permutations()}
    assert len(permutations) == 168
    some = list(permutations)[::17]
    assert all(tuple(p[k] for k in q) in permutations for p in some for q in some)


@pytest.mark.parametrize("cell", CELLS)
def test_other_axes_are_at_no_distance(cell):
    rng = np.random.default_rng(1)
    others = np.array([draw_change(rng) @ cell for _ in range(20)])
    lengths = compute_lengths(np.concatenate([cell[None], others]))
    # rounding in products of large numbers
    assert measure_distances(np.repeat(lengths[:1], 20, axis=0), lengths[1:]).max() < 1e-9


@pytest.mark.parametrize("cell", CELLS)
def test_the_distance_is_continuous_where_reduced_cells_jump(cell):
    """The cells above lie on borders of reduction: small strains give quite different reduced cells."""
    rng = np.random.default_rng(2)
    strained = np.array([cell @ (np.eye(3) + 1e-4 * rng.normal(size=(3, 3))) for _ in range(30)])
    changed = np.array([draw_change(rng) @ s for s in strained])
    lengths = compute_lengths(np.concatenate([cell[None], changed]))
    distance = measure_distances(np.repeat(lengths[:1], 30, axis=0), lengths[1:])
    # no vector's length changes by more than the norm of the strain, at most 3 x 1e-4 x 4
    assert distance.max() < 1.2e-3
    assert distance.max() > 1e-5


def test_different_lattices_are_far_apart():
    lengths = compute_lengths(np.array(CELLS))
    i, j = np.triu_indices(len(CELLS), 1)
    assert measure_distances(lengths[i], lengths[j]).min() > 0.1


def test_sublattices_are_far_apart():
    cell = CELLS[2]
    doubled = np.diag([2, 1, 1]) @ cell
    lengths = compute_lengths(np.array([cell, doubled]))
    assert measure_distances(lengths[:1], lengths[1:])[0] > 0.1


@pytest.mark.parametrize("cell", CELLS)
def test_axes_are_matched_to_those_of_a_similar_cell(cell):
    target = reduce_basis(cell)
    rng = np.random.default_rng(3)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    other = reduce_basis(target @ (np.eye(3) + 1e-3 * rng.normal(size=(3, 3))) @ turn)
    matched = match_cell_axes(other, target)
    gram = target @ target.T
    assert np.abs(matched @ matched.T - gram).max() < 0.02 * gram.max()
    assert np.linalg.det(matched) == pytest.approx(np.linalg.det(target), rel=0.01)
