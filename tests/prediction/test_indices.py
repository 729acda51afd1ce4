from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.experiment import Experiment, ExperimentList
from xdp.indexing.reindex import reindex_experiments
from xdp.prediction._kernels_passages import list_sphere
from xdp.prediction.indices import compute_d_spacings, list_lattice_indices, list_miller_indices
from xdp.simulation import make_crystal

pytestmark = pytest.mark.kernels
PRIMITIVE = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])


def change_basis(crystal):
    """The crystal on the axes of the primitive cell of its body-centred one."""
    return reindex_experiments(ExperimentList([Experiment(crystal=crystal)]), PRIMITIVE)[0].crystal


@pytest.mark.parametrize(("cell", "hall"), [
    ((79.34, 79.34, 37.81, 90, 90, 90), " P 4nw 2abw"),
    ((30.0, 40.0, 50.0, 80.0, 95.0, 103.0), " P 1"),
    ((60.0, 60.0, 60.0, 90, 90, 90), " F 4 2 3"),
])
def test_the_indices_are_those_of_gemmi(cell, hall):
    crystal = make_crystal(cell, hall)
    ours = set(map(tuple, list_miller_indices(crystal, 3.1).tolist()))
    theirs = gemmi.make_miller_array(gemmi.UnitCell(*cell), crystal.space_group, 3.1, unique=False)
    # gemmi gives one of each pair of Friedel mates, or both; the union is what we want.
    assert ours == {tuple(hkl) for hkl in theirs.tolist()} | {tuple(-v for v in hkl) for hkl in theirs.tolist()}


@pytest.mark.parametrize("cell", [(20.0, 30.0, 25.0, 80.0, 95.0, 103.0), (10.0, 10.0, 10.0, 90, 90, 90)])
def test_a_sphere_of_indices_equals_its_twin(cell):
    metric = make_crystal(cell, " P 1").A
    metric = metric.T @ metric
    reach = np.array([9, 12, 11])
    every = np.stack(np.mgrid[-9:10, -12:13, -11:12], axis=-1).reshape(-1, 3)
    length = np.einsum("ni,ij,nj->n", every, metric, every)
    out = np.zeros((12_000, 3), np.int32)
    # on no point of the cubic lattice, where rounding would decide; the last beyond what `reach` lists
    for most in (0.0123, 0.0903, 1.2103):
        n = list_sphere(metric, reach, most, out)
        np.testing.assert_array_equal(out[:n], every[(length > 0.0) & (length <= most)])
        # without room it counts
        assert list_sphere(metric, reach, most, out[:2].copy()) == n


def test_d_of_a_cubic_cell():
    crystal = make_crystal((10.0, 10.0, 10.0, 90, 90, 90), " P 1")
    np.testing.assert_allclose(compute_d_spacings(crystal, [[1, 0, 0], [2, 2, 1]]), [10.0, 10.0 / 3.0], rtol=1e-12)


def test_no_resolution_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        list_miller_indices(make_crystal(), 0.0)


@pytest.mark.parametrize(("hall", "keeps"), [(" P 4nw 2abw", lambda hkl: np.ones(len(hkl), bool)),
                                             (" F 4 2 3", lambda hkl: (hkl % 2 == hkl[:, :1] % 2).all(axis=1)),
                                             (" I 4", lambda hkl: hkl.sum(axis=1) % 2 == 0),
                                             (" R 3", lambda hkl: (-hkl[:, 0] + hkl[:, 1] + hkl[:, 2]) % 3 == 0)])
def test_lattice_indices_lack_what_the_centring_extinguishes_only(hall, keeps):
    crystal = make_crystal((40.0, 40.0, 40.0, 90, 90, 120 if "R" in hall else 90), hall)
    everything = list_lattice_indices(make_crystal((40.0, 40.0, 40.0, 90, 90, 120 if "R" in hall else 90), " P 1"), 4.0)
    np.testing.assert_array_equal(list_lattice_indices(crystal, 4.0), everything[keeps(everything)])
    assert len(list_lattice_indices(crystal, 4.0)) >= len(list_miller_indices(crystal, 4.0))


def test_lattice_indices_between_two_resolutions():
    crystal = make_crystal((40.0, 50.0, 60.0, 80.0, 95.0, 103.0), " P 1")
    d = compute_d_spacings(crystal, list_lattice_indices(crystal, 4.0, 10.0))
    assert d.min() >= 4.0
    assert d.max() <= 10.0
    coarser = list_lattice_indices(crystal, 10.0)
    assert len(d) + len(coarser) == len(list_lattice_indices(crystal, 4.0))


def test_an_untabulated_setting_has_the_same_reflections_under_other_indices():
    """P43212 with its four-fold axis along b, which no table has."""
    usual = make_crystal((79.34, 79.34, 37.81, 90, 90, 90), " P 4nw 2abw")
    moved = make_crystal((79.34, 37.81, 79.34, 90, 90, 90), " P 4nw 2abw (y,z,x)")
    for list_indices in (list_miller_indices, list_lattice_indices):
        expected = {(k, l_, h) for h, k, l_ in list_indices(usual, 4.0).tolist()}
        assert {tuple(hkl) for hkl in list_indices(moved, 4.0).tolist()} == expected


def test_a_primitive_cell_of_a_centred_group_has_all_reflections_of_its_lattice():
    cubic = make_crystal((78.0, 78.0, 78.0, 90, 90, 90), " I 2 2 3")
    primitive = change_basis(cubic)
    h = list_lattice_indices(cubic, 8.0)
    assert {tuple(v) for v in (h @ PRIMITIVE.T).astype(int).tolist()} == {
        tuple(v) for v in list_lattice_indices(primitive, 8.0).tolist()}
