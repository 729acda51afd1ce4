"""Lattices of a shot as experiments and reflections."""

from __future__ import annotations

import numpy as np

from xdp.indexing.options import KnownSymmetry
from xdp.indexing.outcome import add_predictions
from xdp.indexing.shots.result import make_shot_result
from xdp.indexing.shots.shot import find_shot_lattices
from xdp.reflections.flags import Flag
from xdp.simulation.models import LYSOZYME_CELL
from xdp.simulation.still_spots import make_still_spots


def test_result_is_as_of_the_stage_index():
    experiment, spots = make_still_spots(60, 10)
    found = find_shot_lattices(experiment, spots, KnownSymmetry(unit_cell=LYSOZYME_CELL, space_group="P43212"))
    experiments, table = make_shot_result(experiment, found)
    assert len(experiments) == 1
    assert table.identifiers == {0: experiments[0].identifier}
    assert (table.flags(Flag.INDEXED) == (table["id"] == 0)).all()
    # refinement's own predictions, which other stages look at
    expected = add_predictions(experiments, table)
    own = table["id"] == 0
    np.testing.assert_allclose(table["xyzcal.px"][own, :2], expected["xyzcal.px"][own, :2], atol=1e-6)
    np.testing.assert_allclose(table["delpsical.rad"][own], expected["delpsical.rad"][own], atol=1e-9)


def test_nothing_found_gives_no_experiment():
    experiment, spots = make_still_spots(n_spurious=20, crystals=[])
    found = find_shot_lattices(experiment, spots, KnownSymmetry(unit_cell=LYSOZYME_CELL))
    experiments, table = make_shot_result(experiment, found)
    assert len(experiments) == 0
    assert len(table) == 20
    assert not table.flags(Flag.INDEXED).any()
