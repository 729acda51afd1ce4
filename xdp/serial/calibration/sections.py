"""Sections of a detector: the panels that share an offset, such as the two chips of a sensor."""

from __future__ import annotations

from typing import Any

from xdp.experiment import Detector


def list_sections(detector: Detector | None, n_panels: int) -> list[tuple[int, ...]]:
    """List the panels of each section.

    Parameters
    ----------
    detector : Detector or None
        Panels on the same innermost node of the hierarchy are a section; those right on the root are one each.
    n_panels : int
        Where there is no detector, each panel is a section.

    Returns
    -------
    list of tuple of int
        Indices of panels, each once.

    Examples
    --------
    >>> list_sections(None, 3)
    [(0,), (1,), (2,)]
    """
    if detector is None or detector.hierarchy is None:
        return [(i,) for i in range(n_panels)]
    sections: list[tuple[int, ...]] = []
    _walk_nodes(detector.hierarchy, sections, is_root=True)
    return sorted(sections)


def _walk_nodes(node: dict[str, Any], sections: list[tuple[int, ...]], is_root: bool) -> None:
    """Add the sections below a node."""
    own = tuple(sorted(child["panel"] for child in node["children"] if "panel" in child))
    # The root carries whole detectors: its panels have nothing else in common.
    sections += [(i,) for i in own] if is_root else [own] if own else []
    for child in node["children"]:
        if "panel" not in child:
            _walk_nodes(child, sections, is_root=False)
