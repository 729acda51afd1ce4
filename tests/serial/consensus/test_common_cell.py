"""The common cell is the true one within its error, and the error is honest."""

import numpy as np
import pytest
from consensus_data import map_still

from xdp.experiment.crystal import b_matrix, cell_of
from xdp.serial.consensus.common_cell import refine_common_cell
from xdp.serial.consensus.placement import Placement
from xdp.simulation.spot_lists import draw_crystal

CELL = (42.0, 55.0, 71.0, 82.0, 104.0, 95.0)


def place_truly(seeds, crystals):
    """Shots of crystals, at their true orientations."""
    return [Placement(map_still(crystal, seed), crystal.U) for seed, crystal in zip(seeds, crystals, strict=True)]


def test_a_wrong_start_comes_to_the_true_cell():
    crystals = [draw_crystal("aP", CELL, seed) for seed in range(10)]
    start = b_matrix((42.2, 54.8, 71.2, 82.2, 103.8, 95.1))
    found = refine_common_cell(place_truly(range(10), crystals), start)
    cell = np.asarray(cell_of(found.basis))
    assert np.abs(cell[:3] / CELL[:3] - 1.0).max() < 5e-4
    assert np.abs(cell[3:] - CELL[3:]).max() < 0.05
    assert min(p.score for p in found.placements) > 200.0


@pytest.mark.parametrize("first", [0, 20, 40])
def test_the_jackknife_error_is_that_of_crystals_that_differ(first):
    """Crystals whose axes differ by 0.3 %: the mean of ten is off by its error, within what a normal law allows."""
    rng = np.random.default_rng(first)
    seeds = range(first, first + 10)
    cells = [tuple(np.array(CELL) * [*(1.0 + 0.003 * rng.normal(size=3)), 1, 1, 1]) for _ in seeds]
    crystals = [draw_crystal("aP", cell, seed) for seed, cell in zip(seeds, cells, strict=True)]
    found = refine_common_cell(place_truly(seeds, crystals), b_matrix(CELL))
    lengths = np.array([cell_of(np.linalg.inv(b))[:3] for b in found.left_out])
    error = np.sqrt(0.9 * np.sum((lengths - lengths.mean(axis=0)) ** 2, axis=0)) / CELL[:3]
    # of ten numbers the mean has the error 0.3 % / sqrt(10) = 0.095 %, known to about a quarter
    assert np.all((error > 0.0004) & (error < 0.0022))
    off = np.asarray(cell_of(found.basis))[:3] / np.mean(cells, axis=0)[:3] - 1.0
    assert np.abs(off).max() < 4.0 * 0.00095
