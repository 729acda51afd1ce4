"""Two crystals a degree apart that were indexed as one are said, or indexed apart; one crystal is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from indexing_data import make_sweep

from xdp.experiment.experiment import ExperimentList
from xdp.indexing.close_pairs import find_close_pair, rotate_crystal
from xdp.indexing.index import Indexed, index_sweeps
from xdp.indexing.options import Indexing, MultipleLatticeSearch
from xdp.refinement.parameters.rotations import make_rotation
from xdp.simulation.spot_lists import draw_crystal, simulate_spot_list

CELL = (42.0, 55.0, 71.0, 90.0, 90.0, 90.0)
AXIS = np.array([0.36, 0.48, 0.8])
SETTING = np.diag([0.025, 0.02, 0.016])


def index_pair(degrees: float, separation: float) -> Indexed:
    """Index the spots of two crystals so far apart, two lattices allowed."""
    sweep, first = make_sweep(width=60.0), draw_crystal("oP", CELL, 1)
    crystals = [first, rotate_crystal(first, np.radians(degrees) * AXIS)]
    spots = simulate_spot_list([replace(sweep, crystal=c) for c in crystals], np.random.default_rng(5), n_spots=1200,
                               d_min=2.5)
    search = MultipleLatticeSearch(max_lattices=2, minimum_angular_separation=separation)
    return index_sweeps(ExperimentList([sweep]), spots.table, Indexing(multiple_lattice_search=search))


def test_two_crystals_that_one_lattice_takes_are_said(caplog: pytest.LogCaptureFixture):
    with caplog.at_level("WARNING", logger="xdp"):
        assert len(index_pair(1.2, 5.0).experiments) == 1
    text = next(r.getMessage() for r in caplog.records if "two crystals" in r.getMessage())
    assert "Crystal 1 seems to be two crystals 1.2" in text
    assert "max_lattices=2 multiple_lattice_search.minimum_angular_separation=0.6" in text


def test_they_are_indexed_apart_where_lattices_may_be_so_close(caplog: pytest.LogCaptureFixture):
    with caplog.at_level("WARNING", logger="xdp"):
        found = index_pair(0.9, 0.5)
    counts = np.bincount(found.reflections["id"] + 1, minlength=3)
    assert counts[0] < 20
    assert counts[1:].min() > 550
    for experiment in found.experiments:
        np.testing.assert_allclose(sorted(experiment.crystal.unit_cell[:3]), CELL[:3], rtol=5e-4)
    assert "two crystals" not in caplog.text


def points_of_setting(turns: list[float], n: int = 500, width: float = 3e-4) -> tuple[np.ndarray, np.ndarray]:
    """Points of a lattice with errors (1/Å), each turned by one of the angles (degrees) in turn; and their indices."""
    rng = np.random.default_rng(1)
    hkl = rng.integers(-9, 10, (n, 3))
    angle = np.radians(np.resize(turns, n))
    turned = np.stack([make_rotation(AXIS, a) @ SETTING @ h for a, h in zip(angle, hkl, strict=True)])
    return turned + rng.normal(0.0, width, (n, 3)), hkl


@pytest.mark.parametrize("angle", [0.8, 1.2])
def test_the_turns_of_both_crystals_are_found(angle: float):
    points, hkl = points_of_setting([-0.2 * angle, 0.8 * angle, 0.8 * angle])
    pair = find_close_pair(points, hkl, SETTING, np.arange(500.0))
    assert pair is not None
    assert pair.angle == pytest.approx(angle, rel=0.05)
    found = sorted(float(np.degrees(turn @ AXIS)) for turn in pair.turns)
    assert found == pytest.approx([-0.2 * angle, 0.8 * angle], abs=0.05 * angle)


@pytest.mark.parametrize("turns", [[0.0], list(np.linspace(-0.5, 0.5, 500))])
def test_one_crystal_is_no_pair_however_it_turns(turns: list[float]):
    points, hkl = points_of_setting(turns)
    assert find_close_pair(points, hkl, SETTING, np.arange(500.0)) is None


def test_a_crystal_that_slipped_is_no_pair():
    points, hkl = points_of_setting([-0.5] * 300 + [0.5] * 200)
    assert find_close_pair(points, hkl, SETTING, np.arange(500.0)) is None
    mixed = np.random.default_rng(2).permutation(500).astype(float)
    assert find_close_pair(points, hkl, SETTING, mixed) is not None


def test_few_spots_tell_nothing():
    points, hkl = points_of_setting([-0.5, 0.5], 140)
    assert find_close_pair(points, hkl, SETTING, np.arange(140.0)) is None
    points, hkl = points_of_setting([-0.5, 0.5], 160)
    assert find_close_pair(points, hkl, SETTING, np.random.default_rng(0).random(160)) is not None


@pytest.mark.parametrize("seed", range(3))
def test_errors_of_an_angle_alone_are_no_pair(seed: int):
    """Centroids on one of three images: three heaps, which no turn parts."""
    rng = np.random.default_rng(seed)
    hkl = rng.integers(-9, 10, (200, 3))
    q = hkl @ SETTING
    off = np.cross([0.0, 1.0, 0.0], q) * rng.choice([-4e-3, 0.0, 4e-3], 200)[:, None] + rng.normal(0.0, 1e-4, q.shape)
    assert find_close_pair(q + off, hkl, SETTING, rng.random(200)) is None
