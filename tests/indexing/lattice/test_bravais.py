"""Bravais settings of known cells, disguised by random primitive axes."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_points import LATTICE_CELLS, disguised

from xdp.experiment.crystal import b_matrix, cell_of
from xdp.indexing.lattice.bravais import find_bravais_settings


@pytest.mark.parametrize("lattice", list(LATTICE_CELLS))
def test_highest_setting_is_the_true_one(lattice: str):
    axes = disguised(LATTICE_CELLS[lattice], lattice[1], 5)
    best, *_, last = [*find_bravais_settings(axes, 1.0)] * 2
    assert best.lattice == lattice
    assert last.lattice == "aP"
    np.testing.assert_allclose(best.basis, best.transform @ axes, atol=1e-9)
    if lattice != "aP":
        np.testing.assert_allclose(cell_of(best.basis), LATTICE_CELLS[lattice], rtol=1e-6)


def test_counts_of_settings_of_primitive_lattices():
    """Lattice subgroups of 222, 422 and 32 are textbook: 5, 9 and 5 with the triclinic one."""
    for lattice, count in (("oP", 5), ("tP", 9), ("hR", 5)):
        assert len(find_bravais_settings(disguised(LATTICE_CELLS[lattice], lattice[1], 2), 0.5)) == count


def test_nearly_right_angles_have_their_delta():
    settings = find_bravais_settings(np.linalg.inv(b_matrix((30, 41, 52, 90, 90.4, 90))), 2.0)
    assert settings[0].lattice == "oP"
    assert settings[0].delta == pytest.approx(0.4, abs=0.01)
    assert settings[-2].lattice == "mP" or any(s.lattice == "mP" and s.delta < 1e-6 for s in settings)


@pytest.mark.parametrize("lattice", list(LATTICE_CELLS))
def test_settings_of_one_type_are_those_of_the_whole_list(lattice: str):
    axes = disguised(LATTICE_CELLS[lattice], lattice[1], 5)
    every = find_bravais_settings(axes, 2.0)
    for wanted in {s.lattice for s in every}:
        some, same = find_bravais_settings(axes, 2.0, wanted), [s for s in every if s.lattice == wanted]
        assert [s.delta for s in some] == [s.delta for s in same]
        np.testing.assert_array_equal([s.transform for s in some], [s.transform for s in same])
