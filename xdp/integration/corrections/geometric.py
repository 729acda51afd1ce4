r"""Corrections that depend on where a reflection lies: Lorentz and polarisation, and the sensor's efficiency.

Intensities are not changed here. The factors are columns ``lp`` and ``qe``, and scaling programs apply them:
:math:`I \cdot \mathrm{lp} / \mathrm{qe}`.

Parallax, the path of a photon within the sensor before it is absorbed, is no factor but a shift. Predictions contain
it, since they go from mm to pixels through :func:`xdp.experiment.pixels.mm_to_px`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.experiment import Beam, Detector, Experiment, Panel
from xdp.experiment.materials import attenuation_coefficient
from xdp.reflections.table import ReflectionTable


def compute_lp(beam: Beam, s1: np.ndarray, axis: np.ndarray | None = None) -> np.ndarray:
    r"""Compute the factor that corrects an intensity for the Lorentz factor and polarisation, :math:`1 / (L P)`.

    With unit vectors :math:`\mathbf u_0, \mathbf u_1` along s0 and s1, the rotation axis :math:`\mathbf m`, the
    polarisation normal :math:`\mathbf n` and the fraction :math:`f` of the beam that is polarised across it:

    .. math::

        \frac{1}{L} &= |\mathbf u_1 \cdot (\mathbf m \times \mathbf u_0)|

        P &= (1 - 2 f) \left(1 - (\mathbf n \cdot \mathbf u_1)^2\right)
             + f \left(1 + (\mathbf u_0 \cdot \mathbf u_1)^2\right)

    A still has L = 1. A fraction of 0.5 is an unpolarised beam.

    Parameters
    ----------
    beam : Beam
    s1 : (n, 3)
        Diffracted rays, of any length.
    axis : (3,), optional
        Unit rotation axis in the laboratory; None for stills.

    Returns
    -------
    (n,) float64

    Examples
    --------
    A ray at right angles to beam and rotation axis, in the plane of polarisation across the axis:

    >>> from xdp.simulation import make_beam
    >>> beam = make_beam()
    >>> compute_lp(beam, np.array([[0.0, 1.0, 0.0]]), np.array([1.0, 0.0, 0.0])).round(3).tolist()
    [1.001]

    References
    ----------
    Kahn, Fourme, Gadet, Janin, Dumas & André, J. Appl. Cryst. 15, 330 (1982), doi:10.1107/S0021889882012060;
    Kabsch, Acta Cryst. D66, 133 (2010), doi:10.1107/S0907444909047374.
    """
    u1 = _normalise(s1)
    u0 = beam.unit_s0
    normal = _normalise(beam.polarization_normal)
    fraction = beam.polarization_fraction
    polarisation = (1.0 - 2.0 * fraction) * (1.0 - (u1 @ normal) ** 2) + fraction * (1.0 + (u1 @ u0) ** 2)
    # a still does not pass the sphere at some speed: its partiality takes the place of the Lorentz factor
    if axis is None:
        return 1.0 / polarisation
    return np.abs(u1 @ np.cross(axis, u0)) / polarisation


def compute_attenuation(panel: Panel, wavelength: float) -> float:
    """Compute a panel's attenuation coefficient.

    Parameters
    ----------
    panel : Panel
    wavelength : float
        Å.

    Returns
    -------
    float
        mm⁻¹: the panel's own ``mu``, or that of its material where it has none; 0 if neither is known.
    """
    if panel.mu > 0.0 or not panel.material or panel.thickness <= 0.0:
        return float(panel.mu)
    return attenuation_coefficient(panel.material, wavelength)


def compute_efficiency(detector: Detector, panel: np.ndarray, s1: np.ndarray, wavelength: float) -> np.ndarray | None:
    r"""Compute the part of the photons that the sensor absorbs, :math:`1 - \exp(-\mu t / |\cos\alpha|)`.

    :math:`\alpha` is the angle between ray and panel normal, :math:`\mu` the attenuation coefficient and :math:`t` the
    thickness of the sensor.

    Parameters
    ----------
    detector : Detector
    panel : (n,) int
    s1 : (n, 3)
        Diffracted rays, of any length.
    wavelength : float
        Å.

    Returns
    -------
    (n,) float64 or None
        None where no panel states an attenuation or a material. Among panels that do, one that does not gets 1.
    """
    mu = np.array([compute_attenuation(p, wavelength) for p in detector.panels])
    if not np.any(mu > 0.0):
        return None
    depth = mu * np.array([p.thickness for p in detector.panels])
    normals = np.array([np.cross(*detector.d_matrix(i)[:, :2].T) for i in range(len(detector))])
    which = np.asarray(panel).astype(np.int64)
    cosine = np.abs(np.sum(_normalise(s1) * _normalise(normals)[which], axis=1))
    # a ray along the panel has an infinite path, and is absorbed; expm1 keeps thin sensors exact
    with np.errstate(divide="ignore"):
        return np.where(mu[which] > 0.0, -np.expm1(-depth[which] / cosine), 1.0)


def compute_correction_columns(experiments: Sequence[Experiment], table: ReflectionTable) -> dict[str, np.ndarray]:
    """Compute the columns ``lp`` and, where a sensor is known, ``qe``.

    Parameters
    ----------
    experiments : sequence of Experiment
    table : ReflectionTable
        With ``id``, ``panel`` and ``s1``.

    Returns
    -------
    dict of str to (n,) float64
    """
    columns = {"lp": np.ones(len(table))}
    ids = np.asarray(table["id"])
    for number, experiment in enumerate(experiments):
        rows = slice(None) if len(experiments) == 1 else np.flatnonzero(ids == number)
        s1 = table["s1"][rows]
        axis = None if experiment.is_still else experiment.known.goniometer.rotation_axis_lab
        columns["lp"][rows] = compute_lp(experiment.known.beam, s1, axis)
        found = compute_efficiency(experiment.known.detector, table["panel"][rows], s1,
                                   experiment.known.beam.wavelength)
        # experiments without a known sensor get 1 beside others that have one
        if found is not None:
            columns.setdefault("qe", np.ones(len(table)))[rows] = found
    return columns


def _normalise(vectors: np.ndarray | Sequence[float]) -> np.ndarray:
    """Vectors (..., 3) of length 1."""
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
