"""Convert observed centroids: pixels to mm and angles, to rays, to points of the reciprocal lattice.

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
    """Convert centroids and variances from px, px, frames to mm, mm, rad.

    Variances scale with the pixel size, as the parallax correction is nearly a shift. The third coordinate of a still
    is zero.

    Parameters
    ----------
    experiment : Experiment
        With a detector and, for rotation, a scan.
    panel : (n,) int
    xyz_px : (n, 3) float64
        Fast, slow (px), frame.
    variance_px : (n, 3) float64
        px², px², frames².

    Returns
    -------
    xyz, variance : (n, 3) float64
        mm, mm, rad, and their squares.

    Examples
    --------
    >>> from xdp.simulation.models import make_detector, make_goniometer, make_scan
    >>> detector = make_detector((300, 260), parallax=False)
    >>> experiment = Experiment("x", detector=detector, goniometer=make_goniometer(), scan=make_scan(10, 0.5))
    >>> xyz, _ = centroids_to_mm(experiment, np.array([0]), np.array([[100.0, 50.0, 4.0]]), np.ones((1, 3)))
    >>> xyz.round(3).tolist()
    [[17.2, 8.6, 0.035]]
    """
    xyz = np.zeros_like(xyz_px)
    variance = np.zeros_like(variance_px)
    for index, plate in enumerate(experiment.known.detector):
        rows = np.flatnonzero(panel == index)
        # many panels of a large detector have no spot
        if len(rows):
            xyz[rows, :2] = px_to_mm(plate, xyz_px[rows, :2])
            variance[rows, :2] = variance_px[rows, :2] * np.square(plate.pixel_size)
    if not experiment.is_still:
        xyz[:, 2] = np.deg2rad(experiment.known.scan.angle(xyz_px[:, 2]))
        variance[:, 2] = variance_px[:, 2] * np.deg2rad(experiment.known.scan.oscillation[1]) ** 2
    return xyz, variance


def centroids_to_px(experiment: Experiment, panel: np.ndarray, xyz_mm: np.ndarray) -> np.ndarray:
    """Convert centroids from mm, mm, rad to px, px, frames.

    Parameters
    ----------
    experiment : Experiment
        With a detector and, for rotation, a scan.
    panel : (n,) int
    xyz_mm : (n, 3) float64

    Returns
    -------
    (n, 3) float64
        The third coordinate of a still is zero.
    """
    xyz = np.zeros_like(xyz_mm)
    for index, plate in enumerate(experiment.known.detector):
        rows = np.flatnonzero(panel == index)
        if len(rows):
            xyz[rows, :2] = mm_to_px(plate, xyz_mm[rows, :2])
    if not experiment.is_still:
        xyz[:, 2] = experiment.known.scan.frame_coordinate(np.rad2deg(xyz_mm[:, 2]))
    return xyz


def compute_diffracted_rays(experiment: Experiment, panel: np.ndarray, xy_mm: np.ndarray) -> np.ndarray:
    """Compute the diffracted rays towards positions on the detector.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.
    panel : (n,) int
    xy_mm : (n, 2) float64

    Returns
    -------
    (n, 3) float64
        s1 in the laboratory, of length 1/wavelength, Å⁻¹.
    """
    frames = np.stack([experiment.known.detector.d_matrix(i) for i in range(len(experiment.known.detector))])[panel]
    points = frames[:, :, 0] * xy_mm[:, :1] + frames[:, :, 1] * xy_mm[:, 1:2] + frames[:, :, 2]
    return points / np.linalg.norm(points, axis=1, keepdims=True) / experiment.known.beam.wavelength


def compute_lattice_points(experiment: Experiment, s1: np.ndarray, phi: np.ndarray) -> np.ndarray:
    r"""Compute the reciprocal lattice points of rays, in the frame of the crystal at zero rotation.

    There the points are :math:`A h`. In the laboratory they are
    :math:`\mathbf s_1 - \mathbf s_0 = S\, R(\varphi)\, F A h`, which is undone here.

    Parameters
    ----------
    experiment : Experiment
        With a beam; without a goniometer the laboratory is the crystal's frame.
    s1 : (n, 3) float64
        Diffracted rays, Å⁻¹.
    phi : (n,) float64
        Angle at which each was seen, rad.

    Returns
    -------
    (n, 3) float64
        Å⁻¹.
    """
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
