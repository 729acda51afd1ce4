"""Changes of basis as users write them, and as axes and indices follow them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refinement_data import sweep

from xdp.errors import OptionError, XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.basis_change import change_basis, parse_basis_change
from xdp.reflections.table import ReflectionTable


@pytest.mark.parametrize(("text", "rows"), [
    ("a,b,c", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    ("h+k, -h+k, l", [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]),
    ("1/2a-1/2b,1/2a+1/2b,2*c", [[0.5, -0.5, 0], [0.5, 0.5, 0], [0, 0, 2]]),
    ("a/2-b/2,a/2+b/2,2c", [[0.5, -0.5, 0], [0.5, 0.5, 0], [0, 0, 2]]),
    ("0.5*a-0.5*b,0.5*a+0.5*b,2*c", [[0.5, -0.5, 0], [0.5, 0.5, 0], [0, 0, 2]]),
])
def test_letters_are_read(text: str, rows: list):
    assert parse_basis_change(text).tolist() == rows


@pytest.mark.parametrize(("coordinates", "axes"), [
    ("x,y,z", "a,b,c"), ("y,z,x", "b,c,a"), ("x+y,x-y,-z", "1/2a+1/2b,1/2a-1/2b,-c"),
    ("x-z,y,z", "a,b,a+c"), ("x+1/4,y-1/2,z", "a,b,c"), ("1/2+x,y,z", "a,b,c")])
def test_coordinates_change_the_other_way(coordinates: str, axes: str):
    """The pairs are those that cctbx prints for one operator."""
    np.testing.assert_allclose(parse_basis_change(coordinates), parse_basis_change(axes), atol=1e-12)


@pytest.mark.parametrize("text", ["a,b", "a,b,x", "a b,c,a", "b,a,c", "a,a,c", "1/0a,b,c", "a,,c", "a/0,b,c",
                                  "x,y,1/2"])
def test_what_is_no_change_of_basis_is_refused(text: str):
    with pytest.raises(OptionError, match="change_of_basis_op="):
        parse_basis_change(text)


def test_axes_and_indices_change_together():
    one = sweep()
    experiments = ExperimentList([one, replace(one, identifier="same crystal")])
    table = ReflectionTable({"miller_index": np.array([[1, 2, 3]], np.int32)})
    transform = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    moved, changed = change_basis(experiments, table, transform)
    assert moved[0].crystal is moved[1].crystal
    np.testing.assert_allclose(moved[0].crystal.A @ changed["miller_index"][0], one.crystal.A @ [1, 2, 3], rtol=1e-12)
    with pytest.raises(XdpError, match="1 of 1 Miller indices would not be whole"):
        change_basis(experiments, table, 0.5 * np.eye(3))
