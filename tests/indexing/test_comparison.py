"""A further lattice must fit about as well as the others, and leave their fits as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from indexing_data import make_state

from xdp.indexing.comparison import check_new_lattice, choose_trial
from xdp.indexing.crystals import NoFurtherLattice
from xdp.indexing.options import Indexing
from xdp.indexing.spots import ReciprocalSpots
from xdp.indexing.state import IndexingState

GOOD = np.array([0.03, 0.03, 0.002])  # mm, mm, radians


def with_fits(*rms: np.ndarray, n_first: int = 100, n_last: int = 30) -> IndexingState:
    """A state with lattices of these residuals; the first has so many spots and the last so many."""
    state, _ = make_state(200)
    ids = np.full(len(state.spots), -1, dtype=np.int32)
    ids[:n_first] = 0
    if len(rms) > 1:
        ids[n_first : n_first + n_last] = len(rms) - 1
    spots = ReciprocalSpots(state.spots.table.with_columns(id=ids))
    return replace(state, spots=spots, crystals=[state.crystals[0]] * len(rms), lattice_rms=np.array(rms),
                   rms=float(np.hypot(*rms[-1][:2])))


def test_a_lattice_that_fits_like_the_first_is_taken():
    check_new_lattice(with_fits(GOOD), with_fits(1.1 * GOOD, 1.8 * GOOD))


def test_a_lattice_that_spoils_the_first_is_refused():
    worse = GOOD * [1.0, 1.0, 1.5]
    with pytest.raises(NoFurtherLattice, match="would spoil the fit of crystal 1"):
        check_new_lattice(with_fits(GOOD), with_fits(worse, GOOD))


def test_a_lattice_that_takes_the_spots_of_the_first_is_refused():
    with pytest.raises(NoFurtherLattice, match="would spoil the fit of crystal 1"):
        check_new_lattice(with_fits(GOOD), with_fits(GOOD, GOOD, n_first=3, n_last=100))


def test_a_loose_heap_is_refused():
    with pytest.raises(NoFurtherLattice, match="left over fit one too badly"):
        check_new_lattice(with_fits(GOOD), with_fits(GOOD, 5.0 * GOOD))


def test_the_sharpest_fit_of_nearly_as_many_spots_is_chosen():
    loose, sharp, few = with_fits(2.0 * GOOD), with_fits(GOOD, n_first=95), with_fits(0.5 * GOOD, n_first=50)
    assert choose_trial([loose, sharp, few], Indexing()) is sharp
