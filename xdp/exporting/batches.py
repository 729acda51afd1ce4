"""Batches: each image of each experiment under a number of its own, with its cell and orientation.

CCP4 programs know images as batches. Orientations are told in the Cambridge frame: z along the rotation axis, x along
the beam as far as the axis allows; and cells by Busing and Levy's B with a* along x.

References
----------
CCP4, "MTZ file format" (https://www.ccp4.ac.uk/html/mtzformat.html), batch headers; Busing, W. R. & Levy, H. A.
(1967). Acta Cryst. 22, 457-464, doi:10.1107/S0365110X67000970.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import cell_of
from xdp.experiment.experiment import Experiment


@dataclass(frozen=True)
class Batches:
    """The images of one experiment as batches.

    Attributes
    ----------
    first : int
        Number of the first batch.
    offset : int
        Batch number less image number.
    phi : array (n, 2)
        Angle at the start and at the end of each, degrees; zeros for a still.
    cells : array (n, 6)
        Å and degrees.
    orientations : array (n, 3, 3)
        U in the Cambridge frame at zero rotation.
    axis, source : array (3,)
        Rotation axis (zeros for a still), and direction from sample to source, in the Cambridge frame.
    """

    first: int
    offset: int
    phi: np.ndarray
    cells: np.ndarray
    orientations: np.ndarray
    axis: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.phi)

    def numbers(self, z: np.ndarray) -> np.ndarray:
        """Batch numbers of frame coordinates.

        Parameters
        ----------
        z : array (n,)
            Frame coordinates of centroids; one beyond the first or last image counts to that.

        Returns
        -------
        array (n,), int64
        """
        batch = np.floor(z).astype(np.int64) + 1 + self.offset
        return np.clip(batch, self.first, self.first + len(self) - 1)


def make_batches(experiments: Sequence[Experiment], force_static: bool = False) -> list[Batches]:
    """The batches of experiments, none in two of them.

    Image numbers are kept where they can be; scans with batch offsets of their own keep those if they differ.

    Parameters
    ----------
    experiments : sequence of Experiment
        With crystals.
    force_static : bool
        Take the mean crystal for all images.

    Raises
    ------
    XdpError
        If the scans' own offsets make batches overlap.
    """
    ranges = [image_range(e) for e in experiments]
    own = [e.scan.batch_offset for e in experiments if e.scan is not None]
    # Equal offsets are what nobody set; different ones were given on purpose.
    keep = len(set(own)) > 1 and len(own) == len(experiments)
    offsets = own if keep else batch_offsets(ranges)
    taken = sorted((low + offset, high + offset) for (low, high), offset in zip(ranges, offsets, strict=True))
    if any(after[0] <= before[1] for before, after in itertools.pairwise(taken)):
        raise XdpError("the scans' batch_offset makes batches of two scans equal: give them others, or the same to all")
    return [_batches(e, *r, offset, force_static) for e, r, offset in zip(experiments, ranges, offsets, strict=True)]


def image_range(experiment: Experiment) -> tuple[int, int]:
    """First and last image number of an experiment.

    Returns
    -------
    (int, int)
        0 and 0 without a scan.
    """
    return (0, 0) if experiment.scan is None else (experiment.scan.image_range[0], experiment.scan.image_range[1])


def batch_offsets(ranges: Sequence[tuple[int, int]]) -> list[int]:
    """What to add to the image numbers of each range so that batches are unique, above 0, and ranges do not touch.

    A range keeps its numbers if those before it leave room; the others follow the highest number so far, each from the
    next number that ends in 01 and is not its neighbour.
    """
    offsets, waiting = [0] * len(ranges), []
    taken: list[tuple[int, int]] = []
    for i, (low, high) in enumerate(ranges):
        shift = 1 if low == 0 else 0  # Fortran programs do not count from 0
        if any(low + shift <= end + 1 and high + shift >= start - 1 for start, end in taken):
            waiting.append(i)
            continue
        offsets[i] = shift
        taken.append((low + shift, high + shift))
    highest = max((end for _, end in taken), default=0)
    for i in waiting:
        low, high = ranges[i]
        start = highest - highest % 100 + 101  # the next number that ends in 01, at least one away
        offsets[i] = start - low
        highest = start + high - low
    return offsets


def cambridge_frame(experiment: Experiment) -> np.ndarray:
    """Rotation, shape (3, 3), from the laboratory to the Cambridge frame.

    Of a still, whose axis is not known, the laboratory's x counts as the axis.
    """
    axis = np.array([1.0, 0.0, 0.0]) if experiment.goniometer is None else experiment.goniometer.rotation_axis_datum
    beam = experiment.known.beam.s0 / np.linalg.norm(experiment.known.beam.s0)
    across = beam - (beam @ axis) * axis
    length = np.linalg.norm(across)
    # 1e-3 is 0.06 degrees: nearer to the beam the direction across both is decided by rounding (a choice).
    if length < 1e-3:
        raise XdpError("the rotation axis lies along the beam: no Cambridge frame for the MTZ file")
    x = across / length
    return np.stack([x, np.cross(axis, x), axis])


def _batches(experiment: Experiment, first: int, last: int, offset: int, force_static: bool) -> Batches:
    """The images `first` to `last` of an experiment as batches."""
    n = last - first + 1
    frame = cambridge_frame(experiment)
    axis = np.zeros(3) if experiment.goniometer is None else frame @ experiment.goniometer.rotation_axis_lab
    phi = np.zeros((n, 2))
    if experiment.scan is not None:
        start = experiment.scan.oscillation[0] + np.arange(n) * experiment.scan.oscillation[1]
        phi = np.stack([start, start + experiment.scan.oscillation[1]], axis=1)
    settings, cells = _crystals(experiment, n, force_static)
    # At zero rotation the crystal is turned by S F alone; Busing and Levy's B is divided out of A to give their U.
    carried = np.eye(3) if experiment.goniometer is None else experiment.goniometer.S @ experiment.goniometer.F
    orientations = frame @ carried @ settings @ np.linalg.inv(make_busing_levy(cells))
    return Batches(first + offset, offset, phi, cells, orientations, axis, -frame @ experiment.known.beam.unit_s0)


def _crystals(experiment: Experiment, n: int, force_static: bool) -> tuple[np.ndarray, np.ndarray]:
    """A (n, 3, 3) and cell (n, 6) in the middle of each image: U half the turn on, B the mean of both ends."""
    crystal = experiment.known.crystal
    points = crystal.A_at_scan_points
    if force_static or not points or experiment.goniometer is None or len(points) != n + 1:
        return np.broadcast_to(crystal.A, (n, 3, 3)), np.broadcast_to(crystal.unit_cell, (n, 6))
    # Points stand at the borders of images, so that image i lies between points i and i + 1.
    b = np.stack([_b_of(a) for a in np.reshape(points, (-1, 3, 3))])
    u = np.reshape(points, (-1, 3, 3)) @ np.linalg.inv(b)
    middle_b = 0.5 * (b[:-1] + b[1:])
    settings = _half_turned(u[:-1], u[1:]) @ middle_b
    return settings, np.array([cell_of(axes) for axes in np.linalg.inv(middle_b)])


def _b_of(a: np.ndarray) -> np.ndarray:
    """B of a setting matrix: lower triangular with a positive diagonal, so that A = U B."""
    return np.linalg.inv(np.linalg.cholesky(np.linalg.inv(a.T @ a)))


def _half_turned(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Orientations halfway between two, shape (n, 3, 3): the nearest rotation to their sum."""
    left, _, right = np.linalg.svd(first + last)
    return left @ right


def make_busing_levy(cells: np.ndarray) -> np.ndarray:
    """Make B with a* along x and b* in the x-y plane (equation 3 of Busing and Levy).

    Parameters
    ----------
    cells : (n, 6) float64
        Å and degrees.

    Returns
    -------
    (n, 3, 3) float64
        1/Å; columns are a*, b*, c*.

    Examples
    --------
    >>> make_busing_levy(np.array([[10.0, 20.0, 40.0, 90.0, 90.0, 90.0]]))[0].diagonal().round(6).tolist()
    [0.1, 0.05, 0.025]
    """
    a, b, c = cells[:, :3].T
    alpha, beta, gamma = np.deg2rad(cells[:, 3:]).T
    ca, cb, cg = np.cos(alpha), np.cos(beta), np.cos(gamma)
    volume = a * b * c * np.sqrt(1.0 - ca**2 - cb**2 - cg**2 + 2.0 * ca * cb * cg)
    ra, rb, rc = (p * q * np.sin(angle) / volume for p, q, angle in ((b, c, alpha), (c, a, beta), (a, b, gamma)))
    cos_beta = (ca * cg - cb) / (np.sin(alpha) * np.sin(gamma))
    cos_gamma = (ca * cb - cg) / (np.sin(alpha) * np.sin(beta))
    sin_beta, sin_gamma = np.sqrt(1.0 - cos_beta**2), np.sqrt(1.0 - cos_gamma**2)
    zero = np.zeros(len(cells))
    # equation 3 of Busing and Levy
    rows = [[ra, rb * cos_gamma, rc * cos_beta], [zero, rb * sin_gamma, -rc * sin_beta * ca], [zero, zero, 1.0 / c]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)
