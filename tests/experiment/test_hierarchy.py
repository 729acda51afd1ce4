"""The tree of frames that panels are mounted on."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.experiment.hierarchy import IDENTITY_MOUNT, check_hierarchy, compose_frames, find_mounts, local_frame

ARM = {"fast_axis": [0, 1, 0], "slow_axis": [-1, 0, 0], "origin": [0, 0, -50]}


def test_a_local_frame_has_unit_axes_and_their_normal():
    frame = local_frame((2.0, 0.0, 0.0), (0.0, -3.0, 0.0), (1.0, 2.0, 3.0))
    np.testing.assert_array_equal(frame, [[1, 0, 0, 1], [0, -1, 0, 2], [0, 0, -1, 3]])


def test_an_axis_of_no_length_has_no_frame():
    # Without a warning of NumPy: who uses the frame says what is wrong.
    assert np.isnan(local_frame((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))[:, 0]).all()


def test_a_mounted_frame_turns_with_its_parent():
    parent = local_frame((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, -50.0))  # x -> y, y -> -x
    d = compose_frames(parent, local_frame((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 2.0, 0.0)))
    np.testing.assert_array_equal(d, [[0, -1, -2], [1, 0, 1], [0, 0, -50]])


def test_a_node_without_a_frame_hands_down_that_of_its_parent():
    tree = {"children": [{"panel": 1}, ARM | {"children": [{"children": [{"panel": 0}]}]}]}
    mounts = dict(find_mounts(tree, IDENTITY_MOUNT))
    np.testing.assert_array_equal(mounts[1], IDENTITY_MOUNT)
    np.testing.assert_array_equal(mounts[0], [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, -50]])


@pytest.mark.parametrize(("tree", "message"), [
    ({"children": [{"panel": 0}]}, "each of the 2 panels once"),
    ({"children": [{"panel": 0}, {"panel": 1}, {"panel": 1}]}, "each of the 2 panels once"),
    ({"children": [{"panel": 0}, ARM | {"slow_axis": [0, 1, 1], "children": [{"panel": 1}]}]}, "right angles"),
    ({"children": {"panel": 0}}, "'children' must be a list")])
def test_a_damaged_tree_is_refused(tree, message):
    with pytest.raises(FormatError, match=message):
        check_hierarchy(tree, 2, "detector")
