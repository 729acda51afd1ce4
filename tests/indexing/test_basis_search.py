"""change_of_basis_op=auto: indices that fit crystals in another setting."""

from __future__ import annotations

import numpy as np
import pytest
from refinement_data import sweep

from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.indexing.basis_change import parse_basis_change
from xdp.indexing.reindex import reindex, reindex_experiments
from xdp.prediction.reflections import predict_rotation
from xdp.reflections import Flag, ReflectionTable


@pytest.fixture(scope="module")
def spots() -> tuple[ExperimentList, ReflectionTable]:
    """A crystal and its spots, where they are predicted, indexed."""
    experiments = ExperimentList([sweep()])
    table = predict_rotation(experiments[0], 4.0)
    n = len(table)
    assert n > 30
    return experiments, table.with_columns(**{"xyzobs.px.value": table["xyzcal.px"], "id": np.zeros(n, np.int32),
                                              "flags": np.full(n, int(Flag.INDEXED), np.uint64)})


@pytest.mark.parametrize("change", ["b,c,a", "a+b,-a+b,c", "-a,c,b"])
def test_indices_come_to_fit_the_crystal(spots, change):
    experiments, table = spots
    moved = reindex_experiments(experiments, parse_basis_change(change), "P1")
    found = reindex(moved, table, change_of_basis_op="auto")
    expected = np.round(table["miller_index"] @ parse_basis_change(change).T)
    np.testing.assert_array_equal(found.reflections["miller_index"], expected)
    assert found.experiments is moved


def test_a_few_wrong_indices_do_no_harm(spots):
    experiments, table = spots
    hkl = table["miller_index"].copy()
    hkl[:2] = [[7, 7, 7], [1, 0, 0]]
    found = reindex(experiments, table.with_columns(miller_index=hkl), change_of_basis_op="Auto")
    np.testing.assert_array_equal(found.reflections["miller_index"], hkl)


def test_another_lattice_is_refused(spots):
    experiments, table = spots
    noise = np.random.default_rng(1).integers(-9, 9, (len(table), 3))
    with pytest.raises(XdpError, match="the lattices are not the same"):
        reindex(experiments, table.with_columns(miller_index=noise), change_of_basis_op="auto")
    with pytest.raises(XdpError, match="give both"):
        reindex(None, table, change_of_basis_op="auto")
