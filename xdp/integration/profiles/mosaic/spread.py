r"""How wide a reflection is across the ray, by the physics of its width.

In Kabsch's frame (e1 along s1 x s0, tangential; e2 at right angles to it, radial) a reflection has the variances

.. math::

    \sigma_1^2 = \sigma_0^2 + 4 \sin^2\theta\; \left(n^T H n + \kappa^2 (m \cdot n / \zeta)^2\right), \qquad
    \sigma_2^2 = \sigma_0^2 + \tau^2 \tan^2\theta,
    \qquad \tau^2 = 4 \left(\frac{\delta\lambda}{\lambda}\right)^2 + (a \lambda)^2 .

- Mosaic blocks are turned by small angles of covariance H (in the crystal's frame; ``eta^2`` times the unit matrix if
  they are turned about all axes alike). A turn w moves the reciprocal lattice point q by w x q. Along e1 that is
  ``w . (q x e1)``, an angle of ``w . n |q| / |s1|``. Here n is the unit vector along q x e1, and ``|q| / |s1|`` is
  ``2 sin theta``. Across e1 the turn changes when the point diffracts: after a rotation about the axis m of the
  crystal, not about e1. So it is not where it would have been: while a reflection of range kappa passes, it drifts
  along e1 by kappa ``2 sin theta`` m.n / zeta.
- A wavelength that is longer by d lambda turns the ray by ``2 tan theta`` times d lambda / lambda along e2.
- Lattice points of standard deviation a (1/Å) widen reflections by a lambda along e1, and by ``a lambda / cos theta``
  along e2. Since ``1 / cos^2 = 1 + tan^2``, the first part cannot be told from sigma_0, nor the second from bandwidth.

To these come the detector's own blur, and for a beam or crystal of finite size much the same: so many pixels, whatever
the angle that a pixel subtends. The depth of the sensor and the size of its pixels are known.

References
----------
W. Kabsch, Acta Cryst. D66, 133 (2010), doi:10.1107/S0907444909047374; T. J. Greenhough & J. R. Helliwell, J. Appl.
Cryst. 15, 338 (1982), doi:10.1107/S002188988201211X; C. Nave, Acta Cryst. D54, 848 (1998),
doi:10.1107/S0907444998001875; J. Synchrotron Rad. 21, 537 (2014), doi:10.1107/S1600577514003609.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.prediction.rays import make_goniometer_rotations
from xdp.reflections.table import ReflectionTable

LEAST_OF_PIXEL = 0.05
"""A reflection counts as at least so much of its pixel's variance wide: what is far below a pixel cannot be measured,
and a grid must not become much finer than pixels. A choice."""


_LEAST_ZETA = 0.02
"""Nearer to the rotation axis a drift is taken as that there: such reflections are not integrated by default."""


class RayGeometry(NamedTuple):
    """What the widths of n reflections depend on.

    Attributes
    ----------
    two_sine, tangent, drift : (n,) float64
        2 sin theta, tan theta, and m.n / zeta; the last is 0 for stills.
    pixel, depth : (n, 2) float64
        Variances along e1 and e2 of the area of a pixel, and of the depth at which its sensor absorbs, rad^2.
    axis, normal : (n, 3) float64
        Unit vectors e1 and n = q x e1 / |q| in the crystal's frame; (0, 3) where they are not asked for.
    """

    two_sine: np.ndarray
    tangent: np.ndarray
    drift: np.ndarray
    pixel: np.ndarray
    depth: np.ndarray
    axis: np.ndarray
    normal: np.ndarray


def describe_rays(experiment: Experiment, table: ReflectionTable, *, with_crystal: bool = False) -> RayGeometry:
    """Compute what the widths of reflections depend on.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector; for `with_crystal` also crystal and, where it rotates, goniometer and scan.
    table : ReflectionTable
        With ``s1``, ``panel`` and, for `with_crystal`, ``xyzcal.px``.
    with_crystal : bool
        Also compute the directions in the crystal's frame.

    Returns
    -------
    RayGeometry
    """
    beam = experiment.known.beam
    u = table["s1"] / np.linalg.norm(table["s1"], axis=1, keepdims=True)
    e1 = np.cross(u, beam.unit_s0)
    e1 /= np.maximum(np.linalg.norm(e1, axis=1, keepdims=True), 1e-12)
    axes = np.stack([e1, np.cross(u, e1)], axis=1)
    two_sine = np.linalg.norm(u - beam.unit_s0, axis=1)
    sine = np.minimum(0.5 * two_sine, 0.999)
    pixel, depth = _compute_known_variances(experiment, np.asarray(table["panel"], np.int64), u, axes)
    lab_normal = np.cross((u - beam.unit_s0) / np.maximum(two_sine, 1e-12)[:, None], e1)
    drift = np.zeros(len(u))
    if not experiment.is_still:
        m = experiment.known.goniometer.rotation_axis_lab
        drift = lab_normal @ m / np.maximum(np.abs(e1 @ m), _LEAST_ZETA)
    axis, normal = np.zeros((2, 0, 3))
    if with_crystal:
        axis, normal = (_turn_to_crystal(experiment, table, v) for v in (e1, lab_normal))
    return RayGeometry(two_sine, sine / np.sqrt(1.0 - sine * sine), drift, pixel, depth, axis, normal)


def _compute_known_variances(experiment: Experiment, panel: np.ndarray, u: np.ndarray, axes: np.ndarray
                             ) -> tuple[np.ndarray, np.ndarray]:
    """Compute the variances along `axes` (n, 2, 3) of a pixel's area and of the sensor's depth, rad^2 (n, 2)."""
    panels = experiment.known.detector
    d = np.stack([np.asarray(p.d_matrix, np.float64) for p in panels])
    normal = np.cross(d[:, :, 0], d[:, :, 1])
    cosine = np.einsum("ij,ij->i", normal[panel], u)
    distance = np.maximum(np.abs(np.einsum("pj,pj->p", normal, d[:, :, 2])[panel]), 1e-9) / np.maximum(np.abs(cosine),
                                                                                                     1e-3)
    size = np.array([p.pixel_size for p in panels])
    # a step along the panel turns the ray by its part across the ray
    steps = np.einsum("nkj,njf->nkf", axes, (d[:, :, :2] * size[:, None, :])[panel]) / distance[:, None, None]
    mu = np.array([p.mu * p.corrects_parallax for p in panels])[panel]
    path = np.array([p.thickness or 0.0 for p in panels])[panel] / np.maximum(np.abs(cosine), 1e-3)
    # a photon absorbed deeper lies farther along the ray's part in the panel; only what is across the ray counts
    aside = np.einsum("nkj,nj->nk", axes, normal[panel]) * (cosine / distance)[:, None]
    return np.square(steps).sum(axis=2) / 12.0, aside * aside * _compute_depth_variance(mu, path)[:, None]


def _compute_depth_variance(mu: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Variance (n,) of the depth along a path at which photons are absorbed that are absorbed at all, mm^2."""
    x = mu * path
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # an exponential cut off at x: 1 - x^2 e^x / (e^x - 1)^2, in units of 1/mu^2
        part = 1.0 - x * x / (4.0 * np.sinh(0.5 * np.minimum(x, 500.0)) ** 2)
        return np.where(x > 1e-3, part / (mu * mu), np.where(mu > 0.0, path * path / 12.0, 0.0))


def _turn_to_crystal(experiment: Experiment, table: ReflectionTable, vectors: np.ndarray) -> np.ndarray:
    """Turn vectors (n, 3) of the lab to the crystal's frame, in which its mosaic blocks stay as they are."""
    if not experiment.is_still:
        scan = experiment.known.scan
        turns = make_goniometer_rotations(experiment.known.goniometer, np.deg2rad(scan.angle(table["xyzcal.px"][:, 2])))
        vectors = np.einsum("nji,nj->ni", turns, vectors)
    return vectors @ np.asarray(experiment.known.crystal.U)


@dataclass(frozen=True)
class MosaicSpread:
    """What makes reflections wide, in the terms of the module's formula.

    Attributes
    ----------
    divergence : float
        sigma_0^2, rad^2.
    rotation : (3, 3) float64
        H, rad^2; all 0 where data do not show it.
    radial, drift : float
        tau^2 and kappa^2, rad^2.
    blur : float
        Variance of the detector's blur along each axis, px^2.
    scale, grid : float
        Foregrounds are so much wider than the variances with their pixel say, and grids of profiles than those with two
        pixels: both are on the average as wide as sigma_b, of two coordinates together, makes them.
    along : (float, float)
        What the rotation has of the reflecting range: ``sigma_m^2 first (1 - second + second e1^T H e1 / mean)``.
    """

    divergence: float
    rotation: np.ndarray
    radial: float
    drift: float = 0.0
    blur: float = 0.0
    scale: float = 1.0
    grid: float = 1.0
    along: tuple[float, float] = (1.0, 0.0)

    @property
    def is_isotropic(self) -> bool:
        """Whether blocks are turned about all axes alike."""
        return bool(np.all(self.rotation == self.rotation[0, 0] * np.eye(3)))

    @property
    def mean_rotation(self) -> float:
        """Mean of the diagonal of H: eta^2."""
        return float(np.trace(self.rotation)) / 3.0

    def compute_variances(self, rays: RayGeometry) -> np.ndarray:
        """Compute the variances of reflections along e1 and e2, without their pixels.

        Parameters
        ----------
        rays : RayGeometry
            With the crystal's frame, unless rotations are isotropic.

        Returns
        -------
        (n, 2) float64
            In rad^2; not below `LEAST_OF_PIXEL` of the pixel's.
        """
        if self.is_isotropic:
            turned = self.mean_rotation
        else:
            turned = np.einsum("ni,ij,nj->n", rays.normal, self.rotation, rays.normal)
        out = np.stack([self.divergence + (turned + self.drift * rays.drift ** 2) * rays.two_sine ** 2,
                        self.divergence + self.radial * rays.tangent ** 2], axis=1)
        # the variance of a pixel's area is a twelfth of its square
        out += 12.0 * self.blur * rays.pixel
        return np.maximum(out + rays.depth, LEAST_OF_PIXEL * rays.pixel)

    def compute_range_factor(self, rays: RayGeometry) -> np.ndarray | float:
        """Compute by what sigma_m^2 of each reflection is multiplied, (n,); 1.0 where rotations do not tell."""
        first, second = self.along
        if not second > 0.0:
            return 1.0
        turned = np.einsum("ni,ij,nj->n", rays.axis, self.rotation, rays.axis) / self.mean_rotation
        return first * (1.0 - second + second * turned)

    def describe(self, experiment: Experiment, table: ReflectionTable) -> RayGeometry:
        """Describe the rays of reflections, as far as this model needs it (see :func:`describe_rays`)."""
        return describe_rays(experiment, table, with_crystal=not self.is_isotropic)

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> MosaicSpread:
        """The model of a dictionary as of :meth:`to_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is no such model.
        """
        rotation = np.asarray(source["rotation"], np.float64)
        if rotation.ndim == 0:
            rotation = rotation ** 2 * np.eye(3)
        if rotation.shape != (3, 3) or not np.all(np.isfinite(rotation)):
            raise ValueError("rotation must be a number or 3 x 3 numbers")
        to_rad = np.deg2rad(1.0)
        first, second = (float(v) for v in source["range"])
        found = cls((float(source["divergence"]) * to_rad) ** 2, rotation * to_rad ** 2,
                    (float(source["radial"]) * to_rad) ** 2, (float(source["drift"]) * to_rad) ** 2,
                    float(source["blur"]) ** 2, float(source["scale"]), float(source["grid"]), (first, second))
        terms = (found.divergence, found.radial, found.drift, found.blur)
        if not (min(terms) >= 0.0 and min(found.scale, found.grid) > 0.0 and np.all(np.isfinite(terms))):
            raise ValueError("widths must not be negative")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Write the model as a dictionary: degrees, and degrees^2 for a covariance.

        Returns
        -------
        dict
            ``divergence``, ``rotation`` (eta, or H as 3 x 3), ``radial``, ``drift``, ``blur`` (px), ``scale``,
            ``grid``, ``range``.

        Examples
        --------
        >>> import numpy as np
        >>> spread = MosaicSpread(1e-6, 4e-6 * np.eye(3), 0.0)
        >>> {name: np.round(value, 4).tolist() for name, value in spread.to_dict().items()}["rotation"]
        0.1146
        """
        to_degrees = np.rad2deg(1.0)
        rotation: Any = float(np.sqrt(self.mean_rotation)) * to_degrees
        if not self.is_isotropic:
            rotation = (self.rotation * to_degrees ** 2).tolist()
        return {"divergence": float(np.sqrt(self.divergence)) * to_degrees, "rotation": rotation,
                "radial": float(np.sqrt(self.radial)) * to_degrees, "drift": float(np.sqrt(self.drift)) * to_degrees,
                "blur": float(np.sqrt(self.blur)), "scale": float(self.scale), "grid": float(self.grid),
                "range": [float(v) for v in self.along]}
