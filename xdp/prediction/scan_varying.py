"""Reflections of a crystal whose setting, beam or goniometer changes during the scan.

Refinement leaves models at the borders of the frames. Within a frame a reciprocal lattice point is taken to go straight
from where the models put it at the beginning to where they put it at the end, and it diffracts where that line crosses
the Ewald sphere.

References
----------
D. G. Waterman et al., "Diffraction-geometry refinement in the DIALS framework", Acta Cryst. D72, 558 (2016),
doi:10.1107/S2059798316002187, on scan-varying models.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.experiment.experiment import Experiment
from xdp.experiment.extent import max_resolution
from xdp.prediction._kernels_crossings import find_crossings
from xdp.prediction.indices import list_lattice_indices
from xdp.prediction.rays import make_rotation_matrices
from xdp.prediction.reflections import intersect_detector, make_prediction_table
from xdp.reflections.table import ReflectionTable


class FrameModels(NamedTuple):
    """Models at the beginning and at the end of each frame that is predicted.

    Attributes
    ----------
    first : int
        Frame coordinate at which the first frame begins.
    begin, end : float64 (m, 3, 3)
        Setting matrices in the lab, S R F A, Å⁻¹.
    beam_begin, beam_end : float64 (m, 3)
        s0, Å⁻¹.
    """

    first: int
    begin: np.ndarray
    end: np.ndarray
    beam_begin: np.ndarray
    beam_end: np.ndarray


def has_varying_models(experiment: Experiment) -> bool:
    """Whether the crystal or the beam has a model for each border of the scan's frames.

    Parameters
    ----------
    experiment : Experiment
        One without a scan, or a still, has none.
    """
    if experiment.scan is None or experiment.is_still:
        return False
    points = experiment.scan.n_frames + 1
    crystal = experiment.crystal.A_at_scan_points if experiment.crystal else None
    return len(crystal or ()) == points or len(experiment.known.beam.extra.get("s0_at_scan_points") or ()) == points


def predict_scan_varying(experiment: Experiment, d_min: float | None = None, *, d_max: float | None = None,
                         margin: int = 1, padding: float = 0.0) -> ReflectionTable:
    """Reflections of a rotating crystal with models that change from frame to frame.

    All indices within the resolution limit of the static cell, and `margin` steps of the reciprocal lattice beyond, are
    followed over the scan.

    Parameters
    ----------
    experiment
        With crystal, goniometer and a scan that rotates; ``A_at_scan_points`` of the crystal,
        ``s0_at_scan_points`` of the beam and ``setting_rotation_at_scan_points`` of the goniometer are used where they
        are as many as the frames and one more.
    d_min
        Finest resolution, Å, at the beginning of the frame; that of the detector's farthest corner if not given.
    d_max
        Coarsest resolution, Å, of the static cell.
    margin
        Steps of the reciprocal lattice: as far beyond the limit an index may be with the static cell and
        still be tried.
    padding
        Degrees before and after the scan that are predicted too, whole frames, with the models of the first and last
        frame.

    Returns
    -------
    ReflectionTable
        As of :func:`xdp.prediction.reflections.predict_rotation`; ordered by angle, then by index.

    Raises
    ------
    ValueError
        If the experiment has no crystal, or does not rotate.
    """
    if experiment.crystal is None or experiment.is_still:
        raise ValueError("a rotating crystal is needed: an experiment with crystal, goniometer and scan")
    d_min = d_min or max_resolution(experiment.known.detector, experiment.known.beam)
    beyond = margin * np.linalg.norm(experiment.crystal.A, axis=0).max()
    hkl = list_lattice_indices(experiment.crystal, 1.0 / (1.0 / d_min + beyond), d_max)
    models = make_frame_models(experiment, padding)
    rows, frames = _find_crossings(hkl.astype(np.float64), models)
    rows, frames, fraction, s1, entering = _intersect_sphere(hkl, models, rows, frames, 1.0 / d_min)
    start, width = np.deg2rad(experiment.known.scan.oscillation)
    phi = start + (models.first + frames - experiment.known.scan.array_range[0] + fraction) * width
    panel, xy_mm = intersect_detector(experiment.known.detector, s1)
    hkl = hkl[rows]
    chosen = np.flatnonzero(panel >= 0)
    chosen = chosen[np.lexsort((hkl[chosen, 2], hkl[chosen, 1], hkl[chosen, 0], phi[chosen]))]
    return make_prediction_table(experiment, hkl[chosen], phi[chosen], s1[chosen], panel[chosen], xy_mm[chosen],
                                 entering[chosen] ^ (width < 0.0))  # as angles grow, not frames


def pad_frames(experiment: Experiment, padding: float) -> tuple[int, int]:
    """Compute the frame coordinates between which to predict: the scan and a padding on both sides.

    Parameters
    ----------
    experiment : Experiment
        With a scan.
    padding : float
        Degrees; rounded to whole frames.

    Returns
    -------
    first, last : int

    Examples
    --------
    >>> from xdp.simulation.models import make_scan
    >>> pad_frames(Experiment("x", scan=make_scan(10, 0.5)), 1.0)
    (-2, 12)
    """
    first, last = experiment.known.scan.array_range
    frames = padding / abs(experiment.known.scan.oscillation[1])
    return int(np.floor(first - frames + 0.5)), int(np.floor(last + frames + 0.5))


def make_frame_models(experiment: Experiment, padding: float = 0.0) -> FrameModels:
    """Make the models at both ends of the frames of a scan.

    Parameters
    ----------
    experiment : Experiment
        With crystal, beam, goniometer and scan.
    padding : float
        Degrees before and after the scan that have frames too, with the models of the scan's ends.

    Returns
    -------
    FrameModels
    """
    scan, goniometer = experiment.known.scan, experiment.known.goniometer
    first, last = pad_frames(experiment, padding)
    frames = np.arange(first, last)
    # frames of the padding have the models of the first and last frame, but turn on
    at = np.clip(frames - scan.array_range[0], 0, scan.n_frames - 1)
    turns = make_rotation_matrices(goniometer.rotation_axis_datum, np.deg2rad(scan.angle(np.arange(first, last + 1))))
    settings = _get_at_points(goniometer.extra.get("setting_rotation_at_scan_points"), goniometer.S, scan.n_frames)
    crystal, beam = experiment.known.crystal, experiment.known.beam
    crystals = goniometer.F @ _get_at_points(crystal.A_at_scan_points, crystal.A, scan.n_frames)
    beams = _get_at_points(beam.extra.get("s0_at_scan_points"), beam.s0, scan.n_frames)
    return FrameModels(first, settings[at] @ turns[:-1] @ crystals[at], settings[at + 1] @ turns[1:] @ crystals[at + 1],
                       beams[at], beams[at + 1])


def _get_at_points(points: object, static: np.ndarray, n_frames: int) -> np.ndarray:
    """Get a model at all borders of frames: as refined where there is one for each, else the static one."""
    if points is not None and len(points) == n_frames + 1:  # type: ignore[arg-type]
        return np.asarray(points, np.float64).reshape(-1, *static.shape)
    return np.broadcast_to(static, (n_frames + 1, *static.shape))


def _find_crossings(hkl: np.ndarray, models: FrameModels) -> tuple[np.ndarray, np.ndarray]:
    """Find all passages through the sphere: rows of `hkl` and frames (from 0)."""
    reach = _bound_change(models)
    capacity = 2 * len(hkl) + 16  # a point passes the sphere about once in a scan of up to half a turn
    while True:
        rows, frames = np.empty((2, capacity), np.int64)
        found = find_crossings(hkl, models.begin, models.end, models.beam_begin, models.beam_end, reach, rows, frames)
        if found <= capacity:
            return rows[:found], frames[:found]
        capacity = found


def _bound_change(models: FrameModels) -> np.ndarray:
    """Bound the change of g = 2 s0.r + r.r from one frame's beginning to the next's, as a |r| + b r.r.

    A step takes r to ``G r`` with ``G = A' A^-1 = R P``, a rotation and a strain. The rotation changes g by
    ``2 s0.(R - 1) r`` alone, the strain by ``(2 s0 + 2 r + d).d`` at most, with d no longer than ``|P - 1| |r|``
    (spectral norms), a shift of s0 by ``2 ds0.r``. With t the most by which r is stretched over the scan, r is at most
    t times as long as at the start.
    """
    states = np.stack([models.begin, models.end], axis=1).reshape(-1, 3, 3)
    beams = np.stack([models.beam_begin, models.beam_end], axis=1).reshape(-1, 3)
    u, stretches, v = np.linalg.svd(states[1:] @ np.linalg.inv(states[:-1]))
    turn = _find_largest_step(np.linalg.norm(u @ v - np.eye(3), ord=2, axis=(1, 2)))
    strain = _find_largest_step(np.abs(stretches - 1.0).max(axis=1))
    shift = _find_largest_step(np.linalg.norm(np.diff(beams, axis=0), axis=1))
    stretch = np.linalg.norm(states @ np.linalg.inv(states[0]), ord=2, axis=(1, 2)).max()
    k = np.linalg.norm(beams, axis=1).max()
    safety = 1.0 + 1e-6  # rounding must not make the bound too small
    return safety * np.array([2.0 * stretch * (k * (turn + strain) + shift), stretch**2 * strain * (2.0 + strain)])


def _find_largest_step(steps: np.ndarray) -> float:
    """Find the largest change during a frame, and at the jump to the next one where models jump (in the padding)."""
    return float(steps[0::2].max() + steps[1::2].max(initial=0.0))


def _intersect_sphere(hkl: np.ndarray, models: FrameModels, rows: np.ndarray, frames: np.ndarray, longest: float) \
        -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Intersect paths with the sphere: rows, frames, fraction of the frame, s1, whether it enters; within the limit."""
    points = hkl[rows].astype(np.float64)
    r1 = np.einsum("nij,nj->ni", models.begin[frames], points)
    keep = np.flatnonzero(np.square(r1).sum(axis=1) <= longest**2)
    rows, frames, r1 = rows[keep], frames[keep], r1[keep]
    dr = np.einsum("nij,nj->ni", models.end[frames], points[keep]) - r1
    s0a, s0b = models.beam_begin[frames], models.beam_end[frames]
    fraction = _solve_fraction(r1, dr, s0a)
    s0 = s0a
    # a beam that moves: the fraction is found from both ends, and the beam taken between them
    if np.any(s0a != s0b):
        from_end = _solve_fraction(r1 + dr, -dr, s0b)
        fraction = fraction / (fraction + from_end)
        ka, kb = (np.linalg.norm(s, axis=1, keepdims=True) for s in (s0a, s0b))
        s0 = 0.5 * (ka + kb) * (s0a / ka + fraction[:, None] * (s0b / kb - s0a / ka))
    entering = np.square(r1).sum(axis=1) + 2.0 * (s0a * r1).sum(axis=1) >= 0.0
    meets = np.flatnonzero(np.isfinite(fraction))
    s1 = s0 + r1 + fraction[:, None] * dr
    return rows[meets], frames[meets], fraction[meets], s1[meets], entering[meets]


def _solve_fraction(r: np.ndarray, dr: np.ndarray, s0: np.ndarray) -> np.ndarray:
    """Solve for the fraction between 0 and 1 at which r + fraction dr lies on the sphere about -s0; NaN for none.

    The quadratic ``dr.dr x^2 + 2 (s0 + r).dr x + (2 s0 + r).r = 0``, solved without cancellation.
    """
    a, b, c = np.square(dr).sum(axis=1), 2.0 * ((s0 + r) * dr).sum(axis=1), ((2.0 * s0 + r) * r).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        q = -0.5 * (b + np.where(b >= 0.0, 1.0, -1.0) * np.sqrt(b * b - 4.0 * a * c))
        first, second = q / a, c / q
        inside = [(x >= 0.0) & (x <= 1.0) for x in (first, second)]
    return np.where(inside[0], first, np.where(inside[1], second, np.nan))
