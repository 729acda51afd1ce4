"""Space groups in tabulated and untabulated settings."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from xdp.errors import FormatError, XdpError
from xdp.space_groups import UntabulatedGroup, change_group_basis, space_group_from_hall

PRIMITIVE = " I 2 2 3 (y+z,x+z,x+y)"  # of DIALS' test data, multi_narrow_wedges


@pytest.mark.parametrize(("symbol", "name", "number"), [
    (" P 4nw 2abw", "P 43 21 2", 96), (" P 61 2 (x,y,z+5/12)", "P 61 2 2", 178), ("P 61 2 (0 0 5)", "P 61 2 2", 178),
    (" C 2y (x,y,-x+z)", "I 1 2 1", 5), ("Hall: P 1", "P 1", 1), ("P 3*", "R 3:R", 146),
    (PRIMITIVE, "I 2 3 (y+z,x+z,x+y)", 197), (" P 4nw 2abw (y,z,x)", "P 43 21 2 (b,c,a)", 96),
    ('P 31 2" (0 0 4)', "P 31 2 1 (x,y,z+1/3)", 152)])
def test_symbols_are_understood_with_and_without_brackets(symbol, name, number):
    group = space_group_from_hall(symbol)
    assert (group.xhm(), group.number) == (name, number)


def test_operations_of_a_primitive_setting():
    """Hand-made: the axes of I23 along the body diagonals' halves; a three-fold axis permutes them."""
    group = space_group_from_hall(PRIMITIVE)
    triplets = [operation.triplet() for operation in group.operations()]
    assert len(triplets) == 12
    assert {"x,y,z", "y,z,x", "z,x,y", "y-z,x-z,-z"} <= set(triplets)
    assert group.centring_type() == "P"
    assert group.crystal_system_str() == "cubic"
    axes = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
    np.testing.assert_allclose(group.base_axes @ axes, np.eye(3))


@pytest.mark.parametrize("symbol", ["nonsense", "P 2 3 (2*x,y,z)", "I 2 2 3 (1/3*x,y,z)", "P 4 (x,y)", ""])
def test_what_is_no_space_group_is_refused(symbol):
    with pytest.raises(FormatError):
        space_group_from_hall(symbol)


def test_an_untabulated_group_is_copied_and_pickled():
    group = space_group_from_hall(PRIMITIVE)
    assert pickle.loads(pickle.dumps(group)) == copy.deepcopy(group) == group
    with pytest.raises(AttributeError):
        _ = group.no_such_thing


@pytest.mark.parametrize(("old", "axes", "new"), [
    ("P 4nw 2abw", [[0, 1, 0], [0, 0, 1], [1, 0, 0]], "P 4nw 2abw (y,z,x)"),
    ("P 2 2ab", [[0, 1, 0], [0, 0, 1], [1, 0, 0]], "P 2ac 2ac"),  # P 21 21 2 with its two-fold axis along b
    ("P 2ac 2ab", [[0, 1, 0], [1, 0, 0], [0, 0, -1]], "P 2ac 2ab"),  # but for the origin
    ("C 2y", [[-1, 0, -1], [0, -1, 0], [0, 0, 1]], "I 2y"),
    ("R 3", np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3, "P 3*"),
    ("I 2 2 3", [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]], PRIMITIVE.strip()),
    (PRIMITIVE, [[0, 1, 1], [1, 0, 1], [1, 1, 0]], "I 2 2 3"),
    ("P 1", [[1, 1, 0], [0, 1, 0], [0, 0, 1]], "P 1")])
def test_groups_go_with_the_axes(old, axes, new):
    assert change_group_basis(old, np.array(axes)) == new


def test_axes_without_the_symmetry_are_refused():
    """The change of a public bug report: three times the volume, on which I23 is no group of a lattice."""
    with pytest.raises(XdpError, match=r"does not have the symmetry of I 2 3: give the space group .*space_group=P1"):
        change_group_basis("I 2 2 3", np.array([[1, 2, 1], [0, -1, 1], [1, 0, 0]]))


def test_the_way_back_to_tabulated_axes():
    group = space_group_from_hall(" P 4nw 2abw (y,z,x)")
    assert isinstance(group, UntabulatedGroup)
    assert group.change_to_base == "c,a,b"
    assert group.short_name() == "P43212 (b,c,a)"
