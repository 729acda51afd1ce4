"""Rays and rotations: directions of diffracted beams, and what the goniometer does to a vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.goniometer import Goniometer


def compute_s1_from_lab(lab: Any, wavelength: float) -> np.ndarray:
    """Compute the wave vectors from the sample towards points of the lab.

    Parameters
    ----------
    lab : (..., 3)
        Any unit of length.
    wavelength : float
        Å.

    Returns
    -------
    (..., 3) float64
        Of length 1/wavelength, Å⁻¹.
    """
    lab = np.asarray(lab, dtype=np.float64)
    return lab / (np.linalg.norm(lab, axis=-1, keepdims=True) * wavelength)


def compute_s1_from_q(beam: Beam, q: Any) -> np.ndarray:
    """Compute the diffracted wave vectors s1 = s0 + q.

    Parameters
    ----------
    beam : Beam
    q : (..., 3)
        Reciprocal lattice vectors in the lab, Å⁻¹.

    Returns
    -------
    (..., 3) float64
        Å⁻¹.
    """
    return beam.s0 + np.asarray(q, dtype=np.float64)


def rotate_vectors(vectors: Any, axis: Any, angles: Any) -> np.ndarray:
    r"""Rotate vectors right-handedly about an axis.

    Rodrigues' formula, with the unit axis :math:`\mathbf e` and the angle :math:`\varphi`:

    .. math::

        \mathbf v' = \mathbf v \cos\varphi + (\mathbf e \times \mathbf v) \sin\varphi
        + \mathbf e\, (\mathbf e \cdot \mathbf v) (1 - \cos\varphi)

    Parameters
    ----------
    vectors
        Shape (..., 3).
    axis
        Shape (3,), any length.
    angles
        Radians, one, or one a vector.

    Returns
    -------
    Shape (..., 3), broadcast over `vectors` and `angles`.

    Examples
    --------
    >>> rotate_vectors([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], np.pi / 2).round(12).tolist()
    [0.0, 0.0, 1.0]
    """
    v = np.asarray(vectors, dtype=np.float64)
    e = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    angle = np.asarray(angles, dtype=np.float64)[..., None]
    cosine = np.cos(angle)
    return v * cosine + np.cross(e, v) * np.sin(angle) + e * ((v @ e)[..., None] * (1.0 - cosine))


def make_rotation_matrices(axis: Any, angles: Any) -> np.ndarray:
    """Make the matrices of right-handed rotations.

    Parameters
    ----------
    axis : (3,)
        Of any length.
    angles : (n,) or a number
        Radians.

    Returns
    -------
    (..., 3, 3) float64
    """
    # the columns of a matrix are the rotated unit vectors
    angle = np.asarray(angles, dtype=np.float64)
    columns = rotate_vectors(np.eye(3), axis, angle[..., None])
    return np.swapaxes(columns, -1, -2)


def make_goniometer_rotations(goniometer: Goniometer, angles: Any) -> np.ndarray:
    """Make the rotations R = S R'(angle) F of a goniometer.

    Parameters
    ----------
    goniometer : Goniometer
        With the setting rotation S and the fixed rotation F.
    angles : (n,) or a number
        Scan angles, radians.

    Returns
    -------
    (..., 3, 3) float64
    """
    return goniometer.S @ make_rotation_matrices(goniometer.rotation_axis_datum, angles) @ goniometer.F


def rotate_to_crystal(goniometer: Goniometer, q: Any, angles: Any) -> np.ndarray:
    """Reciprocal-space vectors seen in the lab at scan angles (radians), turned back to the crystal's own frame.

    The crystal's frame is that of its setting matrix A: all motors undone, the fixed rotation too.

    Parameters
    ----------
    goniometer
        Its R = S R' F is inverted.
    q
        Shape (n, 3), Å⁻¹, lab frame.
    angles
        Shape (n,), radians.
    """
    # rows times S are S^T q: the inverse of a rotation is its transpose
    datum = rotate_vectors(np.asarray(q, dtype=np.float64) @ goniometer.S, goniometer.rotation_axis_datum,
                           -np.asarray(angles))
    return datum @ goniometer.F
