"""Indexing that starts with a known orientation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from indexing_data import CELL, make_sweep, simulate_spots

import xdp
from xdp.errors import OptionError, XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.crystals import find_crystals
from xdp.indexing.index import choose_max_cell, index_sweeps
from xdp.indexing.known_orientation import check_known_crystal, make_known_crystal
from xdp.indexing.lattice.basis import measure_misorientation
from xdp.indexing.lattice.symmetry import find_space_group, make_primitive_axes
from xdp.indexing.options import Indexing, KnownSymmetry
from xdp.indexing.spots import load_spots
from xdp.indexing.state import IndexingState
from xdp.refinement.parameters.rotations import make_rotation
from xdp.simulation.spot_lists import draw_crystal

CENTRED = (62.0, 41.0, 55.0, 90.0, 103.0, 90.0)


def known(matrix: np.ndarray, **others) -> KnownSymmetry:
    """What is known: a matrix, and perhaps a group or a cell."""
    return KnownSymmetry(A_matrix=tuple(np.asarray(matrix).ravel().tolist()), **others)


def turned(crystal, degrees: float) -> np.ndarray:
    """The setting matrix of a crystal after a turn."""
    return make_rotation(np.array([0.0, 0.6, 0.8]), np.radians(degrees)) @ crystal.A


@pytest.fixture(scope="module")
def data():
    experiment = make_sweep(20.0)
    spots, (crystal,) = simulate_spots(experiment, n=300, spurious=0.2)
    return ExperimentList([experiment]), spots.table, crystal


def test_indexing_keeps_the_axes_that_are_given(data):
    """Half a degree off, on axes that no search would choose: b longest, a along another edge."""
    sweeps, table, crystal = data
    axes = turned(crystal, 0.5) @ np.linalg.inv(np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=float))
    options = Indexing(known_symmetry=known(axes, space_group="P212121"))
    found = index_sweeps(sweeps, table, options)
    result = found.experiments[0].crystal
    np.testing.assert_allclose(result.unit_cell, np.array(CELL)[[1, 2, 0, 3, 4, 5]], rtol=3e-3)
    assert measure_misorientation(result.A, axes) == pytest.approx(0.5, abs=0.1)
    assert np.count_nonzero(found.reflections["id"] >= 0) > 230
    assert result.space_group.number == 19
    assert choose_max_cell(load_spots(sweeps, table), options) == pytest.approx(1.3 * CELL[2])


def test_no_lattice_is_sought(data, monkeypatch):
    sweeps, table, crystal = data
    monkeypatch.setattr("xdp.indexing.crystals.search_lattice", lambda *_, **__: pytest.fail("a search"))
    state = IndexingState(sweeps, load_spots(sweeps, table), [])
    _, (found,) = find_crystals(state, 90.0, Indexing(known_symmetry=known(crystal.A)))
    np.testing.assert_allclose(found.A, crystal.A, atol=1e-12)
    assert found.space_group_hall_symbol.strip() == "P 1"


@pytest.mark.parametrize("is_primitive", [False, True])
def test_centred_cells_may_be_given_on_their_own_or_on_primitive_axes(is_primitive):
    crystal = draw_crystal("mC", CENTRED, 3)
    axes = crystal.real_space_matrix
    given = make_primitive_axes(axes, "C") if is_primitive else axes
    found = make_known_crystal(known(np.linalg.inv(given), space_group="C2"))
    np.testing.assert_allclose(sorted(found.unit_cell[:3])[0], 41.0, rtol=1e-6)
    assert abs(np.linalg.det(found.A)) == pytest.approx(abs(np.linalg.det(crystal.A)), rel=1e-6)
    assert found.space_group.number == 5
    if not is_primitive:
        np.testing.assert_allclose(found.A, crystal.A, atol=1e-9)


def test_matrix_that_disagrees_is_refused(data):
    _, _, crystal = data
    with pytest.raises(OptionError, match=r"its cell 42.00 55.00 71.00 .* does not agree with P4"):
        make_known_crystal(known(crystal.A, space_group="P4"))
    with pytest.raises(OptionError, match=r"does not agree with .*60.0"):
        make_known_crystal(known(crystal.A, unit_cell=(60.0, 55.0, 71.0, 90.0, 90.0, 90.0)))
    assert make_known_crystal(known(crystal.A, unit_cell=(43.0, 55.0, 71.0, 90.0, 90.0, 90.0))).unit_cell[0] < 42.1
    for wrong in (-crystal.A, np.zeros((3, 3)), np.ones((3, 3))):
        with pytest.raises(OptionError, match="right-handed crystal"):
            make_known_crystal(known(wrong))
    with pytest.raises(OptionError, match="A_matrix"):
        xdp.index(ExperimentList([]), {}, {"A_matrix": (1.0, 0.0)})


def test_wrong_orientation_is_an_error_that_says_so(data):
    sweeps, table, crystal = data
    points = load_spots(sweeps, table).points
    check_known_crystal(crystal, points, 0.3)
    with pytest.raises(XdpError, match=r"indexes \d+ of \d+ spots, no better than chance"):
        index_sweeps(sweeps, table, Indexing(known_symmetry=known(turned(crystal, 20.0))))


def test_untabulated_settings_are_checked_on_their_primitive_axes(data):
    """P212121 on other axes: the letter of its symbol stands for those of the table."""
    sweeps, table, crystal = data
    group = find_space_group("P212121 (a+b,b,c)")
    axes = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=float) @ crystal.real_space_matrix
    found = make_known_crystal(known(np.linalg.inv(axes), space_group="P212121 (a+b,b,c)"))
    assert found.space_group_hall_symbol == group.hall
    check_known_crystal(found, load_spots(sweeps, table).points, 0.3)


def test_each_sweep_starts_with_it_and_further_lattices_are_sought():
    experiment = make_sweep(20.0)
    spots, crystals = simulate_spots(experiment, (1, 2), n=300)
    options = Indexing(known_symmetry=known(turned(crystals[1], 0.3), unit_cell=CELL, space_group="P222"),
                       multiple_lattice_search={"max_lattices": 2})
    found = index_sweeps(ExperimentList([experiment]), spots.table, options)
    assert len(found.experiments) == 2
    np.testing.assert_allclose(found.experiments[0].crystal.A, crystals[1].A, atol=2e-5)
    pair = ExperimentList([experiment, replace(experiment, identifier="2")])
    both = type(spots.table).concatenate([spots.table, spots.table.with_columns(
        id=np.ones(len(spots.table), np.int32), imageset_id=np.ones(len(spots.table), np.int32))])
    apart = index_sweeps(pair, both, options.model_copy(update={
        "joint_indexing": False, "multiple_lattice_search": Indexing().multiple_lattice_search}))
    assert len(apart.experiments) == 2
    for e in apart.experiments:
        np.testing.assert_allclose(e.crystal.A, crystals[1].A, atol=2e-5)


def test_other_methods_are_said_not_to_be_used(data, caplog):
    sweeps, table, crystal = data
    with caplog.at_level("INFO", logger="xdp"):
        xdp.index(sweeps, table, {"A_matrix": tuple(crystal.A.ravel().tolist()), "method": "fft1d"})
    assert "indexing.method=fft1d is not used for the first lattice" in caplog.text
    assert "spots: no search" in caplog.text
