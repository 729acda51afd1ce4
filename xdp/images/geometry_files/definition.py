"""cctbx.xfel's ``.def``: the header of a full CBF without its images, which has the detector's tree of rigid bodies.

Each body is a rotation axis that stands on that of the body which carries it; its offset is the body's place, its
setting the angle. The outermost stands on three translations. A panel's slow axis stands on its body, the fast axis on
the slow one.

References
----------
Hammersley, A. P., Bernstein, H. J. & Westbrook, J. D. (2006). *International Tables for Crystallography* **G**,
chapter 4.6 (imgCIF).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector
from xdp.experiment.detector import flat_hierarchy
from xdp.files import atomic_output
from xdp.images.formats.cbf.imgcif import ImgCIF

COMPONENTS = ("detector_arm", "detector_quadrant", "detector_sensor")
"""Equipment components of the outer levels, as cctbx.xfel names them; axes of one component are one body."""
PANEL_COMPONENT = "detector_asic"
Vector = Sequence[float] | np.ndarray
"""Three numbers."""
AXIS_COLUMNS = ("id", "type", "equipment", "depends_on", "vector[1]", "vector[2]", "vector[3]", "offset[1]",
                "offset[2]", "offset[3]", "equipment_component")


class AxisRow(NamedTuple):
    """An axis as it is written.

    Attributes
    ----------
    name, kind : str
        The kind is rotation or translation.
    parent : str
        The axis it stands on; a point where it stands in the laboratory.
    vector, offset : (3,) float
        Direction, and place on the parent, mm.
    component : str
    setting : float
        Degrees or mm.
    """

    name: str
    kind: str
    parent: str
    vector: Vector
    offset: Vector
    component: str
    setting: float = 0.0


def read_definition(path: str | os.PathLike) -> tuple[Detector, Beam | None]:
    """Read the detector of a ``.def`` file, or of a full CBF.

    Parameters
    ----------
    path : path

    Returns
    -------
    Detector, Beam or None
        No beam where the header has no wavelength.

    Raises
    ------
    FormatError
        If it has no tables of a detector.
    """
    header = ImgCIF(os.fspath(path))
    beam: Beam | None = None
    try:
        beam = header.models().beam
    except FormatError:
        # a header that says nothing of the beam still has a detector; what else is wrong is said now
        return header.read_detector(Beam.along_z(1.0)), None
    return header.read_detector(beam or Beam.along_z(1.0)), beam


def write_definition(path: str | os.PathLike, detector: Detector, beam: Beam | None = None) -> list[str]:
    """Write a detector as a ``.def`` file.

    Parameters
    ----------
    path : path
    detector : Detector
        Its hierarchy becomes the tree of axes.
    beam : Beam, optional
        Whose wavelength is written.

    Returns
    -------
    list of str
        What the format cannot hold.
    """
    with atomic_output(path) as part, open(part, "w") as stream:
        stream.write(format_definition(detector, beam))
    lost = [what for what, is_there in (
        ("sensors (material, thickness)", any(panel.thickness or panel.material for panel in detector)),
        ("masks of panels", any(panel.mask for panel in detector))) if is_there]
    return [f"a .def has no {' and no '.join(lost)}: they are not written"] if lost else []


def format_definition(detector: Detector, beam: Beam | None = None) -> str:
    """Format the text of a ``.def`` file.

    Parameters
    ----------
    detector : Detector
    beam : Beam, optional

    Returns
    -------
    str
    """
    names = _make_names([panel.name for panel in detector])
    axes = list(_list_axes(detector, names))
    panels = range(len(detector))
    parts = ["###CBF: VERSION 1.5\n", "data_detector", "_diffrn.id DS1", "_diffrn_detector.diffrn_id DS1",
             "_diffrn_detector.id DETECTOR", f"_diffrn_detector.number_of_axes {len(axes)}"]
    if beam is not None and beam.wavelength > 0.0:
        parts += ["_diffrn_radiation.diffrn_id DS1", "_diffrn_radiation.wavelength_id WAVELENGTH1",
                  "_diffrn_radiation_wavelength.id WAVELENGTH1",
                  f"_diffrn_radiation_wavelength.wavelength {beam.wavelength!r}"]
    tables: list[tuple[str, Sequence[str], Any]] = [
        ("diffrn_detector_axis", ("detector_id", "axis_id"), (("DETECTOR", axis.name) for axis in axes)),
        ("diffrn_detector_element", ("id", "detector_id"), ((f"ELE_{name}", "DETECTOR") for name in names)),
        ("diffrn_data_frame", ("id", "detector_element_id", "array_id", "binary_id"),
         (("FRAME1", f"ELE_{name}", name, i + 1) for i, name in enumerate(names))),
        ("array_structure_list", ("array_id", "index", "dimension", "precedence", "direction", "axis_set_id"),
         ((names[i], k + 1, detector[i].image_size[k], k + 1, "increasing", f"AXIS_{names[i]}_{'FS'[k]}")
          for i in panels for k in range(2))),
        ("array_structure_list_axis", ("axis_set_id", "axis_id", "displacement", "displacement_increment"),
         ((f"AXIS_{names[i]}_{'FS'[k]}", f"AXIS_{names[i]}_{'FS'[k]}", 0.0, float(detector[i].pixel_size[k]))
          for i in panels for k in range(2))),
        ("array_intensities", ("array_id", "binary_id", "linearity", "gain", "underload", "overload"),
         ((names[i], i + 1, "linear", float(detector[i].gain), float(detector[i].trusted_range[0]),
           float(detector[i].trusted_range[1]) + 1.0) for i in panels)),
        ("axis", AXIS_COLUMNS, ((a.name, a.kind, "detector", a.parent, *map(float, a.vector), *map(float, a.offset),
                                 a.component) for a in axes)),
        ("diffrn_scan_frame_axis", ("axis_id", "frame_id", "angle", "displacement"),
         ((a.name, "FRAME1", *((a.setting, 0.0) if a.kind == "rotation" else (0.0, a.setting))) for a in axes))]
    parts += [_format_table(*table) for table in tables]
    return "\n".join(parts) + "\n"


def _make_names(names: Sequence[str]) -> list[str]:
    """Names of panels that a CIF takes without quotes, each once."""
    cleaned = [re.sub(r"[^A-Za-z0-9_]", "_", name).strip("_") for name in names]
    return cleaned if len(set(cleaned)) == len(cleaned) and all(cleaned) else [f"P{i}" for i in range(len(names))]


def _format_table(category: str, columns: Sequence[str], rows: Any) -> str:
    """A loop of a CIF."""
    lines = ["", "loop_", *(f"_{category}.{column}" for column in columns)]
    # repr gives all digits of a number
    lines += [" " + " ".join(repr(float(value)) if isinstance(value, float) else str(value) for value in row)
              for row in rows]
    return "\n".join(lines)


def _list_axes(detector: Detector, names: Sequence[str]) -> Iterator[AxisRow]:
    """All axes of a detector, parents first."""
    root = detector.hierarchy or flat_hierarchy(len(detector))
    origin, turn = _read_frame(root)
    parent = "."
    # innermost last: x stands on y, y on z
    for letter, k in (("Z", 2), ("Y", 1), ("X", 0)):
        yield AxisRow(f"AXIS_D0_{letter}", "translation", parent, np.eye(3)[k], (0.0, 0.0, 0.0), COMPONENTS[0],
                      float(origin[k]))
        parent = f"AXIS_D0_{letter}"
    yield _make_rotation("AXIS_D0_R", parent, turn, (0.0, 0.0, 0.0), COMPONENTS[0])
    yield from _list_children(root, "AXIS_D0_R", "D0", 1, detector, names)


def _list_children(node: dict[str, Any], parent: str, label: str, depth: int, detector: Detector,
                   names: Sequence[str]) -> Iterator[AxisRow]:
    """Axes of the bodies and panels on a body."""
    for number, child in enumerate(node.get("children", ())):
        if "panel" in child:
            panel, name = detector[child["panel"]], names[child["panel"]]
            yield AxisRow(f"AXIS_{name}_S", "translation", parent, panel.slow_axis, panel.origin, PANEL_COMPONENT)
            yield AxisRow(f"AXIS_{name}_F", "translation", f"AXIS_{name}_S", panel.fast_axis, (0.0, 0.0, 0.0),
                          PANEL_COMPONENT)
            continue
        origin, turn = _read_frame(child)
        own = f"{label}{'QSABC'[min(depth - 1, 4)]}{number}"
        component = COMPONENTS[depth] if depth < len(COMPONENTS) else f"detector_level_{depth}"
        yield _make_rotation(f"FS_{own}", parent, turn, origin, component)
        yield from _list_children(child, f"FS_{own}", own, depth + 1, detector, names)


def _read_frame(node: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Origin (mm) and rotation of a body on the one that carries it."""
    fast, slow = (np.asarray(node.get(f"{name}_axis") or default, float) for name, default in (
        ("fast", (1.0, 0.0, 0.0)), ("slow", (0.0, 1.0, 0.0))))
    return np.asarray(node.get("origin") or (0.0, 0.0, 0.0), float), np.stack([fast, slow, np.cross(fast, slow)], 1)


def _make_rotation(name: str, parent: str, turn: np.ndarray, offset: Vector, component: str) -> AxisRow:
    """An axis that turns by a matrix."""
    vector = Rotation.from_matrix(turn).as_rotvec()
    angle = float(np.linalg.norm(vector))
    # without a turn any direction will do
    direction = vector / angle if angle > 0.0 else np.array([0.0, 0.0, 1.0])
    return AxisRow(name, "rotation", parent, direction, offset, component, float(np.rad2deg(angle)))
