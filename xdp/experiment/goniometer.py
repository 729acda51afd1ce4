"""The goniometer: R = S R' F."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import FormatError
from xdp.experiment._fields import Fields, axis
from xdp.experiment.scan import Scan

#: No rotation, row by row.
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, repr=False)
class Goniometer(Displayed):
    """What turns the crystal: the scanning axis R', the motors that carry it (S), and those it carries (F).

    Parameters
    ----------
    rotation_axis
        Of the scanning motor at its datum; the setting rotation is not in it.
    fixed_rotation, setting_rotation
        F and S, row by row. Of a multi-axis goniometer they follow from axes and angles.
    axes, angles, names, scan_axis
        Of a multi-axis goniometer, from the crystal outwards (phi, kappa, omega); angles in degrees. Without axes it is
        a single-axis goniometer.
    extra
        Unknown keys of the file, written back as they were.

    References
    ----------
    DIALS documentation, "Conventions": R = S R' F.
    """

    rotation_axis: tuple[float, ...] = (1.0, 0.0, 0.0)
    fixed_rotation: tuple[float, ...] = IDENTITY
    setting_rotation: tuple[float, ...] = IDENTITY
    axes: tuple[tuple[float, ...], ...] = ()
    angles: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    scan_axis: int = 0
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def _facts(self) -> list[tuple[str, Any]]:
        return [("rotation axis", self.rotation_axis), ("axes", self.names or "1"), ("angles", self.angles or None)]

    @classmethod
    def multi_axis(cls, axes: Any, angles: Any, names: Any, scan_axis: int) -> Goniometer:
        """Make a goniometer of several axes; F and S are the rotations inside and outside the scanning axis.

        Parameters
        ----------
        axes : sequence of (3,)
            Directions at the datum of all motors, from the crystal outwards.
        angles : sequence of float
            Of each axis, degrees.
        names : sequence of str
            Of each axis.
        scan_axis : int
            Which of them turns during the scan.

        Returns
        -------
        Goniometer
        """
        axes = tuple(tuple(float(v) for v in a) for a in axes)
        angles = tuple(float(v) for v in angles)
        return cls(
            rotation_axis=axes[scan_axis],
            fixed_rotation=_chain(axes[:scan_axis], angles[:scan_axis]),
            setting_rotation=_chain(axes[scan_axis + 1:], angles[scan_axis + 1:]),
            axes=axes, angles=angles, names=tuple(names), scan_axis=int(scan_axis),
        )

    @property
    def is_multi_axis(self) -> bool:
        """Whether it was made of named axes and angles."""
        return bool(self.axes)

    @property
    def F(self) -> np.ndarray:
        """Fixed rotation, shape (3, 3)."""
        return np.asarray(self.fixed_rotation, dtype=np.float64).reshape(3, 3)

    @property
    def S(self) -> np.ndarray:
        """Setting rotation, shape (3, 3)."""
        return np.asarray(self.setting_rotation, dtype=np.float64).reshape(3, 3)

    @property
    def rotation_axis_datum(self) -> np.ndarray:
        """Unit vector along the scanning axis at its datum, shape (3,)."""
        vector = np.asarray(self.rotation_axis, dtype=np.float64)
        return vector / np.linalg.norm(vector)

    @property
    def rotation_axis_lab(self) -> np.ndarray:
        """Unit vector along the scanning axis in the lab frame: S times the datum axis, shape (3,)."""
        return self.S @ self.rotation_axis_datum

    def rotation(self, angle: float) -> np.ndarray:
        """The rotation R = S R' F that the crystal has undergone.

        Parameters
        ----------
        angle : float
            Of the scanning motor, degrees.

        Returns
        -------
        array (3, 3)
        """
        return self.S @ axis_angle_matrix(self.rotation_axis_datum, angle) @ self.F

    @classmethod
    def from_dict(cls, source: dict[str, Any], where: str = "goniometer") -> Goniometer:
        """The goniometer of a dictionary in DIALS' form.

        With ``axes``, ``angles`` and ``scan_axis`` it is a multi-axis one, else a single-axis one.

        Raises
        ------
        FormatError
            If a rotation is no rotation, or the axes do not suit each other; the message begins with `where`.
        """
        fields = Fields(source, where)
        fields.others().rows("setting_rotation_at_scan_points", 9, ())
        if "axes" in fields and "angles" in fields and "scan_axis" in fields:
            return _multi_axis_from(fields)
        return cls(
            rotation_axis=axis(fields, "rotation_axis"),
            fixed_rotation=_rotation(fields, "fixed_rotation"),
            setting_rotation=_rotation(fields, "setting_rotation"),
            extra=fields.rest(),
        )

    def to_dict(self) -> dict[str, Any]:
        """The goniometer as a dictionary in DIALS' form."""
        if self.is_multi_axis:
            return {
                "axes": [list(a) for a in self.axes],
                "angles": list(self.angles),
                "names": list(self.names),
                "scan_axis": self.scan_axis,
            } | self.extra
        return {
            "rotation_axis": list(self.rotation_axis),
            "fixed_rotation": list(self.fixed_rotation),
            "setting_rotation": list(self.setting_rotation),
        } | self.extra


def axis_angle_matrix(axis_vector: Any, angle: float) -> np.ndarray:
    """Matrix of the right-handed rotation about an axis, by Rodrigues' formula.

    Parameters
    ----------
    axis_vector : array_like (3,)
        Of any length.
    angle : float
        Degrees.

    Returns
    -------
    array (3, 3)

    Examples
    --------
    >>> axis_angle_matrix((0, 0, 1), 90.0).round(6).tolist()
    [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    x, y, z = np.asarray(axis_vector, dtype=np.float64) / np.linalg.norm(axis_vector)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    # R = 1 + sin(angle) K + (1 - cos(angle)) K², K the matrix of the cross product with the axis
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + s * k + (1.0 - c) * (k @ k)


def _chain(axes: tuple[tuple[float, ...], ...], angles: tuple[float, ...]) -> tuple[float, ...]:
    """The product of rotations, the first one innermost, row by row."""
    matrix = np.eye(3)
    for vector, angle in zip(axes, angles, strict=True):  # an outer motor turns all that it carries
        matrix = axis_angle_matrix(vector, angle) @ matrix
    return tuple(float(v) for v in matrix.ravel())


def _multi_axis_from(fields: Fields) -> Goniometer:
    """The multi-axis goniometer of a dictionary."""
    axes = fields.rows("axes", 3)
    angles = fields.vector("angles", len(axes))
    names = fields.take("names", [""] * len(axes))
    scan_axis = fields.integer("scan_axis")
    if not axes or not 0 <= scan_axis < len(axes) or len(names) != len(axes):
        raise FormatError(f"{fields.where}: wants a name for each of {len(axes)} axes and a scan_axis among them, "
                          f"got names {names!r}, scan_axis {scan_axis}")
    # Squares of lengths beyond these bounds leave the range of a double.
    if any(not 1e-100 < math.hypot(*a) < 1e100 for a in axes):
        raise FormatError(f"{fields.where}: an axis of 'axes' has no length or no sensible one")
    goniometer = Goniometer.multi_axis(axes, angles, [str(n) for n in names], scan_axis)
    goniometer.extra.update(fields.rest())
    return goniometer


def _rotation(fields: Fields, key: str) -> tuple[float, ...]:
    """A rotation matrix, row by row: orthogonal to 1e-4, since old files round it."""
    value = fields.vector(key, 9, IDENTITY)
    matrix = np.asarray(value).reshape(3, 3)
    if np.abs(matrix).max() > 1.001 or not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4):
        raise FormatError(f"{fields.where}: '{key}' must be a rotation matrix, got {value}")
    return value


def make_width_positive(goniometer: Goniometer, scan: Scan) -> tuple[Goniometer, Scan]:
    """Describe a scan that turns backwards as one that turns forwards about the opposite axis.

    Parameters
    ----------
    goniometer, scan
        As the header of the images has them.

    Returns
    -------
    (Goniometer, Scan)
        The same movement, with images of a positive width; those that were given where it is positive already.
    """
    start, width = scan.oscillation
    if width >= 0.0:
        return goniometer, scan
    scan = replace(scan, oscillation=(-start, -width))
    opposite = tuple(0.0 - v for v in goniometer.rotation_axis)  # 0 - v, since -v would make zeros negative
    if not goniometer.is_multi_axis:
        return replace(goniometer, rotation_axis=opposite), scan
    axes = list(goniometer.axes)
    axes[goniometer.scan_axis] = opposite
    angles = list(goniometer.angles)
    angles[goniometer.scan_axis] = -angles[goniometer.scan_axis]
    return Goniometer.multi_axis(axes, angles, goniometer.names, goniometer.scan_axis), scan
