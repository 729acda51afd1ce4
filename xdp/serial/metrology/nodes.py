"""The groups of panels that a level of the detector's tree moves, and what moving them makes of the detector.

Level 0 is the root, level 1 its children, and so on. A branch that ends earlier stays as it is at deeper levels: its
last node, or its panel, is a group there, too. The detector of a file without a tree has its panels at level 1.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xdp.experiment.detector import Detector, flat_hierarchy, move_panels
from xdp.experiment.hierarchy import IDENTITY_MOUNT, compose_frames, local_frame

_PARALLEL = 1e-6  # of two unit vectors: the sine of the angle below which they span no plane


@dataclass(frozen=True)
class PanelGroup:
    """Panels that move as one body.

    Attributes
    ----------
    name : str
        Of the node, or of the panel.
    panels : (n,) of int
        The panels.
    parent : int
        The number of the group's parent among the nodes of the level above; 0 at the root.
    path : tuple of int
        The children to follow from the root of the tree to the node.
    axes : (3, 3)
        Rows: unit normal, fast and slow direction in the laboratory.
    pivot : (3,)
        The middle of its panels, mm.
    """

    name: str
    panels: np.ndarray
    parent: int
    path: tuple[int, ...]
    axes: np.ndarray
    pivot: np.ndarray


@dataclass(frozen=True)
class Motion:
    """Where a group has moved: a point r goes to turn (r - start) + pivot.

    Attributes
    ----------
    turn : (3, 3)
        Rotation.
    start, pivot : (3,)
        The group's pivot before and after, mm.
    """

    turn: np.ndarray
    start: np.ndarray
    pivot: np.ndarray

    def move(self, frame: np.ndarray) -> np.ndarray:
        """Move a frame (3, 3): columns fast, slow, origin (mm), in the laboratory."""
        moved = self.turn @ np.column_stack([frame[:, :2], frame[:, 2] - self.start])
        moved[:, 2] += self.pivot
        return moved


def _find_children(node: dict[str, Any]) -> list[dict[str, Any]]:
    return list(node.get("children", ()))


def _list_panels(node: dict[str, Any]) -> list[int]:
    """The panels below a node, or the one that it is."""
    if "panel" in node:
        return [int(node["panel"])]
    return [panel for child in _find_children(node) for panel in _list_panels(child)]


def count_levels(detector: Detector) -> int:
    """Count the levels of a detector's tree, panels included: a detector in one piece has 2.

    Examples
    --------
    >>> from xdp.simulation.models import make_detector
    >>> count_levels(make_detector((300, 260)))
    2
    """
    def depth(node: dict[str, Any]) -> int:
        return 1 + max((depth(child) for child in _find_children(node)), default=0)

    return depth(_get_tree(detector))


def _get_tree(detector: Detector) -> dict[str, Any]:
    return detector.hierarchy if detector.hierarchy is not None else flat_hierarchy(len(detector))


def find_groups(detector: Detector, level: int) -> list[PanelGroup]:
    """Find the groups of a level.

    Parameters
    ----------
    detector : Detector
        With or without a tree.
    level : int
        From 0, the root.

    Returns
    -------
    list of PanelGroup
        In the order of the tree; nodes without panels are left out.

    Examples
    --------
    >>> from xdp.simulation.models import make_detector
    >>> [group.panels.tolist() for group in find_groups(make_detector((300, 260)), 1)]
    [[0]]
    """
    here: list[tuple[dict[str, Any], tuple[int, ...], int]] = [(_get_tree(detector), (), 0)]
    for _ in range(level):
        below = []
        for number, (node, path, _parent) in enumerate(here):
            children = [(child, (*path, i), number) for i, child in enumerate(_find_children(node))
                        if _list_panels(child)]
            # a branch that ends here goes on as it is
            below += children or [(node, path, number)]
        here = below
    return [_make_group(detector, node, path, parent) for node, path, parent in here]


def _make_group(detector: Detector, node: dict[str, Any], path: tuple[int, ...], parent: int) -> PanelGroup:
    """A group of the panels below a node, with the axes of the node, or of its panels where it has no frame."""
    panels = np.array(_list_panels(node))
    centres = np.array([find_panel_centre(detector, int(p)) for p in panels])
    frame = detector.d_matrix(int(panels[0]))
    if "panel" not in node and "origin" in node:
        frame = find_node_frame(_get_tree(detector), path)[:, [0, 1, 3]]
    normal = np.cross(frame[:, 0], frame[:, 1])
    name = detector[int(panels[0])].name if "panel" in node else str(node.get("name", ""))
    return PanelGroup(name or f"group {'.'.join(map(str, path)) or 'root'}", panels, parent, path,
                      np.stack([normal, frame[:, 0], frame[:, 1]]), centres.mean(axis=0))


def find_panel_centre(detector: Detector, panel: int) -> np.ndarray:
    """Find the middle of a panel (3,) in the laboratory, mm."""
    width, height = detector[panel].image_size_mm
    return detector.d_matrix(panel) @ np.array([0.5 * width, 0.5 * height, 1.0])


def find_node_frame(root: dict[str, Any], path: tuple[int, ...]) -> np.ndarray:
    """Find the laboratory frame (3, 4) of a node: columns fast, slow, normal, origin (mm).

    Parameters
    ----------
    root : dict
        The tree.
    path : tuple of int
        The children to follow.
    """
    frame, node = IDENTITY_MOUNT, root
    for step in (None, *path):
        node = node if step is None else _find_children(node)[step]
        if "origin" in node:
            d = compose_frames(frame, local_frame(node["fast_axis"], node["slow_axis"], node["origin"]))
            frame = np.column_stack([d[:, 0], d[:, 1], np.cross(d[:, 0], d[:, 1]), d[:, 2]])
    return frame


def move_groups(detector: Detector, groups: list[PanelGroup], motions: list[Motion]) -> Detector:
    """Move groups of panels: of nodes the frame of the node, of single panels their own.

    Parameters
    ----------
    detector : Detector
        Before.
    groups : list of PanelGroup
        Of one level (:func:`find_groups`).
    motions : list of Motion
        For each group.

    Returns
    -------
    Detector
    """
    tree = copy.deepcopy(detector.hierarchy)
    frames = [np.array(detector.d_matrix(i)) for i in range(len(detector))]
    for group, motion in zip(groups, motions, strict=True):
        for panel in group.panels:
            frames[panel] = motion.move(frames[panel])
        if tree is not None:
            _move_node(tree, group.path, motion)
    # panels keep their frames within their nodes where the node itself could move
    moved = replace(detector, hierarchy=tree)
    # whatever is no node's (a panel that is a group, a node without a frame) is taken up by the panels' own frames
    off = [np.abs(moved.d_matrix(i) - frames[i]).max() for i in range(len(frames))]
    return moved if max(off) < _PARALLEL * 1e-6 else move_panels(moved, frames)


def _move_node(tree: dict[str, Any], path: tuple[int, ...], motion: Motion) -> None:
    """Write the new frame of a node, in the frame of its parent, into the tree."""
    node = tree
    for step in path:
        node = node["children"][step]
    if "panel" in node or "origin" not in node:
        return
    now = find_node_frame(tree, path)
    moved = motion.move(now[:, [0, 1, 3]])
    parent = find_node_frame(tree, path[:-1]) if path else IDENTITY_MOUNT
    local = parent[:, :3].T @ np.column_stack([moved[:, 0], moved[:, 1], moved[:, 2] - parent[:, 3]])
    for key, column in (("fast_axis", 0), ("slow_axis", 1), ("origin", 2)):
        node[key] = [float(v) for v in local[:, column]]


def average_detectors(detectors: list[Detector]) -> Detector:
    """Average detectors of the same panels: the place of each panel, with its axes at right angles.

    Parameters
    ----------
    detectors : list of Detector
        At least one; the tree and all else are those of the first.

    Returns
    -------
    Detector
    """
    first = detectors[0]
    if len(detectors) == 1:
        return first
    frames = []
    for i in range(len(first)):
        mean = np.mean([d.d_matrix(i) for d in detectors], axis=0)
        fast = mean[:, 0] / np.linalg.norm(mean[:, 0])
        # the mean of two turned axes is shorter than one and not quite at a right angle to the other
        slow = mean[:, 1] - fast * (fast @ mean[:, 1])
        frames.append(np.column_stack([fast, slow / np.linalg.norm(slow), mean[:, 2]]))
    return move_panels(first, frames)


def fit_motion(before: np.ndarray, after: np.ndarray, pivot: np.ndarray) -> Motion:
    """Fit a rigid motion to points by least squares.

    Parameters
    ----------
    before, after : (n, 3)
        The points, mm; not all on a line.
    pivot : (3,)
        About which the motion is written, mm.

    Returns
    -------
    Motion

    References
    ----------
    Kabsch (1976) Acta Cryst. A32, 922.

    Examples
    --------
    >>> points = np.eye(3)
    >>> fit_motion(points, points + 1.0, np.zeros(3)).pivot.round(9).tolist()
    [1.0, 1.0, 1.0]
    """
    middle, there = before.mean(axis=0), after.mean(axis=0)
    left, _, right = np.linalg.svd((before - middle).T @ (after - there))
    # a reflection may fit better than a rotation, but panels do not turn inside out
    sign = np.sign(np.linalg.det(left @ right))
    turn = (left @ np.diag([1.0, 1.0, sign]) @ right).T
    return Motion(turn, pivot, turn @ (pivot - middle) + there)
