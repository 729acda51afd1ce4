"""The tree of frames that panels are mounted on, as DIALS' files have it.

A node is a dictionary with a frame (``fast_axis``, ``slow_axis``, ``origin`` in mm, all in the frame of its parent) and
``children``: nodes, or ``{"panel": index}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.experiment._fields import Fields, axis

#: The lab frame as a mount: unit axes, no shift.
IDENTITY_MOUNT = np.hstack([np.eye(3), np.zeros((3, 1))])




def local_frame(fast: tuple[float, ...], slow: tuple[float, ...], origin: tuple[float, ...]) -> np.ndarray:
    """The frame that two axes and an origin make.

    Parameters
    ----------
    fast, slow : (3,)
        Axes at right angles, of any length.
    origin : (3,)
        Millimetres.

    Returns
    -------
    array (3, 4)
        Columns: unit fast axis, unit slow axis, normal, origin.
    """
    f = np.asarray(fast, dtype=np.float64)
    s = np.asarray(slow, dtype=np.float64)
    # An axis of length 0, as a damaged file has it, gives NaN: who uses the frame finds it to be no geometry.
    with np.errstate(divide="ignore", invalid="ignore"):
        f, s = f / np.linalg.norm(f), s / np.linalg.norm(s)
    return np.column_stack([f, s, np.cross(f, s), np.asarray(origin, dtype=np.float64)])


def compose_frames(parent: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Mount a local frame on another one.

    Parameters
    ----------
    parent, local : array (3, 4)
        As :func:`local_frame` gives them.

    Returns
    -------
    array (3, 3)
        Columns: fast axis, slow axis and origin, in the frame that `parent` is in.
    """
    # d = P [f s o] + [0 0 p], with P the parent's axes and p its origin
    axes = parent[:, :3] @ local[:, :2]
    return np.column_stack([axes, parent[:, 3] + parent[:, :3] @ local[:, 3]])


def find_mounts(node: dict[str, Any], parent: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Find what each panel is mounted on.

    Parameters
    ----------
    node : dict
        A node of the tree.
    parent : array (3, 4)
        The lab frame of the node above it.

    Yields
    ------
    int, array (3, 4)
        A panel's index, and the lab frame of its node.
    """
    frame = parent
    if "origin" in node:  # a node may group panels without a frame of its own
        d = compose_frames(parent, local_frame(node["fast_axis"], node["slow_axis"], node["origin"]))
        frame = np.column_stack([d[:, 0], d[:, 1], np.cross(d[:, 0], d[:, 1]), d[:, 2]])
    for child in node["children"]:
        if "panel" in child:
            yield child["panel"], frame
        else:
            yield from find_mounts(child, frame)


def read_frame(fields: Fields) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Fast axis, slow axis and origin of a frame; axes must be non-zero and at right angles."""
    fast, slow, origin = axis(fields, "fast_axis"), axis(fields, "slow_axis"), fields.vector("origin", 3)
    frame = local_frame(fast, slow, origin)
    # 1e-6 is 0.2 arc seconds: what rounding to six decimals, as programs print axes, may leave.
    if abs(float(frame[:, 0] @ frame[:, 1])) > 1e-6:
        raise FormatError(f"{fields.where}: fast_axis {fast} and slow_axis {slow} are not at right angles")
    return fast, slow, origin


def check_hierarchy(root: dict[str, Any], n_panels: int, where: str) -> None:
    """Check the tree of a file.

    Raises
    ------
    FormatError
        Unless each of the panels hangs on the tree exactly once, and each node's axes are at right angles.
    """
    found = sorted(_check_leaves(root, where))
    if found != list(range(n_panels)):
        raise FormatError(f"{where}: the hierarchy must hold each of the {n_panels} panels once, got {found[:20]}")


def _check_leaves(node: object, where: str) -> Iterator[int]:
    """The panels below a node, whose frames are checked on the way."""
    fields = Fields(node, f"{where}, hierarchy")
    if "panel" in fields:
        yield fields.integer("panel")
        return
    if "origin" in fields:
        read_frame(fields)
    children = fields.take("children")
    if not isinstance(children, list):
        raise FormatError(f"{where}, hierarchy: 'children' must be a list")
    for child in children:
        yield from _check_leaves(child, where)
