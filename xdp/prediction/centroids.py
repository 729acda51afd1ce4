"""From observed centroids in pixels to mm, angles, rays and points of the reciprocal lattice.

Columns are those of the reflection table: ``xyzobs.px.value`` (fast px, slow px, frame) with its variance,
``xyzobs.mm.value`` (mm, mm, rad), ``s1`` (1/Å, laboratory), ``rlp`` (1/Å, in the crystal frame at zero
rotation).
"""

from __future__ import annotations

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.experiment.pixels import mm_to_px, px_to_mm


def centroids_to_mm(experiment: Experiment, panel: np.ndarray, xyz_px: np.ndarray,
                    variance_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centroids (n, 3) and variances in mm, mm, rad of centroids in px, px, frames.

    Variances scale with the pixel size, as the parallax correction is nearly a shift. The third coordinate of a still
    is zero.
    """
    xyz = np.zeros_like(xyz_px)
    variance = np.zeros_like(variance_px)
    for index, plate in enumerate(experiment.known.detector):
        rows = np.flatnonzero(panel == index)
        if len(rows):
            xyz[rows, :2] = px_to_mm(plate, xyz_px[rows, :2])
            variance[rows, :2] = variance_px[rows, :2] * np.square(plate.pixel_size)
    if not experiment.is_still:
        xyz[:, 2] = np.deg2rad(experiment.known.scan.angle(xyz_px[:, 2]))
        variance[:, 2] = variance_px[:, 2] * np.deg2rad(experiment.known.scan.oscillation[1]) ** 2
    return xyz, variance


def centroids_to_px(experiment: Experiment, panel: np.ndarray, xyz_mm: np.ndarray) -> np.ndarray:
    """Centroids (n, 3) in px, px, frames of centroids in mm, mm, rad."""
    xyz = np.zeros_like(xyz_mm)
    for index, plate in enumerate(experiment.known.detector):
        rows = np.flatnonzero(panel == index)
        if len(rows):
            xyz[rows, :2] = mm_to_px(plate, xyz_mm[rows, :2])
    if not experiment.is_still:
        xyz[:, 2] = experiment.known.scan.frame_coordinate(np.rad2deg(xyz_mm[:, 2]))
    return xyz


def compute_diffracted_rays(experiment: Experiment, panel: np.ndarray, xy_mm: np.ndarray) -> np.ndarray:
    """s1 (n, 3) in 1/Å, laboratory frame, of positions (n, 2) in mm on their panels."""
    frames = np.stack([experiment.known.detector.d_matrix(i) for i in range(len(experiment.known.detector))])[panel]
    points = frames[:, :, 0] * xy_mm[:, :1] + frames[:, :, 1] * xy_mm[:, 1:2] + frames[:, :, 2]
    return points / np.linalg.norm(points, axis=1, keepdims=True) / experiment.known.beam.wavelength


def compute_lattice_points(experiment: Experiment, s1: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Points (n, 3) in 1/Å in the frame where A h lies: r = S R(phi) F q undone for each ray at its angle (rad)."""
    r = s1 - experiment.known.beam.s0
    goniometer = experiment.goniometer
    if goniometer is None:
        return r
    inner = r @ goniometer.S  # rows times S is S^T r
    if not experiment.is_still:
        axis = goniometer.rotation_axis_datum
        along = (inner @ axis)[:, None] * axis
        across = inner - along
        c, s = np.cos(phi)[:, None], np.sin(phi)[:, None]
        inner = along + c * across - s * np.cross(axis, across)
    return inner @ goniometer.F
