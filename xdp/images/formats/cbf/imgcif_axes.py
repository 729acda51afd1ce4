"""imgCIF's tables of axes: settings, chains of dependence, and the frames they make.

An axis turns about, or shifts along, its vector by its setting; its offset is where it sits on the axis it depends on.

References
----------
International Tables for Crystallography G (2005), chapters 3.7 and 4.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xdp.errors import FormatError
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.images.formats.cbf.cif import Table, list_rows


@dataclass(frozen=True)
class CifAxis:
    """One row of the axis table, with its setting in this frame.

    Attributes
    ----------
    name, kind, equipment, component : str
        Kind is ``rotation``, ``translation`` or ``general``; component groups the axes of one rigid body.
    parent : str or None
        The axis it depends on.
    vector, offset : tuple of float
        Direction in the lab frame at zero settings, and place on the parent in mm.
    setting : float
        Degrees or mm.
    increment : float
        How far it moves in this frame.
    """

    name: str
    kind: str
    equipment: str
    component: str | None
    parent: str | None
    vector: tuple[float, ...]
    offset: tuple[float, ...]
    setting: float = 0.0
    increment: float = 0.0

    def compute_frame(self) -> np.ndarray:
        """The 4 x 4 matrix from coordinates on this axis to those on its parent, mm."""
        # The axis stands at its offset on the parent; there it turns, or shifts along its vector.
        matrix = np.eye(4)
        matrix[:3, 3] = self.offset
        if self.kind == "rotation" and self.setting != 0.0:
            matrix[:3, :3] = axis_angle_matrix(self.vector, self.setting)
        elif self.kind == "translation":
            matrix[:3, 3] += self.setting * np.asarray(self.vector) / np.linalg.norm(self.vector)
        return matrix


class Axes:
    """All axes of a header, by name.

    Parameters
    ----------
    tables : dict
        Tables of the header.
    path : str
        Name of the file, for messages.
    """

    def __init__(self, tables: dict[str, Table], path: str) -> None:
        self._path = path
        settings = _read_settings(tables, path)
        self._axes: dict[str, CifAxis] = {}
        for row in list_rows(tables.get("axis")):
            axis = _read_axis(row, settings, path)
            self._axes[axis.name] = axis

    def __getitem__(self, name: str) -> CifAxis:
        if name not in self._axes:
            raise FormatError(f"{self._path}: header depends on axis {name}, which it does not define")
        return self._axes[name]

    def list_of_equipment(self, equipment: str) -> list[CifAxis]:
        """List the axes of a kind of equipment, such as ``goniometer``, in the order of the table."""
        return [axis for axis in self._axes.values() if axis.equipment == equipment]

    def follow(self, name: str) -> list[CifAxis]:
        """Follow an axis to the lab.

        Parameters
        ----------
        name : str
            Of the axis.

        Returns
        -------
        list of CifAxis
            The axis, the one it depends on, and so on.

        Raises
        ------
        FormatError
            If an axis is not defined, or depends on itself.
        """
        found: list[CifAxis] = []
        at: str | None = name
        while at is not None:
            if any(axis.name == at for axis in found):
                raise FormatError(f"{self._path}: axis {at} depends on itself")
            found.append(self[at])
            at = found[-1].parent
        return found

    def compute_lab_frame(self, name: str) -> np.ndarray:
        """Compute the 4 x 4 matrix from coordinates on an axis to the lab, mm."""
        matrix = np.eye(4)
        for axis in self.follow(name):
            matrix = axis.compute_frame() @ matrix
        return matrix

    def compute_body_frame(self, name: str) -> tuple[np.ndarray, str | None]:
        """Compute where a rigid body stands on the one that carries it; axes of one equipment component are one body.

        Parameters
        ----------
        name : str
            The innermost axis of the body.

        Returns
        -------
        matrix : (4, 4) float64
            From coordinates on the axis to those of the body below, mm.
        parent : str or None
            The axis of that body on which this one stands; None: it stands in the lab.
        """
        matrix = np.eye(4)
        component = self[name].component
        for axis in self.follow(name):
            if axis.component != component:
                return matrix, axis.name
            matrix = axis.compute_frame() @ matrix
        return matrix, None


def parse_number(value: str | None, path: str, what: str, default: float = 0.0) -> float:
    """Parse a number of the header.

    Parameters
    ----------
    value : str or None
        As it stands in a table.
    path : str
        Name of the file, for messages.
    what : str
        What the number is, for messages.
    default : float
        Where there is none; 0 by default.

    Returns
    -------
    float

    Raises
    ------
    FormatError
        If it is no finite number.
    """
    if value is None:
        return default
    try:
        result = float(value)
    except ValueError:
        result = math.nan
    if not math.isfinite(result):
        raise FormatError(f"{path}: {what} must be a finite number, got {value!r}")
    return result


def _read_settings(tables: dict[str, Table], path: str) -> dict[str, tuple[dict[str, float], float]]:
    """Read setting (angle, displacement) and increment of each axis: of the frame, or else the start of the scan."""
    found: dict[str, tuple[dict[str, float], float]] = {}
    for row in list_rows(tables.get("diffrn_scan_axis")):
        values = {kind: parse_number(row.get(f"{kind}_start"), path, f"{kind}_start")
                  for kind in ("angle", "displacement")}
        increment = parse_number(row.get("angle_increment"), path, "angle_increment")
        found[row.get("axis_id") or ""] = (values, increment)
    # A file of one frame states where each axis stands in it, which is more than where the scan starts.
    for row in list_rows(tables.get("diffrn_scan_frame_axis")):
        name = row.get("axis_id") or ""
        values = {kind: parse_number(row.get(kind), path, kind) for kind in ("angle", "displacement")}
        found[name] = (values, found.get(name, ({}, 0.0))[1])
    return found


def _read_axis(row: dict[str, str | None], settings: dict[str, tuple[dict[str, float], float]], path: str) -> CifAxis:
    """Read a row of the table of axes."""
    name = row.get("id") or ""
    kind = (row.get("type") or "general").lower()
    values, increment = settings.get(name, ({}, 0.0))
    vector = tuple(parse_number(row.get(f"vector[{i}]"), path, f"vector of axis {name}") for i in (1, 2, 3))
    if kind in ("rotation", "translation") and not any(vector):
        raise FormatError(f"{path}: axis {name} has no direction")
    offset = tuple(parse_number(row.get(f"offset[{i}]"), path, f"offset of axis {name}") for i in (1, 2, 3))
    setting = values.get("angle" if kind == "rotation" else "displacement", 0.0)
    return CifAxis(name, kind, (row.get("equipment") or "").lower(), row.get("equipment_component"),
                row.get("depends_on"), vector, offset, setting, increment)
