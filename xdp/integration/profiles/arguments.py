"""What the kernels of profile fitting are given, in groups of plain arrays and numbers.

Numba passes a NamedTuple as if its fields were arguments of their own, so that grouping costs nothing at run time.
Angles are radians, lengths on the detector millimetres, wave vectors inverse ångströms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from xdp.experiment import Experiment
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable


class RotationGeometry(NamedTuple):
    """The instrument: beam, rotation, scan and panels.

    Attributes
    ----------
    s0 : (3,) float64
        Incident wave vector, Å⁻¹.
    m2 : (3,) float64
        Unit vector along the rotation axis in the lab; the letter is Kabsch's.
    turn : float
        Rotation of the crystal while one frame is taken, rad; negative for a scan backwards.
    scan : (2,) int64
        First frame, and the one after the last.
    d, d_inverse : (n_panels, 3, 3) float64
        A point (x mm, y mm) of a panel lies at ``d (x, y, 1)`` in the lab, mm.
    pixel_size : (n_panels, 2) float64
        Fast and slow, mm.
    """

    s0: np.ndarray
    m2: np.ndarray
    turn: float
    scan: np.ndarray
    d: np.ndarray
    d_inverse: np.ndarray
    pixel_size: np.ndarray

    @classmethod
    def from_experiment(cls, experiment: Experiment) -> RotationGeometry:
        """Take the geometry from an experiment.

        Parameters
        ----------
        experiment : Experiment
            With beam, detector, goniometer and scan.
        """
        known = experiment.known
        # inverted once here, not in a kernel for each reflection
        d = np.stack([np.asarray(known.detector.d_matrix(i), np.float64) for i in range(len(known.detector))])
        return cls(np.asarray(known.beam.s0, np.float64), np.asarray(known.goniometer.rotation_axis_lab, np.float64),
                   float(np.deg2rad(known.scan.oscillation[1])), np.asarray(known.scan.array_range, np.int64), d,
                   np.linalg.inv(d), np.array([p.pixel_size for p in known.detector], np.float64))


class GridSteps(NamedTuple):
    """The grid of Kabsch's frame on which profiles stand: 2 half + 1 points along each axis.

    Attributes
    ----------
    step_b, step_m : float
        Between grid points along e1 and e2, and along e3, rad, where they are the same for all reflections.
    sigma : float
        Standard deviation of the Gaussian model, in steps: the same along all axes.
    half : int
        Grid points on either side of the middle.
    edge_erf : (2 half + 2,) float64
        ``erf(x / (sqrt(2) sigma))`` at the limits x of the planes of e3, in steps from the middle.
    """

    step_b: float
    step_m: float
    sigma: float
    half: int
    edge_erf: np.ndarray


class Rays(NamedTuple):
    """Predictions of n reflections.

    Attributes
    ----------
    s1 : (n, 3) float64
        Diffracted wave vectors, Å⁻¹.
    centre : (n, 3) float64
        Predicted fast, slow (px) and frame.
    steps : (n, 3) float64
        Between the points of each reflection's grid along e1, e2 and e3, rad.
    """

    s1: np.ndarray
    centre: np.ndarray
    steps: np.ndarray

    @classmethod
    def from_table(cls, table: ReflectionTable, steps: ArrayLike = 1.0) -> Rays:
        """Take the predictions from a table.

        Parameters
        ----------
        table : ReflectionTable
            With ``s1`` and ``xyzcal.px``.
        steps : (3,) or (n, 3) float64
            Steps of the grid, rad; without them 1.
        """
        # contiguous, since kernels are compiled for that, and for one type only
        return cls(np.ascontiguousarray(table["s1"], np.float64), np.ascontiguousarray(table["xyzcal.px"], np.float64),
                   np.ascontiguousarray(np.broadcast_to(np.asarray(steps, np.float64), (len(table), 3))))


class BoxPixels(NamedTuple):
    """Shoeboxes of n reflections: limits, and pixels (frame, slow, fast) one box after the other.

    Attributes
    ----------
    panel : (n,) int64
    bbox : (n, 6) int32
        Half-open limits: fast, fast, slow, slow, frame, frame.
    offsets : (n + 1,) int64
        Pixels of box i are ``offsets[i]:offsets[i + 1]``.
    data, background : (n_pixels,) float32
        Counts, and counts expected without the reflection.
    mask : (n_pixels,) uint8
        :class:`~xdp.reflections.flags.MaskCode` bits.
    """

    panel: np.ndarray
    bbox: np.ndarray
    offsets: np.ndarray
    data: np.ndarray
    background: np.ndarray
    mask: np.ndarray

    @classmethod
    def from_shoeboxes(cls, boxes: Shoeboxes) -> BoxPixels:
        """Take the arrays of shoeboxes; only the panels are copied.

        Parameters
        ----------
        boxes : Shoeboxes
        """
        # panels are unsigned in files; mixed with signed numbers they would become floats in kernels
        return cls(boxes.panel.astype(np.int64), boxes.bbox, boxes.offsets, boxes.data, boxes.background, boxes.mask)


class ReflectionData(NamedTuple):
    """What kernels must know of n reflections of an experiment: where they lie, and their pixels.

    Attributes
    ----------
    geometry : RotationGeometry
    grid : GridSteps
    rays : Rays
    boxes : BoxPixels
    """

    geometry: RotationGeometry
    grid: GridSteps
    rays: Rays
    boxes: BoxPixels


class ReferenceShapes(NamedTuple):
    """Reference profiles, and which of them each of n reflections is fitted with.

    Attributes
    ----------
    nearest : (n,) int64
        Number of the profile.
    blurred : (n_profiles, n_side, n_side^2) float32
        As counts of pixels make them on the grid: for fits on the grid.
    sharp : (n_profiles, n_side, (n_side + 2)^2) float32
        Without the blur of pixels, with a border of zeros: to be taken to pixels.
    threshold : float
        Points below this fraction of a profile's highest point are faint.
    cuts : (n_profiles,) float32
        `threshold` times the highest point of each blurred profile.
    scatter : (n,) float64
        k^2 of the scatter of shapes about their profile, of each reflection.
    """

    nearest: np.ndarray
    blurred: np.ndarray
    sharp: np.ndarray
    threshold: float
    cuts: np.ndarray
    scatter: np.ndarray


class Fits(NamedTuple):
    """Results of n reflections, filled by the kernels.

    Attributes
    ----------
    value, variance : (n,) float64
        Intensities and their variances, counts and counts²; 0 and -1 without a fit.
    correlation : (n,) float64
        Of the counts with the fitted profile on its background.
    """

    value: np.ndarray
    variance: np.ndarray
    correlation: np.ndarray

    @classmethod
    def make_empty(cls, n: int) -> Fits:
        """Make the results of `n` reflections that are not fitted: 0, variance -1."""
        return cls(np.zeros(n), np.full(n, -1.0), np.zeros(n))
