"""LCLS geometry files (``0-end.data``): a tree of objects, each with a place and angles in the frame of its parent.

An object's coordinates are turned about z, then y, then x (design angle plus tilt each), then shifted. Pixels of a
segment lie about its middle: columns along x, rows against y (along y on ``JUNGFRAU:V2``). On ``PNCCD:V1`` and ``MTRX``
without ``V2`` rows run along x and columns along y, from the first pixel.

As in cctbx.xfel, the axes are taken for those of DIALS' laboratory; the distance of the outermost object, which these
files give with either sign, is put on the side of the detector, at -z.

References
----------
The format: https://confluence.slac.stanford.edu/display/PSDM/Detector+Geometry
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Detector, Panel
from xdp.experiment.detector import flat_hierarchy
from xdp.files import atomic_output
from xdp.images.geometry_files.text import read_geometry_text

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NO_LIMIT = float(0x7FFFFFFF)
# A tree is IP, camera, quadrant, sensor: 16 is far above.
_MOST_LEVELS = 16


class LclsObject(NamedTuple):
    """A line of the file.

    Attributes
    ----------
    parent, parent_index, name, number : str and int
        ``QUAD:V1 0`` has ``SENS2X1:V1 3``.
    shift : (x, y, z)
        µm, in the frame of the parent.
    rotation, tilt : (z, y, x)
        Degrees.
    line : int
        In the file.
    """

    parent: str
    parent_index: int
    name: str
    number: int
    shift: tuple[float, float, float]
    rotation: tuple[float, float, float]
    tilt: tuple[float, float, float]
    line: int = 0


@dataclass(frozen=True)
class LclsGeometry:
    """An LCLS geometry file.

    Attributes
    ----------
    objects : tuple of LclsObject
        In the order of the file.
    comments : tuple of str
        Lines that begin with ``#``, as they are.
    path : str
        Where it was read.
    """

    objects: tuple[LclsObject, ...]
    comments: tuple[str, ...] = ()
    path: str = ""


@dataclass(frozen=True)
class SegmentType:
    """The pixels of a kind of segment.

    Attributes
    ----------
    shape : (slow, fast)
        Pixels.
    pixel : (slow, fast)
        Their pitch, µm.
    fast_gaps, slow_gaps : tuple of (place, width)
        Wide pixels: the pixel before which a gap lies, and its width in pixels.
    slow_sign : float
        -1: rows run against y.
    is_matrix : bool
        Rows run along x, columns along y, and the middle of the first pixel is the origin.
    """

    shape: tuple[int, int]
    pixel: tuple[float, float]
    fast_gaps: tuple[tuple[int, float], ...] = ()
    slow_gaps: tuple[tuple[int, float], ...] = ()
    slow_sign: float = -1.0
    is_matrix: bool = False


_JUNGFRAU = SegmentType((512, 1024), (75.0, 75.0), ((256, 2.0), (512, 2.0), (768, 2.0)), ((256, 2.0),))
# Shapes and pitches as LCLS states them. The two wide pixels at a seam are 2.5 (CSPAD, ePix10ka) or 2 pitches: what
# they have beyond a pitch is the gap.
SEGMENTS = {
    "SENS2X1:V1": SegmentType((185, 388), (109.92, 109.92), ((194, 3.0),)),
    "EPIX10KA:V1": SegmentType((352, 384), (100.0, 100.0), ((192, 3.0),), ((176, 3.0),)),
    "JUNGFRAU:V1": _JUNGFRAU,
    "JUNGFRAU:V2": dataclasses.replace(_JUNGFRAU, slow_sign=1.0),
    "PNCCD:V1": SegmentType((512, 512), (75.0, 75.0), is_matrix=True),
}


def find_segment_type(name: str) -> SegmentType | None:
    """Find the pixels of a segment by its name.

    Parameters
    ----------
    name : str
        One of :data:`SEGMENTS`, or ``MTRX:V2:rows:columns:pitch:pitch`` (with or without ``V2``).

    Returns
    -------
    SegmentType or None
        None where it is no segment: a quadrant or camera.

    Examples
    --------
    >>> find_segment_type("MTRX:V2:1920:1920:89:89").shape
    (1920, 1920)
    """
    if not name.startswith("MTRX:"):
        return SEGMENTS.get(name)
    words = name.split(":")[-4:]
    if not all(_NUMBER.fullmatch(word) for word in words) or not all(word.isdecimal() for word in words[:2]):
        return None
    rows, columns, slow, fast = (float(word) for word in words)
    if not (0 < rows < 1e5 and 0 < columns < 1e5 and 0.0 < slow < 1e6 and 0.0 < fast < 1e6):
        return None
    # Version 2 is in the manner of the other segments, version 1 in that of a matrix.
    return SegmentType((int(rows), int(columns)), (slow, fast), is_matrix=not name.startswith("MTRX:V2:"))


def read_lcls_geometry(path: str | os.PathLike) -> LclsGeometry:
    """Read an LCLS geometry file.

    Parameters
    ----------
    path : path
        The ``.data`` file.

    Returns
    -------
    LclsGeometry

    Raises
    ------
    FormatError
        If something in it makes no sense; the message has the number of the line.
    """
    name = os.fspath(path)
    objects, comments = [], []
    for number, line in enumerate(read_geometry_text(name).split("\n"), start=1):
        text = line.strip()
        if text.startswith("#"):
            comments.append(text)
        elif text:
            objects.append(_parse_object(text, number, name))
    geometry = LclsGeometry(tuple(objects), tuple(comments), name)
    find_root(geometry)
    return geometry


def _parse_object(text: str, number: int, name: str) -> LclsObject:
    """A line: two names with their indices, and nine numbers."""
    words = text.split()
    if len(words) != 13:
        raise FormatError(f"{name}, line {number}: 13 words were expected (parent, index, object, index, x, y, z, "
                          f"three angles, three tilts), got {len(words)}")
    for word in (words[1], words[3]):
        if not (word.isdecimal() and word.isascii() and len(word) < 7):
            raise FormatError(f"{name}, line {number}: an index was expected, got {word!r}")
    for word in words[4:]:
        if not _NUMBER.fullmatch(word) or not np.isfinite(float(word)):
            raise FormatError(f"{name}, line {number}: a number was expected, got {word!r}")
    values = [float(word) for word in words[4:]]
    return LclsObject(words[0], int(words[1]), words[2], int(words[3]), (values[0], values[1], values[2]),
                      (values[3], values[4], values[5]), (values[6], values[7], values[8]), number)


def find_root(geometry: LclsGeometry) -> tuple[str, int]:
    """Find the object that nothing carries.

    Parameters
    ----------
    geometry : LclsGeometry
        Whose objects must make one tree.

    Returns
    -------
    (name, index)

    Raises
    ------
    FormatError
        If there are no objects, several trees, an object twice, or one that carries itself.
    """
    where = geometry.path
    if not geometry.objects:
        raise FormatError(f"{where}: has no objects")
    parents: dict[tuple[str, int, str, int], LclsObject] = {}
    for item in geometry.objects:
        key = item.parent, item.parent_index, item.name, item.number
        if key in parents:
            raise FormatError(f"{where}, line {item.line}: {item.name} {item.number} of {item.parent} "
                              f"{item.parent_index} is there already, on line {parents[key].line}")
        parents[key] = item
    children = {(item.name, item.number) for item in geometry.objects}
    roots = {(item.parent, item.parent_index): item.line for item in geometry.objects
             if (item.parent, item.parent_index) not in children}
    if len(roots) != 1:
        line = max(roots.values(), default=geometry.objects[0].line)
        raise FormatError(f"{where}, line {line}: one object that carries all others was expected, found "
                          f"{', '.join(f'{name} {i}' for name, i in roots) or 'none: they carry each other'}")
    return next(iter(roots))


def build_lcls_detector(geometry: LclsGeometry, distance: float | None = None) -> Detector:
    """Build the detector of an LCLS geometry.

    Parameters
    ----------
    geometry : LclsGeometry
        Its objects become the hierarchy, the chips of its segments the panels.
    distance : float, optional
        mm, in place of that of the file.

    Returns
    -------
    Detector
        Panels in the order of the data: by the indices of the objects at each level. Each lies in the data where
        (segment, row, column) say: ``raw_image_offset`` counts rows through all segments.

    Raises
    ------
    FormatError
        If an object without others on it is no segment that is known.
    """
    panels: list[Panel] = []
    root_name, root_index = find_root(geometry)
    root = flat_hierarchy(0) | {"name": root_name, "children": []}
    below: dict[tuple[str, int], list[LclsObject]] = {}
    for item in geometry.objects:
        below.setdefault((item.parent, item.parent_index), []).append(item)
    row = [0]
    _add_children(geometry, root, (root_name, root_index), below, panels, row, 0)
    _place_camera(root, distance)
    return Detector(tuple(panels), root)


def _place_camera(root: dict[str, Any], distance: float | None) -> None:
    """Put the camera at -z, or at a distance: the objects that carry one other each say where it is."""
    chain = []
    node = root
    while len(node["children"]) == 1 and "panel" not in node["children"][0]:
        node = node["children"][0]
        chain.append(node)
    total = sum(node["origin"][2] for node in chain)
    if distance is not None:
        first = chain[0] if chain else root
        first["origin"] = [*first["origin"][:2], first["origin"][2] - distance - total]
    elif total > 0.0:
        for node in chain:
            node["origin"] = [*node["origin"][:2], -node["origin"][2]]


def _add_children(geometry: LclsGeometry, node: dict[str, Any], name: tuple[str, int],
                  below: dict[tuple[str, int], list[LclsObject]], panels: list[Panel], row: list[int],
                  level: int) -> None:
    """Add what an object carries to its node."""
    if level > _MOST_LEVELS:
        raise FormatError(f"{geometry.path}: its objects are nested more than {_MOST_LEVELS} deep")
    for item in sorted(below[name], key=lambda item: item.number):
        turn = compute_object_turn(item)
        child = flat_hierarchy(0) | {
            "name": f"{item.name} {item.number}", "children": [], "fast_axis": turn[:, 0].tolist(),
            "slow_axis": turn[:, 1].tolist(), "origin": [v / 1000.0 for v in item.shift]}
        node["children"].append(child)
        if (item.name, item.number) in below:
            _add_children(geometry, child, (item.name, item.number), below, panels, row, level + 1)
            continue
        segment = find_segment_type(item.name)
        if segment is None:
            raise FormatError(f"{geometry.path}, line {item.line}: {item.name} carries nothing and is no segment that "
                              f"is known: {', '.join(SEGMENTS)}, MTRX:rows:columns:pitch:pitch")
        for panel in _cut_segment(segment, f"s{len(panels)}", row[0]):
            child["children"].append({"panel": len(panels)})
            panels.append(dataclasses.replace(panel, name=f"p{len(panels)}"))
        row[0] += segment.shape[0]


def compute_object_turn(item: LclsObject) -> np.ndarray:
    """Compute the rotation of an object in the frame of its parent.

    Parameters
    ----------
    item : LclsObject
        Design angles and tilts.

    Returns
    -------
    (3, 3) array
        ``Rx Ry Rz``.
    """
    z, y, x = (np.radians(a + b) for a, b in zip(item.rotation, item.tilt, strict=True))
    cos, sin = np.cos, np.sin
    about_z = np.array([[cos(z), -sin(z), 0.0], [sin(z), cos(z), 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cos(y), 0.0, sin(y)], [0.0, 1.0, 0.0], [-sin(y), 0.0, cos(y)]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cos(x), -sin(x)], [0.0, sin(x), cos(x)]])
    return about_x @ about_y @ about_z


def _cut_segment(segment: SegmentType, name: str, row: int) -> Iterator[Panel]:
    """The chips of a segment, in its own frame."""
    pitch_slow, pitch_fast = segment.pixel
    if segment.is_matrix:
        yield Panel((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (-0.0005 * pitch_slow, -0.0005 * pitch_fast, 0.0),
                    (segment.shape[1], segment.shape[0]), (pitch_fast / 1000.0, pitch_slow / 1000.0),
                    trusted_range=(-_NO_LIMIT, _NO_LIMIT), name=name, type="SENSOR_PAD", raw_image_offset=(0, row))
        return
    middle = [0.5 * (n - 1 + sum(width for _, width in gaps))
              for n, gaps in zip(segment.shape, (segment.slow_gaps, segment.fast_gaps), strict=True)]
    for slow0, slow1, slow_place in _list_parts(segment.shape[0], segment.slow_gaps):
        for fast0, fast1, fast_place in _list_parts(segment.shape[1], segment.fast_gaps):
            # Places are those of pixels' middles: a corner is half a pixel before.
            x = (fast_place - middle[1] - 0.5) * pitch_fast / 1000.0
            y = segment.slow_sign * (slow_place - middle[0] - 0.5) * pitch_slow / 1000.0
            yield Panel((1.0, 0.0, 0.0), (0.0, segment.slow_sign, 0.0), (x, y, 0.0), (fast1 - fast0, slow1 - slow0),
                        (pitch_fast / 1000.0, pitch_slow / 1000.0), trusted_range=(-_NO_LIMIT, _NO_LIMIT), name=name,
                        type="SENSOR_PAD", raw_image_offset=(fast0, row + slow0))


def _list_parts(n: int, gaps: Sequence[tuple[int, float]]) -> Iterator[tuple[int, int, float]]:
    """First pixel, the one behind the last, and the place of the first, of each part between gaps."""
    edges = [0, *(place for place, _ in gaps), n]
    shift = 0.0
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        if i:
            shift += gaps[i - 1][1]
        yield a, b, a + shift


def write_lcls_geometry(path: str | os.PathLike, geometry: LclsGeometry) -> None:
    """Write an LCLS geometry file.

    Parameters
    ----------
    path : path
        The file.
    geometry : LclsGeometry
        Numbers are written with all their digits.

    Raises
    ------
    XdpError
        If the file cannot be written.
    """
    lines = list(geometry.comments) or [
        "# TITLE       Geometry parameters, written by xdp", "# CALIB_TYPE  geometry",
        "# HDR PARENT IND  OBJECT IND  X0[um] Y0[um] Z0[um]  ROT-Z ROT-Y ROT-X  TILT-Z TILT-Y TILT-X"]
    for item in geometry.objects:
        numbers = " ".join(f"{value!r:>12}" for value in (*item.shift, *item.rotation, *item.tilt))
        lines.append(f"{item.parent:14s} {item.parent_index:3d} {item.name:14s} {item.number:3d} {numbers}")
    with atomic_output(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def convert_detector_to_lcls(detector: Detector) -> tuple[LclsGeometry, list[str]]:
    """Convert a detector to an LCLS geometry: each panel is a segment of its own.

    Parameters
    ----------
    detector : Detector
        Of any origin.

    Returns
    -------
    geometry : LclsGeometry
    notes : list of str
        What the format cannot hold.

    Raises
    ------
    FormatError
        If a panel's axes are not at a right angle: the format has rotations only.
    """
    notes = ["names of panels, trusted ranges, gains, masks and the sensor are not written: the format has none",
             "each panel is a segment MTRX of its own; groups are not written"]
    frames = [detector.d_matrix(i) for i in range(len(detector))]
    distance = -float(np.mean([frame[2, 2] for frame in frames]))
    objects = []
    for i, (panel, frame) in enumerate(zip(detector, frames, strict=True)):
        off = abs(float(frame[:, 0] @ frame[:, 1]))
        if off > 1e-9:
            raise FormatError(f"panel {panel.name}: its axes are {off:.2g} off a right angle, which an LCLS geometry "
                              "cannot hold")
        # Rows of a segment run against y.
        turn = np.column_stack([frame[:, 0], -frame[:, 1], np.cross(frame[:, 0], -frame[:, 1])])
        size = np.multiply(panel.image_size, panel.pixel_size)
        centre = 1000.0 * (frame @ np.array([0.5 * size[0], 0.5 * size[1], 1.0]) + np.array([0.0, 0.0, distance]))
        pitch = [repr(1000.0 * v) for v in (panel.pixel_size[1], panel.pixel_size[0])]
        name = f"MTRX:V2:{panel.image_size[1]}:{panel.image_size[0]}:{pitch[0]}:{pitch[1]}"
        objects.append(LclsObject("CAMERA:V1", 0, name, i, (float(centre[0]), float(centre[1]), float(centre[2])),
                                  find_angles(turn), (0.0, 0.0, 0.0)))
    objects.append(LclsObject("IP", 0, "CAMERA:V1", 0, (0.0, 0.0, 1000.0 * distance), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    return LclsGeometry(tuple(objects)), notes


def find_angles(turn: np.ndarray) -> tuple[float, float, float]:
    """Find the angles of a rotation ``Rx Ry Rz``.

    Parameters
    ----------
    turn : (3, 3) array
        A rotation.

    Returns
    -------
    (z, y, x)
        Degrees.
    """
    # (Rx Ry Rz)[0] = (cos y cos z, -cos y sin z, sin y)
    y = np.arctan2(turn[0, 2], np.hypot(turn[0, 0], turn[0, 1]))
    if np.hypot(turn[0, 0], turn[0, 1]) < 1e-12:
        # Only the sum or difference of the two others is known there: x is taken as 0.
        return float(np.degrees(np.arctan2(turn[1, 0], turn[1, 1]))), float(np.degrees(y)), 0.0
    z = np.arctan2(-turn[0, 1], turn[0, 0])
    x = np.arctan2(-turn[1, 2], turn[2, 2])
    return float(np.degrees(z)), float(np.degrees(y)), float(np.degrees(x))
