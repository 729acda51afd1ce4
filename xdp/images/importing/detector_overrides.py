"""The user's detector geometry: panels, the hierarchy's frames, distance, and the beam centre in its conventions."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np

from xdp.errors import OptionError
from xdp.experiment import Beam, Detector, Panel
from xdp.experiment.detector import PARALLAX, SIMPLE, flat_hierarchy
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.experiment.materials import attenuation_coefficient
from xdp.images.importing.options import DetectorOverride, GroupOverride, HierarchyOverride, PanelOverride

TWO_THETA_LIMIT = math.radians(5.0)
"""A detector this much off square to the beam stands on a 2theta arm: beam centres are given for 2theta = 0.

The angle is that of dxtbx."""

# Fields of a panel that are taken as they are given, and those of its frame, which must fit each other.
_PLAIN = ("name", "type", "gain", "pedestal", "pixel_size", "image_size", "trusted_range", "thickness", "material")
_FRAME = ("fast_axis", "slow_axis", "origin")


def override_detector(detector: Detector | None, override: DetectorOverride, beam: Beam | None) -> Detector | None:
    """Override the detector: panels, frames of the hierarchy, distance and beam centre, in this order.

    Parameters
    ----------
    detector : Detector or None
        Of the header.
    override : DetectorOverride
        Values that take the place of the header's.
    beam : Beam or None
        Overridden already: attenuation follows its wavelength, a beam centre its direction.

    Returns
    -------
    Detector or None
        Without a detector in the header, panels with pixel size, image size and trusted range make one; None where
        there is neither.

    Raises
    ------
    OptionError
        If the values do not fit each other or the header's detector.
    """
    panels = _merge_entries(override.panel)
    if detector is None:
        if not panels:
            return None
        detector = _make_detector(panels, beam)
    else:
        detector = _change_panels(detector, panels, beam)
    detector = _change_hierarchy(detector, override.hierarchy)
    if override.distance is not None:
        detector = set_distance(detector, override.distance, beam)
    centre = _read_beam_centre(detector, override)
    # The centre comes last: it holds at the distance and on the frames that were given.
    if centre is None:
        return detector
    if beam is None:
        raise OptionError("a beam centre needs a beam: give geometry.beam.wavelength")
    return set_beam_centre(detector, beam, *centre)


def _merge_entries(overrides: tuple[PanelOverride, ...]) -> tuple[PanelOverride, ...]:
    """Make one entry a panel: on a command line each ``panel.name=value`` is an entry of its own; later ones win."""
    merged: dict[int, PanelOverride] = {}
    for entry in overrides:
        given = {name: value for name, value in dict(entry).items() if value is not None}
        merged[entry.id] = merged[entry.id].model_copy(update=given) if entry.id in merged else entry
    return tuple(merged.values())


def _make_detector(overrides: tuple[PanelOverride, ...], beam: Beam | None) -> Detector:
    """Make a detector of the user's panels alone."""
    panels: dict[int, Panel] = {}
    for entry in overrides:
        for name in ("pixel_size", "image_size", "trusted_range"):
            if getattr(entry, name) is None:
                raise OptionError(f"geometry.detector.panel.{name} must be given: the image header has no detector")
        frame = {"fast_axis": entry.fast_axis or (1.0, 0.0, 0.0), "slow_axis": entry.slow_axis or (0.0, 1.0, 0.0),
                 "origin": entry.origin or (0.0, 0.0, 0.0)}
        # Fields that must be there are overridden with the user's below.
        blank = Panel(frame["fast_axis"], frame["slow_axis"], frame["origin"], (1, 1), (1.0, 1.0), name="", type="")
        panels[entry.id] = _change_panel(blank, entry, beam)
    if sorted(panels) != list(range(len(panels))):
        raise OptionError(f"geometry.detector.panel.id must count from 0 without a gap, got {sorted(panels)}")
    return Detector(tuple(panels[i] for i in range(len(panels))))


def _change_panels(detector: Detector, overrides: tuple[PanelOverride, ...], beam: Beam | None) -> Detector:
    """Change the panels that the user names."""
    panels = [_update_attenuation(panel, beam) for panel in detector]
    for entry in overrides:
        if entry.id >= len(panels):
            raise OptionError(f"geometry.detector.panel.id must be below {len(panels)}, got {entry.id}")
        panels[entry.id] = _change_panel(panels[entry.id], entry, beam)
    return dataclasses.replace(detector, panels=tuple(panels))


def _update_attenuation(panel: Panel, beam: Beam | None) -> Panel:
    """The panel with the attenuation coefficient at the beam's wavelength, which may have been overridden."""
    if panel.mu > 0.0 and panel.material and beam is not None:
        return dataclasses.replace(panel, mu=attenuation_coefficient(panel.material, beam.wavelength))
    return panel


def _change_panel(panel: Panel, entry: PanelOverride, beam: Beam | None) -> Panel:
    """Change a panel, and check that it makes sense as a whole."""
    values = {name: value for name in (*_PLAIN, *_FRAME) if (value := getattr(entry, name)) is not None}
    panel = _check_frame(dataclasses.replace(panel, **values), "geometry.detector.panel")
    # A wrong order would mask all pixels.
    low, high = panel.trusted_range
    if not low <= high:
        raise OptionError(f"geometry.detector.panel.trusted_range must be low,high, got {low:g},{high:g}")
    corrects = panel.px_mm_strategy == PARALLAX if entry.parallax_correction is None else entry.parallax_correction
    if not corrects:
        return dataclasses.replace(panel, px_mm_strategy=SIMPLE)
    if not panel.material or panel.thickness <= 0.0 or beam is None:
        # What the header had stays as it was; what the user asks for cannot be.
        if entry.parallax_correction is None:
            return panel
        raise OptionError("geometry.detector.panel.parallax_correction needs a material, a thickness and a wavelength")
    mu = attenuation_coefficient(panel.material, beam.wavelength)
    return dataclasses.replace(panel, mu=mu, px_mm_strategy=PARALLAX)


def _check_frame(panel: Panel, name: str) -> Panel:
    """The panel with axes of length 1, which must make a right angle; `name` is that of the parameter."""
    fast, slow = np.asarray(panel.fast_axis, float), np.asarray(panel.slow_axis, float)
    lengths = np.linalg.norm(fast), np.linalg.norm(slow)
    if min(lengths) == 0.0 or abs(fast @ slow) > 1e-6 * lengths[0] * lengths[1]:
        raise OptionError(f"{name}: fast_axis {panel.fast_axis} and slow_axis {panel.slow_axis} make no right angle")
    return dataclasses.replace(panel, fast_axis=tuple((fast / lengths[0]).tolist()),
                               slow_axis=tuple((slow / lengths[1]).tolist()))


def _copy_root(detector: Detector) -> dict[str, Any]:
    """A copy of the hierarchy that may be changed."""
    return copy.deepcopy(detector.hierarchy) if detector.hierarchy is not None else flat_hierarchy(len(detector))


def _change_hierarchy(detector: Detector, override: HierarchyOverride) -> Detector:
    """Change the root of the hierarchy, and the nodes below it that the user names."""
    if override == HierarchyOverride():
        return detector
    root = _copy_root(detector)
    _change_node(root, override)
    for group in override.group:
        if group.panel:
            raise OptionError("geometry.detector.hierarchy.group.panel: panels cannot be put on other groups")
        # From the root one index for each level; panels are the leaves.
        node = root
        for index in group.id or ():
            children = node.get("children", [])
            if not 0 <= index < len(children) or "panel" in children[index]:
                raise OptionError(f"geometry.detector.hierarchy.group.id {group.id} is not in the hierarchy")
            node = children[index]
        _change_node(node, group)
    return dataclasses.replace(detector, hierarchy=root)


def _change_node(node: dict[str, Any], override: HierarchyOverride | GroupOverride) -> None:
    """Change name and frame of a node, in place."""
    for name in ("name", *_FRAME):
        if (value := getattr(override, name)) is not None:
            node[name] = value if name == "name" else [float(v) for v in value]


def set_distance(detector: Detector, distance: float, beam: Beam | None = None) -> Detector:
    """Move a detector along its normal.

    Parameters
    ----------
    detector : Detector
        Of one panel; or of several, which keep their places to each other.
    distance : float
        From the sample to the plane of the panel that is nearest to the direct beam, mm.
    beam : Beam, optional
        Whose direction counts; by default it is along -z.

    Returns
    -------
    Detector
    """
    index = 0 if len(detector) == 1 else _find_panel_nearest(detector, Beam.along_z(1.0) if beam is None else beam)
    frame = detector.d_matrix(index)
    normal = np.cross(frame[:, 0], frame[:, 1])
    origin = frame[:, 2]
    # The normal may point to the sample or away from it: the panel stays on its side.
    shift = (distance if origin @ normal >= 0.0 else -distance) - origin @ normal
    if len(detector) > 1:
        root = _copy_root(detector)
        root["origin"] = [float(v) for v in np.asarray(root["origin"]) + shift * normal]
        return dataclasses.replace(detector, hierarchy=root)
    panel = detector[0]
    moved = _convert_to_parent(detector, shift * normal)
    return dataclasses.replace(detector, panels=(dataclasses.replace(
        panel, origin=tuple((np.asarray(panel.origin) + moved).tolist())),))


def compute_distance(detector: Detector, beam: Beam | None = None) -> float:
    """Compute the distance that :func:`set_distance` sets.

    Parameters
    ----------
    detector : Detector
        Of one panel or several.
    beam : Beam, optional
        Whose direction counts; by default it is along -z.

    Returns
    -------
    float
        From the sample to the plane of the panel that is nearest to the direct beam, mm.
    """
    index = 0 if len(detector) == 1 else _find_panel_nearest(detector, Beam.along_z(1.0) if beam is None else beam)
    return detector[index].distance


def _find_panel_nearest(detector: Detector, beam: Beam) -> int:
    """The panel that the direct beam meets, else the one whose middle is in the direction nearest to it."""
    s0 = beam.unit_s0
    directions = []
    for i, panel in enumerate(detector):
        if _is_met(detector, i, s0):
            return i
        size = np.multiply(panel.image_size, panel.pixel_size)
        middle = detector.d_matrix(i) @ np.array([0.5 * size[0], 0.5 * size[1], 1.0])
        directions.append(float(middle @ s0) / max(float(np.linalg.norm(middle)), 1e-9))
    return int(np.argmax(directions))


def _convert_to_parent(detector: Detector, vector: np.ndarray) -> np.ndarray:
    """A lab vector in the frame of the first panel's parent."""
    # Two frames of the same panel, orthonormal: the parent's, and the lab's.
    panel = detector[0]
    fast, slow = np.asarray(panel.fast_axis), np.asarray(panel.slow_axis)
    local = np.column_stack([fast, slow, np.cross(fast, slow)])
    frame = detector.d_matrix(0)
    lab = np.column_stack([frame[:, 0], frame[:, 1], np.cross(frame[:, 0], frame[:, 1])])
    return local @ lab.T @ vector


def _read_beam_centre(detector: Detector, override: DetectorOverride) -> tuple[tuple[float, float], int | None] | None:
    """Read the user's beam centre as (fast, slow) mm, and the panel it is on where the user says so."""
    if override.fast_slow_beam_centre is not None and override.slow_fast_beam_centre is not None:
        raise OptionError("only one of fast_slow_beam_centre and slow_fast_beam_centre may be given")
    values: tuple[float, ...] | None = override.fast_slow_beam_centre
    for name in ("fast_slow_beam_centre", "slow_fast_beam_centre"):
        given = getattr(override, name)
        if given is not None and len(given) not in (2, 3):
            raise OptionError(f"{name} wants two pixel positions, and the panel as a third number if that is not the "
                              f"first panel; got {len(given)} numbers")
    if override.slow_fast_beam_centre is not None:
        slow, fast, *rest = override.slow_fast_beam_centre
        values = (fast, slow, *rest)
    if values is not None:
        panel = int(values[2]) if len(values) > 2 else 0
        if not 0 <= panel < len(detector) or (len(values) > 2 and panel != values[2]):
            raise OptionError(f"the beam centre's panel must be a whole number below {len(detector)}, got {values[2]}")
        size = detector[panel].pixel_size
        return (values[0] * size[0], values[1] * size[1]), panel
    # Mosflm's x runs along slow, y along fast.
    if override.mosflm_beam_centre is not None:
        slow_mm, fast_mm = override.mosflm_beam_centre
        return (fast_mm, slow_mm), None
    return None


def set_beam_centre(detector: Detector, beam: Beam, centre: tuple[float, float], panel: int | None = None) -> Detector:
    """Shift the whole detector so that the direct beam meets a panel at `centre`.

    A detector on a 2theta arm is turned back to face the beam, shifted, and turned out again.

    Parameters
    ----------
    detector : Detector
        Shifted as a whole: its panels keep their places.
    beam : Beam
        Whose direction counts.
    centre : (fast, slow)
        In mm, from the corner of the panel's first pixel.
    panel : int, optional
        The panel; by default the one that the beam meets, or the first.

    Returns
    -------
    Detector

    Raises
    ------
    OptionError
        If the beam lies in the plane of the panel.
    """
    s0 = beam.unit_s0
    index = _find_panel_met(detector, s0) if panel is None else panel
    turn = _find_arm_rotation(detector, index, s0)
    root = _copy_root(detector)
    _turn(root, turn.T)
    facing = dataclasses.replace(detector, hierarchy=root)
    frame = facing.d_matrix(index)
    normal = np.cross(frame[:, 0], frame[:, 1])
    if abs(s0 @ normal) < math.sin(math.radians(0.1)):
        raise OptionError("the beam lies in the plane of the panel: it has no beam centre")
    # Where the beam meets the panel's plane; there the point `centre` of the panel must come.
    target = (frame[:, 2] @ normal) / (s0 @ normal) * s0
    shift = target - frame @ np.array([*centre, 1.0])
    root["origin"] = [float(v) for v in np.asarray(root["origin"]) + shift]
    _turn(root, turn)
    return dataclasses.replace(detector, hierarchy=root)


def _find_panel_met(detector: Detector, s0: np.ndarray) -> int:
    """The first panel that the direct beam meets, or 0."""
    return next((i for i in range(len(detector)) if _is_met(detector, i, s0)), 0)


def _is_met(detector: Detector, index: int, s0: np.ndarray) -> bool:
    """Whether the direct beam meets a panel."""
    # d v = s0 with v = (x, y, 1) w: mm on the panel, and w > 0 in the direction of the beam.
    x, y, w = np.linalg.solve(detector.d_matrix(index), s0)
    size = np.multiply(detector[index].image_size, detector[index].pixel_size)
    return bool(w > 0.0 and 0.0 <= x / w < size[0] and 0.0 <= y / w < size[1])


def _find_arm_rotation(detector: Detector, index: int, s0: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) of a 2theta arm, by the angle between beam and normal; unity below 5 degrees."""
    frame = detector.d_matrix(index)
    normal = np.cross(frame[:, 0], frame[:, 1])
    if normal @ s0 < 0.0:
        normal = -normal
    axis = np.cross(s0, normal)
    angle = math.atan2(float(np.linalg.norm(axis)), float(s0 @ normal))
    if angle < TWO_THETA_LIMIT:
        return np.eye(3)
    return axis_angle_matrix(axis, math.degrees(angle))


def _turn(node: dict[str, Any], rotation: np.ndarray) -> None:
    """Turn a node of the hierarchy about the sample."""
    if not np.array_equal(rotation, np.eye(3)):
        for name in _FRAME:
            node[name] = [float(v) for v in rotation @ np.asarray(node[name], dtype=np.float64)]
