"""Cells that are multiples or parts of the right one are corrected by the spots of all shots."""

from dataclasses import replace

import numpy as np
import pytest
from consensus_data import P21, map_still

from xdp.experiment.crystal import b_matrix
from xdp.serial.consensus.common_cell import refine_common_cell
from xdp.serial.consensus.metric import compute_lengths, measure_distances
from xdp.serial.consensus.placement import Placement
from xdp.serial.consensus.related import change_cell, choose_related_lattice, list_sublattices, turn_onto
from xdp.simulation.spot_lists import draw_crystal


@pytest.fixture(scope="module")
def shots():
    return [map_still(draw_crystal("mP", P21, seed), seed, n_spots=40, n_spurious=4) for seed in range(8)]


def refine_as(shots, transform):
    """The common cell that shots of the P21 crystal have with wrong axes = transform @ right ones."""
    axes = transform @ np.linalg.inv(b_matrix(P21))
    b = np.linalg.inv(axes)
    return refine_common_cell([Placement(s, draw_crystal("mP", P21, k).U) for k, s in enumerate(shots)], b)


CHANGES = [np.eye(3), np.diag([2.0, 1, 1]), np.diag([1, 1, 3.0]), np.diag([2.0, 2, 1]), np.diag([1, 0.5, 1]),
           np.array([[1.0, 1, 0], [-1, 1, 0], [0, 0, 1]]), np.array([[1.0, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5]])]


@pytest.mark.parametrize("change", CHANGES)
def test_the_right_one_of_related_cells_is_chosen(shots, change):
    cell = refine_as(shots, change)
    b = change_cell(cell, choose_related_lattice(cell))
    lengths = compute_lengths(np.array([np.linalg.inv(b), np.linalg.inv(b_matrix(P21))]))
    assert measure_distances(lengths[:1], lengths[1:])[0] < 0.01


def test_spots_around_lattice_points_make_no_larger_cell():
    """Split spots lie about the lattice's own points, not about others half way between them."""
    rng, shots = np.random.default_rng(1), []
    for seed in range(8):
        shot = map_still(draw_crystal("mP", P21, seed), seed, n_spots=40)
        # doubles of each spot, off by up to a third of the way to the next lattice point
        beside = np.concatenate([shot.points + rng.normal(0.0, 0.0018, shot.points.shape) for _ in range(4)])
        shots.append(replace(shot, points=np.concatenate([shot.points, beside]), rays=np.tile(shot.rays, (5, 1))))
    assert np.array_equal(choose_related_lattice(refine_as(shots, np.eye(3))), np.eye(3))


def test_sublattices_are_different_and_have_their_index():
    for n in (2, 3, 4):
        found = list_sublattices(n)
        assert np.allclose(np.linalg.det(found), n)
        # the same lattice would have a change of axes of whole numbers
        ratios = found[:, None] @ np.linalg.inv(found)[None]
        same = np.abs(ratios - np.round(ratios)).max(axis=(2, 3)) < 1e-9
        assert np.array_equal(same, np.eye(len(found), dtype=bool))


def test_a_lattice_is_turned_onto_other_axes_of_itself():
    crystal = draw_crystal("mP", P21, 3)
    other = np.array([[1, 0, 0], [0, -1, 0], [1, 0, -1]]) @ crystal.real_space_matrix
    u = turn_onto(other, crystal.B)
    index = np.linalg.inv(u @ crystal.B) @ crystal.A
    assert np.allclose(index, np.round(index), atol=1e-6)
