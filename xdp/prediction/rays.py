"""Rays and rotations: directions of diffracted beams, and what the goniometer does to a vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.goniometer import Goniometer


def compute_s1_from_lab(lab: Any, wavelength: float) -> np.ndarray:
    """Wave vectors (Å⁻¹, length 1/wavelength) from the sample towards lab points; shape (..., 3) both."""
    lab = np.asarray(lab, dtype=np.float64)
    return lab / (np.linalg.norm(lab, axis=-1, keepdims=True) * wavelength)


def compute_s1_from_q(beam: Beam, q: Any) -> np.ndarray:
    """Diffracted wave vectors s1 = s0 + q, Å⁻¹, of reciprocal lattice vectors q in the lab; shape (..., 3)."""
    return beam.s0 + np.asarray(q, dtype=np.float64)


def rotate_vectors(vectors: Any, axis: Any, angles: Any) -> np.ndarray:
    """Turn vectors right-handedly about an axis.

    Rodrigues' formula, v cos + (e x v) sin + e (e.v)(1 - cos).

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
    """
    v = np.asarray(vectors, dtype=np.float64)
    e = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    angle = np.asarray(angles, dtype=np.float64)[..., None]
    cosine = np.cos(angle)
    return v * cosine + np.cross(e, v) * np.sin(angle) + e * ((v @ e)[..., None] * (1.0 - cosine))


def make_rotation_matrices(axis: Any, angles: Any) -> np.ndarray:
    """Matrices of right-handed rotations by `angles` (radians, shape (n,) or a number) about `axis`: (..., 3, 3)."""
    angle = np.asarray(angles, dtype=np.float64)
    columns = rotate_vectors(np.eye(3), axis, angle[..., None])
    return np.swapaxes(columns, -1, -2)


def make_goniometer_rotations(goniometer: Goniometer, angles: Any) -> np.ndarray:
    """R = S R'(angle) F of a goniometer at scan angles (radians), shape (..., 3, 3)."""
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
    datum = rotate_vectors(np.asarray(q, dtype=np.float64) @ goniometer.S, goniometer.rotation_axis_datum,
                           -np.asarray(angles))
    return datum @ goniometer.F
