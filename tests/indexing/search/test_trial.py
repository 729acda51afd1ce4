"""Which search is taken, and when its result is convincing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lattice_points import BASIS, is_same_lattice, points_of

from xdp.errors import OptionError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.options import Indexing, KnownSymmetry
from xdp.indexing.search.cells import Cell, CellLimits
from xdp.indexing.search.combine import find_best_cells
from xdp.indexing.search.trial import CellSearch, Trial, find_candidates, reject_other_lattice
from xdp.indexing.spots import ReciprocalSpots
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_goniometer, make_scan


def test_methods_that_need_a_cell_say_so():
    with pytest.raises(OptionError, match="needs the known cell"):
        find_candidates(np.eye(3), 50.0, Indexing(method="real_space_grid_search"))


@pytest.mark.parametrize("method", ["fft3d", "fft1d", "real_space_grid_search"])
def test_every_method_finds_the_same_lattice(method: str):
    cell = (31.0, 42.0, 55.0, 85.0, 97.0, 104.0)
    points, a = points_of(cell, 600, 3.0)
    options = Indexing(method=method, known_symmetry=KnownSymmetry(unit_cell=cell))
    assert is_same_lattice(find_best_cells(find_candidates(points, 90.0, options), points)[0].basis, a)


def result(width: float, cell: Cell | None) -> Trial:
    """The result of a search in a sweep of so many degrees."""
    from xdp.experiment.experiment import Experiment

    sweep = Experiment(goniometer=make_goniometer(), scan=make_scan(int(2 * width), 0.5))
    table = ReflectionTable({"id": np.zeros(0, np.int32)})
    return Trial(ExperimentList([sweep]), ReciprocalSpots(table), [] if cell is None else [cell], 5)


def test_narrow_wedges_need_more_to_be_convincing():
    """500 of 1000 spots: of the 362 that are not there by chance each has 5.5 or 7.0 units of log likelihood."""
    fair, good = Cell(BASIS, 2500.0, 500, 1000, 1e-3), Cell(BASIS, 3200.0, 500, 1000, 1e-3)
    assert result(60.0, fair).is_convincing(4.0, 0.3)
    assert not result(10.0, replace(fair, score=2000.0)).is_convincing(4.0, 0.3)
    assert result(10.0, good).is_convincing(4.0, 0.3)


def test_nothing_found_is_not_likely():
    nothing = result(60.0, None)
    assert (nothing.score, nothing.fraction) == (0.0, 0.0)
    assert not nothing.is_likely
    assert not nothing.is_convincing(0.0, 0.3)


@pytest.mark.parametrize(("score", "is_other"), [(100.0, True), (1e6, False)])
def test_a_known_cell_is_dropped_where_the_spots_clearly_have_another_lattice(score: float, is_other: bool):
    points, _ = points_of((31.0, 42.0, 55.0, 85.0, 97.0, 104.0), 300, 3.0)
    search = CellSearch(find_candidates(points, 90.0, Indexing()), points, CellLimits(max_cell=90.0))
    sweeps = result(60.0, None).sweeps
    wrong = Cell(BASIS, score, 100, 300, 1e-3)
    checked = reject_other_lattice(Trial(sweeps, ReciprocalSpots(ReflectionTable({})), [wrong], 5, unchecked=search))
    assert checked.is_other == is_other
    assert len(checked.cells) == (0 if is_other else 1)
    assert reject_other_lattice(checked) is checked
