from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.prediction.indices import list_miller_indices
from xdp.simulation import make_crystal
from xdp.simulation.structures.structure import draw_intensities, map_to_asymmetric_unit


@pytest.fixture(scope="module")
def crystal():
    return make_crystal()


@pytest.fixture(scope="module")
def indices(crystal):
    return list_miller_indices(crystal, 3.0)


def test_equivalents_and_friedel_mates_are_equal(crystal, indices):
    values = draw_intensities(crystal, indices, wilson_b=20.0, seed=1)
    for operation in crystal.space_group.operations().sym_ops:
        image = np.array([operation.apply_to_hkl([int(v) for v in hkl]) for hkl in indices[::97]])
        # Equal to rounding: q is computed from each index anew.
        np.testing.assert_allclose(draw_intensities(crystal, image, wilson_b=20.0, seed=1), values[::97], rtol=1e-10)
    np.testing.assert_allclose(draw_intensities(crystal, -indices, wilson_b=20.0, seed=1), values, rtol=1e-10)


def test_as_many_asymmetric_indices_as_gemmi_finds(crystal, indices):
    ours = len(np.unique(map_to_asymmetric_unit(crystal, indices), axis=0))
    cell = gemmi.UnitCell(*crystal.unit_cell)
    assert ours == len(gemmi.make_miller_array(cell, crystal.space_group, 3.0))


def test_wilson_statistics(crystal, indices):
    unique = np.unique(map_to_asymmetric_unit(crystal, indices), axis=0)
    values = draw_intensities(crystal, unique, wilson_b=0.0, seed=1)
    operations = crystal.space_group.operations()
    values = values / operations.epsilon_factor_without_centering_array(unique.astype(np.int32))
    centric = operations.centric_flag_array(unique.astype(np.int32))
    # Second moments of acentric and centric distributions are 2 and 3; some 2,000 and 500 values scatter by 5 to 15 %.
    for group, moment in [(values[~centric], 2.0), (values[centric], 3.0)]:
        assert np.mean(group) == pytest.approx(1.0, rel=0.15)
        assert np.mean(group**2) / np.mean(group) ** 2 == pytest.approx(moment, rel=0.3)


def test_intensities_do_not_depend_on_company(crystal, indices):
    alone = draw_intensities(crystal, indices[5:6], wilson_b=20.0, seed=1)
    assert alone[0] == pytest.approx(draw_intensities(crystal, indices, wilson_b=20.0, seed=1)[5], rel=1e-12)


def test_another_seed_is_another_structure(crystal, indices):
    one, two = (draw_intensities(crystal, indices, wilson_b=0.0, seed=seed) for seed in (1, 2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.1


def test_fall_off_is_that_of_the_b_factor(crystal, indices):
    ratio = (draw_intensities(crystal, indices, wilson_b=30.0, seed=1)
             / draw_intensities(crystal, indices, wilson_b=0.0, seed=1))
    d = 1.0 / np.linalg.norm(indices @ crystal.A.T, axis=1)
    np.testing.assert_allclose(ratio, np.exp(-2 * 30.0 / (4 * d**2)), rtol=1e-12)


def test_no_indices_give_no_intensities(crystal):
    assert draw_intensities(crystal, np.zeros((0, 3)), wilson_b=1.0, seed=1).shape == (0,)
