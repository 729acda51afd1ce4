"""From the groups of a CrystFEL geometry to the hierarchy of a detector, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from xdp.experiment import Detector, Panel
from xdp.experiment.detector import flat_hierarchy
from xdp.images.geometry_files.crystfel import CrystFELGeometry

# CrystFEL's name of the group of all panels.
_ALL = "all"


def expand_groups(groups: Mapping[str, Sequence[str]], panels: Sequence[str]) -> dict[str, frozenset[int]]:
    """Find the panels of each group, those of groups within it included.

    Parameters
    ----------
    groups : mapping of str to names
        Without circles; a name that a panel and a group have is that of the panel.
    panels : sequence of str
        Names, in order.

    Returns
    -------
    dict of str to frozenset of int
        Indices of panels.

    Examples
    --------
    >>> sorted(expand_groups({"a": ("p0",), "q": ("a", "p1")}, ["p0", "p1"])["q"])
    [0, 1]
    """
    index = {name: i for i, name in enumerate(panels)}
    found: dict[str, frozenset[int]] = {}
    waiting = list(groups)
    # Groups may be named before those that they hold; each round settles some.
    while waiting:
        rest = []
        for name in waiting:
            members = groups[name]
            if all(m in index or m in found for m in members):
                found[name] = frozenset().union(*(({index[m]} if m in index else found[m]) for m in members))
            else:
                rest.append(name)
        if len(rest) == len(waiting):
            break
        waiting = rest
    return found


def nest_groups(sets: Mapping[str, frozenset[int]]) -> tuple[dict[str, str | None], list[str]]:
    """Find the smallest group around each group.

    Parameters
    ----------
    sets : mapping of str to frozenset of int
        Panels of each group.

    Returns
    -------
    parents : dict of str to str or None
        Name of the group around each group; None: there is none.
    left_out : list of str
        Groups that share panels with another one without being within it or around it.
    """
    # The large ones first, in the order of the file where they are equal.
    order = sorted(sets, key=lambda name: -len(sets[name]))
    parents: dict[str, str | None] = {}
    left_out = []
    for name in order:
        around = [other for other in parents if sets[name] <= sets[other]]
        if any(sets[name] & sets[other] and not sets[name] <= sets[other] for other in parents):
            left_out.append(name)
            continue
        parents[name] = around[-1] if around else None
    return parents, left_out


def build_hierarchy(geometry: CrystFELGeometry, panels: Sequence[Panel]) -> dict[str, Any]:
    """Build the hierarchy of a detector: a node for each group, at the middle of its panels.

    Parameters
    ----------
    geometry : CrystFELGeometry
        Whose groups become nodes; groups that cannot be nested are left out.
    panels : sequence of Panel
        In the laboratory.

    Returns
    -------
    dict
        The root, whose origin is on the beam at the mean distance; axes of all nodes are those of the laboratory.
    """
    sets = expand_groups(geometry.groups, [panel.name for panel in geometry.panels])
    everything = frozenset(range(len(panels)))
    sets = {name: members for name, members in sets.items() if members != everything}
    parents, _ = nest_groups(sets)
    centres = np.array([_find_centre(panel) for panel in panels])
    # The root carries the distance, so that moving it moves all.
    root = _make_node(_ALL if _ALL in geometry.groups else "", np.array([0.0, 0.0, centres[:, 2].mean()]))
    nodes: dict[str | None, tuple[dict[str, Any], np.ndarray]] = {None: (root, np.asarray(root["origin"]))}
    for name, parent in parents.items():
        place = centres[sorted(sets[name])].mean(axis=0)
        above, origin = nodes[parent]
        node = _make_node(name, place - origin)
        above["children"].append(node)
        nodes[name] = node, origin + np.asarray(node["origin"])
    for i in range(len(panels)):
        # The smallest group that holds the panel is the last one in this order.
        holders = [name for name in parents if i in sets[name]]
        nodes[holders[-1] if holders else None][0]["children"].append({"panel": i})
    return root


def _find_centre(panel: Panel) -> np.ndarray:
    """The middle of a panel, mm."""
    size = np.multiply(panel.image_size, panel.pixel_size)
    return panel.d_matrix @ np.array([0.5 * size[0], 0.5 * size[1], 1.0])


def _make_node(name: str, origin: np.ndarray) -> dict[str, Any]:
    """A node without children, with the axes of the laboratory."""
    node = flat_hierarchy(0)
    node.update(name=name, origin=[float(v) for v in origin], children=[])
    return node


def list_groups(detector: Detector) -> dict[str, tuple[str, ...]]:
    """List the groups of a detector's hierarchy, as CrystFEL names them.

    Parameters
    ----------
    detector : Detector
        With a hierarchy, or without.

    Returns
    -------
    dict of str to tuple of str
        Names of the panels or groups that each node carries; those within come first.
    """
    names = [panel.name for panel in detector]
    groups: dict[str, tuple[str, ...]] = {}
    if detector.hierarchy is not None:
        for name, members in _walk(detector.hierarchy, names, [0]):
            groups[name] = members
    return groups


def _walk(node: dict[str, Any], panels: Sequence[str], count: list[int],
          is_root: bool = True) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The groups below a node, and last its own; the root has one only where it carries more than panels."""
    members: list[str] = []
    inner = False
    for child in node["children"]:
        if "panel" in child:
            members.append(panels[child["panel"]])
            continue
        inner = True
        last = ""
        for name, found in _walk(child, panels, count, is_root=False):
            yield name, found
            last = name
        if last:
            members.append(last)
    if not members or (is_root and not inner):
        return
    name = _ALL if is_root else _clean(str(node.get("name", "")))
    if not name or (name == _ALL and not is_root):
        name = f"g{count[0]}"
    count[0] += 1
    yield name, tuple(members)


def _clean(name: str) -> str:
    """A name that CrystFEL takes."""
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
