"""Groups of panels, and the hierarchies that they make."""

from __future__ import annotations

import numpy as np

from xdp.images.geometry_files.crystfel_detector import build_geometry_detector
from xdp.images.geometry_files.groups import expand_groups, list_groups, nest_groups
from xdp.images.geometry_files.read_crystfel import parse_crystfel_geometry


def test_groups_of_groups_are_expanded_in_any_order():
    sets = expand_groups({"q": ("a", "b", "p4"), "a": ("p0", "p1"), "b": ("p2", "p3")}, [f"p{i}" for i in range(5)])
    assert sets == {"q": frozenset(range(5)), "a": frozenset((0, 1)), "b": frozenset((2, 3))}


def test_groups_that_overlap_are_left_out():
    parents, left_out = nest_groups({"a": frozenset((0, 1, 2)), "b": frozenset((2, 3)), "c": frozenset((0, 1))})
    assert parents == {"a": None, "c": "a"}
    assert left_out == ["b"]


def test_panels_stay_where_they_are_on_nested_nodes():
    lines = ["clen = 0.1", "res = 1e4", "rigid_group_q0 = p0,p1,p2,p3", "rigid_group_a0 = p0,p1"]
    for i in range(4):
        lines += [f"p{i}/min_fs = 0", f"p{i}/max_fs = 9", f"p{i}/min_ss = 0", f"p{i}/max_ss = 4",
                  f"p{i}/corner_x = {13.7 * i}", f"p{i}/corner_y = {-3.1 * i}", f"p{i}/coffset = {0.001 * i}"]
    geometry = parse_crystfel_geometry("\n".join(lines))
    detector = build_geometry_detector(geometry)
    for i in range(4):
        wanted = [-1.37 * i, -0.31 * i, -100.0 - i]
        assert np.allclose(detector.d_matrix(i)[:, 2], wanted, atol=1e-12)
    # A group of all panels is the root itself.
    assert [child.get("name") for child in detector.hierarchy["children"]] == ["a0", None, None]
    assert list_groups(detector) == {"a0": ("p0", "p1"), "all": ("a0", "p2", "p3")}
