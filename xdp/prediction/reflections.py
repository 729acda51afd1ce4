"""Reflections on the Ewald sphere: where and when a crystal diffracts.

Conventions are DIALS': a reciprocal lattice point A h is turned by R(phi) = S R'(phi) F into the lab, and diffracts
into s1 = s0 + R(phi) A h where |s1| = |s0|.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.experiment.detector import Detector
from xdp.experiment.experiment import Experiment
from xdp.experiment.extent import max_resolution
from xdp.experiment.pixels import mm_to_px, ray_intersection
from xdp.prediction._kernels_passages import find_passages
from xdp.prediction.indices import compute_d_spacings, list_miller_indices
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def predict_rotation(experiment: Experiment, d_min: float | None = None, *, indices: np.ndarray | None = None,
                     margin: float = 0.0) -> ReflectionTable:
    """Reflections of a rotating crystal that meet the detector during the scan.

    Parameters
    ----------
    experiment
        With crystal, goniometer and a scan that rotates.
    d_min
        Finest resolution, Å; that of the detector's farthest corner if not given.
    indices
        Miller indices (n, 3) to predict instead of all to `d_min`.
    margin
        Degrees before and after the scan that are predicted too (spots that reach into it).

    Returns
    -------
    ReflectionTable
        ``miller_index``, ``entering``, ``panel``, ``s1`` (Å⁻¹), ``xyzcal.mm`` (mm, mm, rad), ``xyzcal.px`` (px, px,
        frame), ``d`` (Å), ``flags`` (predicted), ``id`` (0); ordered by angle, then by index.

    Raises
    ------
    ValueError
        If the experiment has no crystal, or does not rotate.
    """
    if experiment.crystal is None or experiment.is_still:
        raise ValueError("a rotating crystal is needed: an experiment with crystal, goniometer and scan")
    detector, beam = experiment.known.detector, experiment.known.beam
    if indices is None:
        indices = list_miller_indices(experiment.crystal, d_min or max_resolution(detector, beam))
    indices = np.ascontiguousarray(indices, np.int32)
    passing, phi, s1 = _find_passages(experiment, indices, margin)
    hkl = indices[passing]
    panel, xy_mm = intersect_detector(detector, s1)
    rows = np.flatnonzero(panel >= 0)
    rows = rows[np.lexsort((hkl[rows, 2], hkl[rows, 1], hkl[rows, 0], phi[rows]))]
    return make_prediction_table(experiment, hkl[rows], phi[rows], s1[rows], panel[rows], xy_mm[rows])


def predict_stills(experiment: Experiment, d_min: float | None = None, *, max_delta_psi: float = 0.2,
                   indices: np.ndarray | None = None) -> ReflectionTable:
    """Reflections of a crystal at rest whose points lie close to the Ewald sphere.

    A point q is brought onto the sphere by the least rotation, about q x s0, of angle delta psi.

    Parameters
    ----------
    experiment
        With a crystal; its goniometer and scan (if any) are not applied.
    d_min
        Finest resolution, Å; that of the detector's farthest corner if not given.
    max_delta_psi
        Largest rotation, degrees.
    indices
        Miller indices (n, 3) to predict instead of all to `d_min`.

    Returns
    -------
    ReflectionTable
        As of :func:`predict_rotation`, frame coordinate 0.5 and angle 0, with ``delpsical.rad``; without ``entering``.
    """
    if experiment.crystal is None:
        raise ValueError("an experiment with a crystal is needed")
    detector, beam = experiment.known.detector, experiment.known.beam
    if indices is None:
        indices = list_miller_indices(experiment.crystal, d_min or max_resolution(detector, beam))
    hkl = np.asarray(indices, np.int32)
    s1, delta_psi = turn_onto_sphere(hkl @ experiment.crystal.A.T, beam.s0)
    panel, xy_mm = intersect_detector(detector, s1)
    rows = np.flatnonzero((panel >= 0) & (np.abs(delta_psi) <= np.deg2rad(max_delta_psi)))
    table = make_prediction_table(experiment, hkl[rows], np.zeros(len(rows)), s1[rows], panel[rows], xy_mm[rows])
    return table.with_columns(**{"delpsical.rad": delta_psi[rows]})


def intersect_detector(detector: Detector, s1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersect rays with the panels of a detector.

    Parameters
    ----------
    detector : Detector
    s1 : (n, 3)
        Rays, of any length.

    Returns
    -------
    panel : (n,) int64
        The panel that each ray meets, -1 for none; of overlapping panels the first one.
    xy_mm : (n, 2) float64
        Where it meets the panel, mm; NaN for none.
    """
    panel = np.full(len(s1), -1)
    xy_mm = np.full((len(s1), 2), np.nan)
    for i in range(len(detector)):
        # only rays that have met no panel so far
        left = np.flatnonzero(panel < 0)
        xy, hits = ray_intersection(detector, i, s1[left])
        panel[left[hits]] = i
        xy_mm[left[hits]] = xy[hits]
    return panel, xy_mm


def _find_passages(experiment: Experiment, hkl: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all passages within the scan: rows of `hkl`, angles (rad) with whole turns added, and s1 (n, 3)."""
    goniometer, scan = experiment.known.goniometer, experiment.known.scan
    ends = np.sort(np.deg2rad([scan.angle(z) for z in scan.array_range])) + np.deg2rad([-margin, margin])
    arguments = (hkl, goniometer.F @ experiment.known.crystal.A, goniometer.rotation_axis_datum,
                 experiment.known.beam.s0 @ goniometer.S, *ends.tolist())
    # two passages a turn at most, spread more or less evenly
    capacity = int(1.1 * len(hkl) * np.diff(ends)[0] / np.pi) + 16
    while True:
        rows, angles, rays = np.empty(capacity, np.int64), np.empty(capacity), np.empty((capacity, 3))
        found = find_passages(*arguments, rows, angles, rays)
        if found <= capacity:
            return rows[:found], angles[:found], rays[:found] @ goniometer.S.T
        capacity = found


def turn_onto_sphere(q: np.ndarray, s0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn points onto the sphere about q x s0: their rays (n, 3) and the signed angles delta psi (n,), rad.

    The turned point has component ``-q.q/(2|s0|)`` along s0, and the rest of its length across, on q's side.
    """
    k = np.linalg.norm(s0)
    beam = s0 / k
    length = np.linalg.norm(q, axis=1)
    along = q @ beam
    across = q - along[:, None] * beam
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    target = -0.5 * length**2 / k
    turned = np.sqrt(np.maximum(length**2 - target**2, 0.0))
    # Angles from the beam towards `across`; about q x s0 the positive sense leads from q towards s0.
    now, then = np.arccos(np.clip(along / length, -1, 1)), np.arccos(np.clip(target / length, -1, 1))
    return s0 + target[:, None] * beam + turned[:, None] * across, now - then


def make_prediction_table(experiment: Experiment, hkl: np.ndarray, phi: np.ndarray, s1: np.ndarray, panel: np.ndarray,
                          xy_mm: np.ndarray, entering: np.ndarray | None = None) -> ReflectionTable:
    """Make the table of predicted reflections, row by row as given.

    Parameters
    ----------
    experiment : Experiment
    hkl, phi, s1, panel, xy_mm
        Index (n, 3), angle (n,) in rad, ray (n, 3) in Å⁻¹, panel (n,), where on it (n, 2) in mm.
    entering
        Whether the point goes into the Ewald sphere, (n,); found from s1 if not given. Not for stills.

    Returns
    -------
    ReflectionTable
        As of :func:`predict_rotation`.
    """
    xy_px = np.zeros_like(xy_mm)
    for i, plate in enumerate(experiment.known.detector):
        on_panel = panel == i
        xy_px[on_panel] = mm_to_px(plate, xy_mm[on_panel])
    frames = np.full(len(phi), 0.5)  # of a still: the middle of its only frame
    columns: dict[str, Any] = {"miller_index": hkl, "panel": panel.astype(np.uint64), "s1": s1}
    if not experiment.is_still:
        frames = np.asarray(experiment.known.scan.frame_coordinate(np.rad2deg(phi)))
        if entering is None:
            entering = s1 @ np.cross(experiment.known.beam.s0, experiment.known.goniometer.rotation_axis_lab) < 0.0
        columns["entering"] = entering
    columns |= {
        "xyzcal.mm": np.column_stack([xy_mm, phi]),
        "xyzcal.px": np.column_stack([xy_px, frames]),
        "d": compute_d_spacings(experiment.known.crystal, hkl) if len(hkl) else np.zeros(0),
        "flags": np.full(len(phi), int(Flag.PREDICTED), np.uint64),
        "id": np.zeros(len(phi), np.int32),
    }
    return ReflectionTable(columns, {0: experiment.identifier} if experiment.identifier else {}, len(phi))
