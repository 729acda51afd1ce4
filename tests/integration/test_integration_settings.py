"""A crystal is integrated alike on the axes of a table and on others that no table has."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import Series, make_series, options

import xdp
from xdp.experiment.io import read_experiments, write_experiments
from xdp.indexing.basis_change import parse_basis_change
from xdp.indexing.lattice.symmetry import find_space_group
from xdp.integration.integrate import integrate
from xdp.simulation.models import make_crystal
from xdp.space_groups import UntabulatedGroup

pytestmark = pytest.mark.kernels

#: A primitive cell of a body-centred lattice, and axes of a tetragonal one with the fourfold along a.
CASES = {"I23": "-a/2+b/2+c/2,a/2-b/2+c/2,a/2+b/2-c/2", "P43212": "c,a,b"}


@pytest.fixture(scope="module", params=CASES)
def series(request, tmp_path_factory) -> tuple[str, Series]:
    """Images of a crystal of each group."""
    cell = (78.0, 78.0, 78.0, 90.0, 90.0, 90.0) if request.param == "I23" else (79.3, 79.3, 37.8, 90.0, 90.0, 90.0)
    crystal = make_crystal(cell, find_space_group(request.param).hall, orientation=2)
    return request.param, make_series(tmp_path_factory.mktemp(request.param), 8, crystal=crystal)


def test_integration_does_not_depend_on_the_axes(series, tmp_path):
    """Same reflections, boxes, intensities and corrections; absences of a centring are not predicted on either axes."""
    name, data = series
    moved = xdp.reindex(data.experiments, data.reference, change_of_basis_op=CASES[name])
    group = moved.experiments[0].crystal.space_group
    assert isinstance(group, UntabulatedGroup)
    assert moved.n_lost == 0
    tabulated = integrate(data.experiments, data.reference, options("prediction.d_min=2.2")).reflections
    found = integrate(moved.experiments, moved.reflections, options("prediction.d_min=2.2"))
    other = found.reflections
    transform = parse_basis_change(CASES[name])
    expected = np.rint(tabulated["miller_index"] @ transform.T).astype(int)
    assert len(other) == len(tabulated) > 200
    # reflections that cross the sphere twice within the scan are told apart by their frame
    orders = [np.lexsort((np.rint(t["xyzcal.px"][:, 2]), *hkl.T)) for t, hkl in (
        (tabulated, expected), (other, other["miller_index"]))]
    np.testing.assert_array_equal(other["miller_index"][orders[1]], expected[orders[0]])
    for column in ("xyzcal.px", "intensity.sum.value", "intensity.sum.variance", "intensity.prf.value", "lp", "d",
                   "background.mean", "partiality", "bbox", "flags"):
        np.testing.assert_allclose(other[column][orders[1]].astype(float), tabulated[column][orders[0]].astype(float),
                                   rtol=1e-5, atol=1e-5, err_msg=column)
    write_experiments(tmp_path / "integrated.expt", found.experiments)
    assert read_experiments(tmp_path / "integrated.expt")[0].crystal.space_group_hall_symbol == group.hall


def test_intensities_are_those_that_were_simulated(series):
    """Against the truth, on the untabulated axes: the sums are right within their uncertainties."""
    name, data = series
    moved = xdp.reindex(data.experiments, data.reference, change_of_basis_op=CASES[name])
    table = integrate(moved.experiments, moved.reflections, options("prediction.d_min=2.5")).reflections
    transform = parse_basis_change(CASES[name])
    true = {tuple(np.rint(transform @ hkl).astype(int)): value for hkl, value in zip(
        data.truth["miller_index"], data.truth["intensity.sum.value"], strict=True)}
    whole = np.flatnonzero((table["partiality"] > 0.99) & (table["intensity.sum.variance"] > 0))
    pulls = [(table["intensity.sum.value"][i] - true[tuple(table["miller_index"][i].tolist())])
             / np.sqrt(table["intensity.sum.variance"][i]) for i in whole]
    assert len(pulls) > 100
    assert abs(np.median(pulls)) < 0.5
    assert np.percentile(np.abs(pulls), 68.0) < 1.6
