"""The shape of reciprocal lattice points: covariances of a three-dimensional normal distribution.

A covariance is Sigma = L L^T with L lower triangular, so that any parameters give a valid one. The models differ in
which elements of L are free and which are equal. The simple ones hold in the lab for all points alike; the angular ones
hold in axes that turn with the scattering vector r, ``(r x s0, r x (r x s0), r)``, so that the first two describe
rotations of the crystal's blocks and the third their sizes and strains.

References
----------
J. M. Parkhurst, "Statistically robust methods for the integration and analysis of X-ray diffraction data from pixel
array detectors", thesis, University of Cambridge (2020), chapter on still images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.errors import FormatError

#: For each model the elements of L that each parameter fills.
ELEMENTS: dict[str, tuple[tuple[tuple[int, int], ...], ...]] = {
    "simple1": (((0, 0), (1, 1), (2, 2)),),
    "simple6": (((0, 0),), ((1, 0),), ((1, 1),), ((2, 0),), ((2, 1),), ((2, 2),)),
    "angular2": (((0, 0), (1, 1)), ((2, 2),)),
    "angular4": (((0, 0),), ((1, 0),), ((1, 1),), ((2, 2),)),
}


@dataclass(frozen=True)
class EllipsoidModel:
    """The distribution of a crystal's reciprocal lattice points about their nodes.

    Attributes
    ----------
    parameterisation : str
        ``simple1``, ``simple6``, ``angular2`` or ``angular4``.
    parameters : tuple of float
        Elements of L, Å⁻¹.
    """

    parameterisation: str
    parameters: tuple[float, ...]

    @classmethod
    def make_isotropic(cls, parameterisation: str, sigma: float) -> EllipsoidModel:
        """A sphere of standard deviation `sigma` (Å⁻¹), in the named parameterisation.

        Examples
        --------
        >>> EllipsoidModel.make_isotropic("angular4", 0.002).parameters
        (0.002, 0.0, 0.002, 0.002)
        """
        return cls(parameterisation, tuple(sigma * float(all(i == j for i, j in cells))
                                           for cells in ELEMENTS[parameterisation]))

    @property
    def is_angular(self) -> bool:
        """Whether the covariance turns with the scattering vector."""
        return self.parameterisation.startswith("angular")

    @property
    def sigma(self) -> np.ndarray:
        """The covariance (3, 3), Å⁻²."""
        return make_covariance(self.parameterisation, np.asarray(self.parameters))

    def compute_mosaicity(self, wavelength: float) -> dict[str, float]:
        """Standard deviations along the principal axes, in degrees on an Ewald sphere of radius 1/`wavelength` (Å).

        Returns
        -------
        dict of str to float
            ``min``, ``mid``, ``max``; of an angular model ``angular_0``, ``angular_1`` (across the scattering vector)
            and ``radial``.
        """
        if not self.is_angular:
            # no axis of the lab means anything to a crystal: sorted by size
            values = np.sort(_to_degrees(np.linalg.eigvalsh(self.sigma), wavelength)).tolist()
            return dict(zip(("min", "mid", "max"), values, strict=True))
        across = _to_degrees(np.linalg.eigvalsh(self.sigma[:2, :2]), wavelength)
        radial = float(_to_degrees(self.sigma[2, 2], wavelength))
        return {"angular_0": float(across[0]), "angular_1": float(across[1]), "radial": radial}

    @classmethod
    def from_dict(cls, source: dict[str, Any]) -> EllipsoidModel:
        """The model of an experiment's ``profile`` in DIALS' form.

        Raises
        ------
        FormatError
            If it is none of these models.
        """
        name, values = source.get("parameterisation"), source.get("parameters", ())
        if source.get("__id__") != "ellipsoid" or name not in ELEMENTS or len(values) != len(ELEMENTS[str(name)]):
            raise FormatError(f"the profile model is not an ellipsoid of {', '.join(ELEMENTS)}: {source}")
        return cls(str(name), tuple(float(v) for v in values))

    def to_dict(self) -> dict[str, Any]:
        """Write the model as the ``profile`` of an experiment, in DIALS' form.

        Returns
        -------
        dict
            ``__id__``, ``parameterisation``, ``parameters`` and, for readers, ``sigma`` (3, 3), Å⁻².
        """
        return {"__id__": "ellipsoid", "parameterisation": self.parameterisation,
                "parameters": list(self.parameters), "sigma": self.sigma.tolist()}


def make_triangle(parameterisation: str, parameters: np.ndarray) -> np.ndarray:
    """Make the lower triangular L (3, 3) of a model.

    Parameters
    ----------
    parameterisation : str
        One of :data:`ELEMENTS`.
    parameters : (k,) float64

    Examples
    --------
    >>> make_triangle("angular4", np.array([1.0, 2.0, 3.0, 4.0])).tolist()
    [[1.0, 0.0, 0.0], [2.0, 3.0, 0.0], [0.0, 0.0, 4.0]]
    """
    return np.tensordot(parameters, _make_patterns(parameterisation), axes=1)


def make_covariance(parameterisation: str, parameters: np.ndarray) -> np.ndarray:
    """The covariance Sigma = L L^T (3, 3) of a model's name and its parameters (k,).

    Examples
    --------
    >>> import numpy as np
    >>> make_covariance("angular2", np.array([2.0, 3.0])).tolist()
    [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 9.0]]
    """
    lower = make_triangle(parameterisation, parameters)
    return lower @ lower.T


def differentiate_covariance(parameterisation: str, parameters: np.ndarray) -> np.ndarray:
    r"""Differentiate the covariance by each parameter: :math:`d\Sigma/dp = E L^T + L E^T`, with :math:`E = dL/dp`.

    Parameters
    ----------
    parameterisation : str
        One of :data:`ELEMENTS`.
    parameters : (k,) float64

    Returns
    -------
    (k, 3, 3) float64
    """
    # L is linear in its parameters, so that E does not depend on them
    product = _make_patterns(parameterisation) @ make_triangle(parameterisation, parameters).T
    return product + np.swapaxes(product, 1, 2)


def _make_patterns(parameterisation: str) -> np.ndarray:
    """Make E = dL/dp (k, 3, 3): 1 in the elements of L that p fills."""
    groups: Sequence[Sequence[tuple[int, int]]] = ELEMENTS[parameterisation]
    patterns = np.zeros((len(groups), 3, 3))
    for pattern, cells in zip(patterns, groups, strict=True):
        for cell in cells:
            pattern[cell] = 1.0
    return patterns


def _to_degrees(variance: Any, wavelength: float) -> np.ndarray:
    """Convert variances in Å⁻² to standard deviations in degrees, seen from the middle of the Ewald sphere."""
    return np.rad2deg(np.sqrt(variance) * wavelength)
