"""Rings of equal resolution on the panels of a detector, and where the beam meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xdp.experiment.pixels import mm_to_px, px_to_mm, ray_intersection

if TYPE_CHECKING:
    from xdp.experiment import Experiment

# Directions that a ring is made of: half a degree apart, 4 pixels at 500 pixels from the beam. A choice.
_RING_STEPS = 720
# Four rings; the fourth at 4/4.4 of the way to the furthest corner, so that some of it is on the detector.
_N_RINGS = 4
_RING_INTERVALS = 4.4


def choose_rings(experiment: Experiment) -> list[float]:
    """Choose the resolutions of rings at equal steps of two theta, from the beam to the furthest corner.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector. Where the beam misses the detector, the steps begin at the nearest corner.

    Returns
    -------
    list of float
        Å, two digits each.
    """
    beam, detector = experiment.known.beam, experiment.known.detector
    corners = np.concatenate([_compute_corner_angles(experiment, i) for i in range(len(detector))])
    nearest = 0.0 if find_beam_centre(experiment) is not None else float(corners.min())
    angles = nearest + (float(corners.max()) - nearest) * np.arange(1, _N_RINGS + 1) / _RING_INTERVALS
    # Bragg: λ = 2 d sin θ.
    return [float(f"{beam.wavelength / (2.0 * np.sin(angle / 2.0)):.2g}") for angle in angles]


def _compute_corner_angles(experiment: Experiment, index: int) -> np.ndarray:
    """Two theta (radians) at a panel's corners, shape (4,)."""
    detector = experiment.known.detector
    fast, slow = detector[index].image_size
    mm = px_to_mm(detector[index], np.array([(0, 0), (fast, 0), (0, slow), (fast, slow)], float))
    lab = np.column_stack([mm, np.ones(4)]) @ detector.d_matrix(index).T
    cosine = lab @ experiment.known.beam.unit_s0 / np.linalg.norm(lab, axis=1)
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def trace_ring(experiment: Experiment, d: float) -> list[tuple[int, list[np.ndarray]]]:
    """Follow the cone of rays with one resolution over the panels.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.
    d : float
        Resolution, Å.

    Returns
    -------
    list of (panel, lines)
        The panels that the ring meets; each line is an array (n, 2) of (fast, slow) pixels. Lines begin upwards of the
        beam. Empty where no panel is met, or no ray has that resolution at this wavelength.
    """
    sine = experiment.known.beam.wavelength / (2.0 * d)
    if sine >= 1.0:
        return []
    rays = _compute_cone(experiment.known.beam.unit_s0, 2.0 * np.arcsin(sine)) / experiment.known.beam.wavelength
    found = []
    for i, panel in enumerate(experiment.known.detector):
        mm, hits = ray_intersection(experiment.known.detector, i, rays)
        xy = np.full((len(rays), 2), np.nan)
        if hits.any():
            xy[hits] = mm_to_px(panel, mm[hits])
        inside = hits & ((xy >= 0.0) & (xy <= np.array(panel.image_size))).all(axis=1)
        if inside.any():
            found.append((i, [xy[run] for run in _find_runs(inside)]))
    return found


def _compute_cone(axis: np.ndarray, angle: float) -> np.ndarray:
    """Unit vectors at `angle` (radians) to a unit vector, all around it and the first again, shape (n, 3)."""
    # (u, v, axis) is a right-handed frame. The first ray of a ring, where its name stands, lies up and to the side; any
    # direction not along the axis would do.
    up = np.array([0.6, 0.8, 0.0])
    u = up - (up @ axis) * axis if abs(up @ axis) < 0.9 else np.cross(axis, up)
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    around = np.linspace(0.0, 2.0 * np.pi, _RING_STEPS + 1)
    return np.cos(angle) * axis + np.sin(angle) * (np.outer(np.cos(around), u) + np.outer(np.sin(around), v))


def _find_runs(inside: np.ndarray) -> list[slice]:
    """Where True follows True, as slices."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    return [slice(a, b) for a, b in edges.reshape(-1, 2)]


def find_beam_centre(experiment: Experiment) -> tuple[int, np.ndarray] | None:
    """Find where the direct beam meets the detector.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.

    Returns
    -------
    (panel, xy) or None
        Panel and point (fast, slow) in pixels; None where the beam misses all panels.
    """
    for i, panel in enumerate(experiment.known.detector):
        mm, hits = ray_intersection(experiment.known.detector, i, np.atleast_2d(experiment.known.beam.s0))
        xy = mm_to_px(panel, mm)[0]
        if hits[0] and (xy >= 0.0).all() and (xy <= np.array(panel.image_size)).all():
            return i, xy
    return None
