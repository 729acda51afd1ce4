"""The rotation axis from the spots alone: the azimuth under which differences between spots gather in directions.

With the right axis all spots lie on a lattice, and the differences between them point in few directions. With a wrong
one they smear out. The axis is taken to lie across the beam, as on an electron microscope. Directions are counted in
cells of equal area (azimuth, height) on the sphere. The variance of the counts is the largest for the right azimuth.
The opposite azimuth is the opposite sense of rotation.

References
----------
Gorelik et al. (2012) in "Uniting electron crystallography and powder diffraction", 337,
doi:10.1007/978-94-007-5580-2_31 (the cylindrical projection of difference vectors).
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.indexing.options import AxisSearch
from xdp.indexing.spots import load_spots
from xdp.prediction.rays import rotate_vectors
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

# Choices, tried on simulated electron diffraction (tests/indexing/test_rotation_axis.py).
_BINS = (720, 180)  # of azimuth and height: half a degree at the equator, where a few spots' differences still gather
_GLOBAL_SAMPLE = 700  # spots for the coarse search; pairs of them are counted, a quarter of a million
_FEW = 30           # spots that are needed
_STAGES = ((180.0, 5.0), (5.0, 1.0), (1.0, 0.1))  # half width and step of each search, degrees


def find_rotation_axis(experiments: ExperimentList, reflections: ReflectionTable, options: AxisSearch | None = None
                       ) -> tuple[ExperimentList, float]:
    """Find the likeliest rotation axis across the beam.

    Parameters
    ----------
    experiments : ExperimentList
        Sweeps on one goniometer.
    reflections : ReflectionTable
        The strong spots.
    options : AxisSearch, optional
        The spots that are used, and where the search begins.

    Returns
    -------
    experiments : ExperimentList
        With the axis.
    azimuth : float
        In degrees. An azimuth a, as DIALS counts it, is that of the axis (cos a, -sin a, 0).

    Raises
    ------
    XdpError
        If there are too few spots, no scan, or more than one goniometer.
    """
    options = options or AxisSearch()
    first = experiments[0]
    if first.is_still or first.goniometer is None:
        raise XdpError("find_rotation_axis: the first experiment is no scan on a goniometer")
    if len(experiments.unique("goniometer")) > 1:
        raise XdpError("find_rotation_axis: the experiments have different goniometers; give one sweep")
    rays, phi = _select_rays(experiments, load_spots(experiments, reflections).table, options)
    start = _compute_azimuth(first) if options.azimuth is None else options.azimuth
    best = start + 180.0 if options.opposite else start
    for half, step in _STAGES if options.global_search else _STAGES[1:]:
        trials = best + np.arange(-half, half + 0.5 * step, step)
        most = _GLOBAL_SAMPLE if half == _STAGES[0][0] else len(phi)
        sharpness = [_measure_sharpness(rays[:most], phi[:most], first, a) for a in trials]
        best = float(trials[int(np.argmax(sharpness))])
        logger.info("azimuth %.2f degrees, variance %.3f (searched %.1f to %.1f)", best, max(sharpness), trials[0],
                    trials[-1])
    best = (best + 180.0) % 360.0 - 180.0
    other = _measure_sharpness(rays, phi, first, best + 180.0)
    logger.info("variance with the opposite sense of rotation %.3f", other)
    goniometer = _set_axis(first.goniometer, _make_axis(best))
    return ExperimentList([replace(e, goniometer=goniometer) for e in experiments], experiments.extra), best


def _select_rays(experiments: ExperimentList, table: ReflectionTable, options: AxisSearch
                 ) -> tuple[np.ndarray, np.ndarray]:
    """s1 - s0 (n, 3) in the laboratory and angles (n,) of the innermost spots within the limits."""
    s0 = np.stack([e.known.beam.s0 for e in experiments])[table["imageset_id"]]
    q = table["s1"] - s0
    size = np.linalg.norm(q, axis=1)
    two_theta = np.degrees(2.0 * np.arcsin(np.clip(0.5 * size / np.linalg.norm(s0, axis=1), 0.0, 1.0)))
    keep = size > 1e-9
    if options.max_two_theta:
        keep &= two_theta <= options.max_two_theta
    if options.d_max:
        keep &= size >= 1.0 / options.d_max
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(size[rows], kind="stable")][: options.max_sample_size]
    if len(rows) < _FEW:
        raise XdpError(f"find_rotation_axis: {len(rows)} spots within d_max={options.d_max} and "
                       f"max_two_theta={options.max_two_theta} are too few, at least {_FEW} are needed")
    return q[rows], table["xyzobs.mm.value"][rows, 2]


def _compute_azimuth(experiment: Experiment) -> float:
    """The azimuth of the present axis, degrees."""
    x, y, _ = experiment.known.goniometer.rotation_axis_lab
    return float(np.degrees(np.arctan2(-y, x)))


def _make_axis(azimuth: float) -> np.ndarray:
    """The unit vector with an azimuth in degrees."""
    angle = np.radians(azimuth)
    return np.array([np.cos(angle), -np.sin(angle), 0.0])


def _measure_sharpness(q: np.ndarray, phi: np.ndarray, experiment: Experiment, azimuth: float) -> float:
    """The variance of the counts of directions of differences, relative to their mean."""
    axis = _make_axis(azimuth)
    turned = rotate_vectors(q, axis, -phi)
    across = np.cross(axis, experiment.known.beam.unit_s0)
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(axis, across), axis])  # the same view for each azimuth
    # spots turned back by their angles lie in the crystal's frame: differences of all pairs
    i, j = np.triu_indices(len(q), k=1)
    delta = (turned[i] - turned[j]) @ frame.T
    length = np.maximum(np.linalg.norm(delta, axis=1), 1e-12)
    # a direction and its opposite are the same
    delta = np.where(delta[:, :1] < 0.0, -delta, delta)
    azimuth_bin = ((np.arctan2(delta[:, 1], delta[:, 0]) / np.pi + 0.5) * (_BINS[0] - 1e-6)).astype(np.int64)
    height_bin = ((delta[:, 2] / length + 1.0) * 0.5 * (_BINS[1] - 1e-6)).astype(np.int64)
    counts = np.bincount(azimuth_bin * _BINS[1] + height_bin, minlength=_BINS[0] * _BINS[1])
    return float(counts.var() / counts.mean())


def _set_axis(goniometer: Goniometer, axis: np.ndarray) -> Goniometer:
    """The goniometer with its rotation axis in the laboratory turned to `axis`."""
    if not goniometer.is_multi_axis:
        datum = np.linalg.solve(goniometer.S, axis)
        return replace(goniometer, rotation_axis=tuple(float(v) for v in datum))
    now = goniometer.rotation_axis_lab
    turn = _find_turn(now, axis)
    axes = [tuple(float(v) for v in turn @ np.asarray(a)) for a in goniometer.axes]
    return Goniometer.multi_axis(axes, goniometer.angles, goniometer.names, goniometer.scan_axis)


def _find_turn(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) from one unit vector to another."""
    normal = np.cross(first, second)
    if np.linalg.norm(normal) < 1e-12:
        normal = np.cross(first, np.eye(3)[np.argmin(np.abs(first))]) if first @ second < 0.0 else np.array([1.0, 0, 0])
    normal = normal / np.linalg.norm(normal)
    angle = np.arccos(np.clip(first @ second, -1.0, 1.0))
    return rotate_vectors(np.eye(3), normal, np.full(3, angle)).T
