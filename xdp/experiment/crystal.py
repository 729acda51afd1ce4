"""The crystal: A = U B."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import FormatError
from xdp.experiment._fields import Fields, axis
from xdp.space_groups import AnySpaceGroup, space_group_from_hall


@dataclass(frozen=True, repr=False)
class Crystal(Displayed):
    """A crystal's lattice, orientation and symmetry.

    Parameters
    ----------
    real_space_a, real_space_b, real_space_c
        Cell axes in Å, in the frame of the crystal at zero goniometer rotation.
    space_group_hall_symbol
        As in the file, e.g. ``" P 4nw 2abw"``.
    A_at_scan_points
        Where refinement let A vary: its nine elements, row by row, at the borders of the images.
    extra
        Mosaicity, covariances and all else the file has, written back as it was.
    """

    real_space_a: tuple[float, ...]
    real_space_b: tuple[float, ...]
    real_space_c: tuple[float, ...]
    space_group_hall_symbol: str = " P 1"
    A_at_scan_points: tuple[tuple[float, ...], ...] | None = None
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def _facts(self) -> list[tuple[str, Any]]:
        return [("cell", self.unit_cell), ("space group", self.space_group.xhm()),
                ("scan points", len(self.A_at_scan_points or ()) or None)]

    @property
    def real_space_matrix(self) -> np.ndarray:
        """Rows are the cell axes a, b, c; shape (3, 3), Å."""
        return np.array([self.real_space_a, self.real_space_b, self.real_space_c], dtype=np.float64)

    @cached_property
    def A(self) -> np.ndarray:
        """Setting matrix, shape (3, 3), Å⁻¹: columns are a*, b*, c*; a reflection is at A (h, k, l)."""
        return np.linalg.inv(self.real_space_matrix)

    @cached_property
    def unit_cell(self) -> tuple[float, float, float, float, float, float]:
        """a, b, c in Å; alpha, beta, gamma in degrees."""
        return cell_of(self.real_space_matrix)

    @cached_property
    def B(self) -> np.ndarray:
        """Orthogonalisation in reciprocal space, shape (3, 3): lower triangular (a along x, b in the x-y plane)."""
        return b_matrix(self.unit_cell)

    @cached_property
    def U(self) -> np.ndarray:
        """Orientation, shape (3, 3): the rotation with A = U B."""
        return self.A @ np.linalg.inv(self.B)

    @cached_property
    def space_group(self) -> AnySpaceGroup:
        """The space group; XdpError where the Hall symbol is none of a space group."""
        return space_group_from_hall(self.space_group_hall_symbol)

    @classmethod
    def from_dict(cls, source: dict[str, Any], where: str = "crystal") -> Crystal:
        """The crystal of a dictionary in DIALS' form.

        Raises
        ------
        FormatError
            If a key is missing, or the axes span no volume; the message begins with `where`.
        """
        fields = Fields(source, where)
        kind = fields.take("__id__", "crystal")
        if kind != "crystal":
            raise FormatError(f"{where}: '__id__' must be 'crystal', got {kind!r}")
        points = fields.rows("A_at_scan_points", 9, ())
        _check_others(fields.others())
        # named first: a starred generator in the call would run after `rest` and leave the axes in `extra`
        a, b, c = (axis(fields, f"real_space_{name}") for name in "abc")
        crystal = cls(
            a, b, c,
            space_group_hall_symbol=fields.text("space_group_hall_symbol"),
            A_at_scan_points=points or None,
            extra=fields.rest(),
        )
        if _lie_in_one_plane(crystal.real_space_matrix[np.newaxis]).any():
            raise FormatError(f"{where}: real_space_a, b and c lie in one plane")
        if (flat := _lie_in_one_plane(np.reshape(points, (-1, 3, 3)))).any():
            raise FormatError(f"{where}: the axes of 'A_at_scan_points' lie in one plane at point {flat.argmax() + 1}")
        return crystal

    def to_dict(self) -> dict[str, Any]:
        """The crystal as a dictionary in DIALS' form.

        A that varies over the scan is in it only where it does.
        """
        result: dict[str, Any] = {
            "__id__": "crystal",
            "real_space_a": list(self.real_space_a),
            "real_space_b": list(self.real_space_b),
            "real_space_c": list(self.real_space_c),
            "space_group_hall_symbol": self.space_group_hall_symbol,
        }
        if self.A_at_scan_points:
            result["A_at_scan_points"] = [list(a) for a in self.A_at_scan_points]
        return result | self.extra


def _check_others(fields: Fields) -> None:
    """Check what is kept in `extra` and used here and there."""
    fields.numbers("B_covariance", 81, ())
    for name in ("mosaicity", "ML_half_mosaicity_deg", "ML_domain_size_ang"):
        fields.number(name, 0.0)
    fields.vector("recalculated_unit_cell", 6, (1.0,) * 6)


def _lie_in_one_plane(matrices: np.ndarray) -> np.ndarray:
    """Which matrices (n, 3, 3) are of vectors in one plane, or so long or short that it cannot be told; (n,) bool."""
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(matrices, axis=2)
        volumes = np.abs(np.linalg.det(matrices / np.where(lengths > 0.0, lengths, 1.0)[:, :, np.newaxis]))
        # A volume of 1e-6 of the product of the lengths is an angle of a few arc seconds between an axis and a plane.
        return ~((volumes > 1e-6) & (lengths > 1e-100).all(axis=1) & (lengths < 1e100).all(axis=1))


def cell_of(real_space_matrix: np.ndarray) -> tuple[float, float, float, float, float, float]:
    """Cell of axes.

    Parameters
    ----------
    real_space_matrix : array_like (3, 3)
        Rows are a, b, c; Å.

    Returns
    -------
    a, b, c, alpha, beta, gamma
        Å and degrees.

    Examples
    --------
    >>> cell_of([[10, 0, 0], [0, 20, 0], [0, 0, 30]])
    (10.0, 20.0, 30.0, 90.0, 90.0, 90.0)
    """
    m = np.asarray(real_space_matrix, dtype=np.float64)
    lengths = np.linalg.norm(m, axis=1)
    cosines = [m[1] @ m[2] / (lengths[1] * lengths[2]), m[2] @ m[0] / (lengths[2] * lengths[0]),
               m[0] @ m[1] / (lengths[0] * lengths[1])]
    # rounding may carry the cosine of parallel axes beyond 1
    angles = np.rad2deg(np.arccos(np.clip(cosines, -1.0, 1.0)))
    return (*(float(v) for v in lengths), *(float(v) for v in angles))  # type: ignore[return-value]


def b_matrix(unit_cell: Any) -> np.ndarray:
    """B of a cell (Å, degrees), shape (3, 3), Å⁻¹: the inverse of axes a along x, b in the x-y plane.

    References
    ----------
    Giacovazzo, Fundamentals of Crystallography (2002), section 2.5; DIALS documentation, "Conventions".
    """
    a, b, c = unit_cell[:3]
    ca, cb, cg = np.cos(np.deg2rad(unit_cell[3:6]))
    sg = np.sin(np.deg2rad(unit_cell[5]))
    cx, cy = cb, (ca - cb * cg) / sg  # c's direction, from its angles with a and b
    cz = np.sqrt(1.0 - cx * cx - cy * cy)
    return np.linalg.inv(np.array([[a, 0.0, 0.0], [b * cg, b * sg, 0.0], [c * cx, c * cy, c * cz]]))
