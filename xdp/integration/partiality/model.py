r"""How partial the reflections of a still are: one model for all profile algorithms.

A lattice point :math:`\mathbf q = \mathsf A \mathbf h` lies off the Ewald sphere, along the ray
:math:`\mathbf s_2 = \mathbf s_0 + \mathbf q`, by

.. math::

    \varepsilon = |\mathbf s_2| - |\mathbf s_0|.

Domains of finite size smear the point by a, in all directions. Mosaic blocks are turned by b about any axis, which
moves the point along the ray by b times :math:`q_\perp = |\mathbf q \times \hat{\mathbf s}_2| = q \cos\theta`. A
relative spread c of the wavelengths changes :math:`\varepsilon` by :math:`c \lambda q^2 / 2`. With all of them normal,

.. math::

    S = a^2 + (b q_\perp)^2 + (c \lambda q^2 / 2)^2, \qquad
    p = \frac{a}{\sqrt S} \exp\left(-\frac{\varepsilon^2}{2 S}\right).

p is the mean, over blocks and wavelengths, of the part that a domain diffracts, which is 1 on the sphere. So it falls
with resolution also for points on the sphere: only some of the blocks are there.

References
----------
N. K. Sauter et al., Acta Cryst. D70, 3299 (2014), doi:10.1107/S1399004714024134; C. Nave, J. Synchrotron Rad. 21, 537
(2014), doi:10.1107/S1600577514003609 (sizes, rotations, bandwidth).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xdp.errors import FormatError


class Excitation(NamedTuple):
    """Where lattice points lie beside the Ewald sphere.

    Attributes
    ----------
    q : (n, 3) float64
        Lattice points, 1/Å.
    epsilon : (n,) float64
        How far s0 + q reaches beyond the sphere, 1/Å; below 0 inside.
    unit : (n, 3) float64
        Unit vectors along s0 + q: the sphere's normals.
    across : (n,) float64
        Lengths of the parts of q across `unit`, 1/Å: the lever of mosaic rotations.
    """

    q: np.ndarray
    epsilon: np.ndarray
    unit: np.ndarray
    across: np.ndarray


def compute_excitation(a_matrix: np.ndarray, s0: np.ndarray, hkl: np.ndarray) -> Excitation:
    """Compute where lattice points lie beside the Ewald sphere.

    Parameters
    ----------
    a_matrix : (3, 3) float64
        A = UB, 1/Å.
    s0 : (3,) float64
        Incident wave vector, 1/Å.
    hkl : (n, 3) int
        Miller indices.

    Returns
    -------
    Excitation
    """
    q = hkl @ a_matrix.T
    s2 = q + s0
    length = np.linalg.norm(s2, axis=1)
    unit = s2 / length[:, None]
    along = np.einsum("ni,ni->n", q, unit)
    across = np.sqrt(np.maximum(np.einsum("ni,ni->n", q, q) - along**2, 0.0))
    return Excitation(q, length - np.linalg.norm(s0), unit, across)


@dataclass(frozen=True)
class PartialityModel:
    """Widths of lattice points along the normal of the Ewald sphere.

    Attributes
    ----------
    size : float
        a: standard deviation of a point by the domains' size, 1/Å.
    rotation : float
        b: standard deviation of the blocks' rotation about each axis, rad.
    bandwidth : float
        c: standard deviation of the wavelength, as a fraction of it.
    """

    size: float
    rotation: float
    bandwidth: float = 0.0

    def __post_init__(self) -> None:
        if not (self.size > 0.0 and self.rotation >= 0.0 and self.bandwidth >= 0.0):
            raise ValueError("size must be above 0, rotation and bandwidth not below, got "
                             f"{self.size}, {self.rotation} and {self.bandwidth}")

    def compute_variances(self, excitation: Excitation, s0: np.ndarray) -> np.ndarray:
        """Compute the variances S of points along the normals of the sphere.

        Parameters
        ----------
        excitation : Excitation
        s0 : (3,) float64
            Incident wave vector, 1/Å.

        Returns
        -------
        (n,) float64
            In 1/Å².
        """
        square = np.einsum("ni,ni->n", excitation.q, excitation.q)
        band = 0.5 * self.bandwidth * square / np.linalg.norm(s0)
        return self.size**2 + (self.rotation * excitation.across) ** 2 + band**2

    def compute_partialities(self, excitation: Excitation, s0: np.ndarray) -> np.ndarray:
        """Compute partialities p.

        Parameters
        ----------
        excitation : Excitation
        s0 : (3,) float64
            Incident wave vector, 1/Å.

        Returns
        -------
        (n,) float64
            Above 0, to 1.

        Examples
        --------
        >>> model = PartialityModel(size=3e-4, rotation=0.0)
        >>> s0, a_matrix = np.array([0.0, 0.0, -1.0]), 0.02 * np.eye(3)
        >>> excitation = compute_excitation(a_matrix, s0, np.array([[1, 0, 0], [2, 0, 0]]))
        >>> model.compute_partialities(excitation, s0).round(3).tolist()
        [0.801, 0.029]
        """
        variance = self.compute_variances(excitation, s0)
        return self.size / np.sqrt(variance) * np.exp(-0.5 * excitation.epsilon**2 / variance)

    def compute_rays(self, excitation: Excitation, s0: np.ndarray) -> np.ndarray:
        r"""Compute the rays to the middles of spots.

        Of a point off the sphere, those blocks diffract that are turned towards it, of those wavelengths whose sphere
        is nearer. Given that the sum of all displacements along the normal is -epsilon, each term has its share of the
        variance S: blocks are turned on the average so that the point moves by
        :math:`-\varepsilon\,(b q_\perp)^2 / S`, and s0 is longer by the relative amount
        :math:`\varepsilon\,(c^2 \lambda q^2 / 2) / S`. The size of domains does not change the ray's direction.

        Parameters
        ----------
        excitation : Excitation
        s0 : (3,) float64
            Incident wave vector, 1/Å.

        Returns
        -------
        (n, 3) float64
            As long as s0.
        """
        q, unit = excitation.q, excitation.unit
        variance = self.compute_variances(excitation, s0)
        turned = (self.rotation * excitation.across) ** 2 / variance
        lever = 0.5 * np.einsum("ni,ni->n", q, q) / np.linalg.norm(s0)
        longer = self.bandwidth**2 * lever * excitation.epsilon / variance
        axis = np.cross(q, unit)
        # the rotation about q x u by angle w moves q along u by w times |q x u|
        angle = -turned * excitation.epsilon / np.maximum(excitation.across, 1e-12) ** 2
        s1 = (1.0 + longer)[:, None] * s0 + q + angle[:, None] * np.cross(axis, q)
        return s1 * (np.linalg.norm(s0) / np.linalg.norm(s1, axis=1))[:, None]

    def bound_distance(self, s0: np.ndarray, q_max: float, n_sigma: float) -> tuple[float, float]:
        """Bound the distance from the sphere of points within `n_sigma` standard deviations, as constant and slope.

        Parameters
        ----------
        s0 : (3,) float64
            Incident wave vector, 1/Å.
        q_max : float
            The longest lattice point, 1/Å.
        n_sigma : float

        Returns
        -------
        constant : float
            1/Å.
        slope : float
            To be multiplied with \\|q\\|.
        """
        return n_sigma * self.size, n_sigma * (self.rotation + 0.5 * self.bandwidth * q_max / float(np.linalg.norm(s0)))

    def to_dict(self) -> dict[str, float]:
        """Write the model as a dictionary, as experiments hold it beside their profile."""
        return {"size": self.size, "rotation": float(np.rad2deg(self.rotation)), "bandwidth": self.bandwidth}

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> PartialityModel:
        """Read the model of a dictionary of :meth:`to_dict`.

        Raises
        ------
        FormatError
            If a number is missing, or is none of a width.
        """
        try:
            return cls(float(source["size"]), float(np.deg2rad(source["rotation"])), float(source["bandwidth"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"partiality: size (1/Å), rotation (degrees) and bandwidth must be numbers: {error}"
                              ) from error
