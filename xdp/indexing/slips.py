"""Crystals that slipped in the middle of a sweep: the residuals of their spots step at one frame.

A crystal that turns by half a degree in its mount is indexed as one lattice, whose cell is a compromise: an axis comes
out about one per cent too long. The residuals d = q - A h of the spots tell. They are fitted by a change of the setting
alone, by one with a steady turn w, and by one with a turn w from some frame on: d = dA h + g w x q, with g = 0, the
part of the sweep that is done, or a step. A slip is where the step explains much that a steady turn does not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from xdp.indexing.search.beam_search import differentiate_by_shift
from xdp.indexing.spots import ReciprocalSpots
from xdp.indexing.state import IndexingState

logger = logging.getLogger(__name__)

# The numbers below are choices, tried on simulated sweeps with slips of 0.4 to 0.8 degrees, with a steady turn, and
# with neither (tests/indexing/test_slips.py).
_PLACES = 40    # frames at which a step is tried, evenly over the spots
_FEWEST = 40    # spots on either side of a step: twelve numbers are fitted
_KEPT = 0.85    # of the spots, those with the smallest residuals after a fit: the others' index may be wrong
_MOST = 4000    # spots that are fitted, evenly over the sweep: enough for twelve numbers, and more cost time
_SOUGHT = 1000  # of these, on which the 40 places are compared; the best one is judged on all
_LEAST = 0.1    # degrees: less is no slip, but what refinement of a varying orientation takes up
_GAIN = 0.88    # of the sum of squares with a steady turn, that is left with a step; without a slip 0.99 and more


@dataclass(frozen=True)
class Slip:
    """A turn of the crystal within a sweep.

    Attributes
    ----------
    frame : float
        From which on the crystal is turned.
    angle : float
        By how much, degrees. Refinement hides a part of it, up to a half, in the cell and the geometry.
    """

    frame: float
    angle: float


def find_slip(points: np.ndarray, hkl: np.ndarray, setting: np.ndarray, frame: np.ndarray,
              slope: np.ndarray | None = None) -> Slip | None:
    """Find the frame from which on the spots of a crystal are turned, if there is one.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    hkl : (n, 3)
        Their indices.
    setting : (3, 3)
        The crystal's A matrix, 1/Å.
    frame : (n,)
        Their frames.
    slope : (n, 3, 2), optional
        Derivatives of the points by a shift of the detector, 1/Å for each mm: refinement has hidden a part of the slip
        in it.
    """
    if len(points) < 2 * _FEWEST:
        return None
    rows = np.argsort(frame, kind="stable")[np.linspace(0, len(points) - 1, min(len(points), _MOST)).astype(np.int64)]
    points, hkl, frame, slope = points[rows], hkl[rows], frame[rows], None if slope is None else slope[rows]
    off = points - hkl @ setting.T
    design = _build_design(points, hkl, slope)
    place = _find_place(design, off, frame)
    if place is None:
        return None
    steady, _ = _fit_turn(design, off, (frame - frame[0]) / max(float(np.ptp(frame)), 1e-9))
    left, turn = _fit_turn(design, off, (frame > place).astype(np.float64))
    angle = float(np.degrees(np.linalg.norm(turn)))
    return Slip(place, angle) if left < _GAIN * steady and angle > _LEAST else None


def _find_place(design: np.ndarray, off: np.ndarray, frame: np.ndarray) -> float | None:
    """The frame at which a step explains most, sought on a part of the spots; None where either side has too few."""
    every_place = np.unique(np.quantile(frame, np.linspace(0.0, 1.0, _PLACES + 2)[1:-1]))
    places = [place for place in every_place if min(np.sum(frame > place), np.sum(frame <= place)) >= _FEWEST]
    every = slice(None, None, max(1, len(frame) // _SOUGHT))
    design, off, frame = design[every], off[every], frame[every]
    return min(map(float, places), default=None,
               key=lambda place: _fit_turn(design, off, (frame > place).astype(np.float64))[0])


def _build_design(points: np.ndarray, hkl: np.ndarray, slope: np.ndarray | None) -> np.ndarray:
    """What each point changes by, (n, 3, 14): a turn w, then what is common to the sweep, setting and detector."""
    design = np.zeros((len(points), 3, 14))
    x, y, z = points.T
    # columns: the products of the unit vectors with q
    design[:, 1, 0], design[:, 2, 0] = -z, y
    design[:, 0, 1], design[:, 2, 1] = z, -x
    design[:, 0, 2], design[:, 1, 2] = -y, x
    for k in range(3):
        design[:, k, 3 + 3 * k : 6 + 3 * k] = hkl
    if slope is not None:
        design[:, :, 12:] = slope
    return design


def _fit_turn(design: np.ndarray, off: np.ndarray, part: np.ndarray) -> tuple[float, np.ndarray]:
    """The sum of squares that is left with what is common and a turn by `part` w, and w in radians."""
    design = design.copy()
    design[:, :, :3] *= part[:, None, None]
    chosen, chosen_off = design, off
    for _ in range(2):
        flat = chosen.reshape(-1, chosen.shape[2])
        normal = flat.T @ flat
        # Columns of one length, since indices are tens and points tenths: then the normal equations serve, which cost
        # less than an SVD of the design.
        size = np.sqrt(np.diag(normal))
        scale = 1.0 / np.where(size > 0.0, size, 1.0)
        normal *= np.outer(scale, scale)
        solution = scale * np.linalg.lstsq(normal, scale * (flat.T @ chosen_off.ravel()), rcond=1e-12)[0]
        left = off - (design.reshape(-1, design.shape[2]) @ solution).reshape(off.shape)
        left = np.einsum("ij,ij->i", left, left)
        rows = np.argsort(left, kind="stable")[: int(_KEPT * len(left))]
        chosen, chosen_off = design[rows], off[rows]
    return float(left[rows].sum()), solution[:3]


def warn_of_slips(state: IndexingState) -> None:
    """Warn of each crystal that slipped, and offer to index the parts of the sweep apart."""
    table = state.spots.table
    for number, sweep in enumerate(state.sweeps):
        if sweep.is_still or sweep.scan is None:
            continue
        for k, crystal in enumerate(state.crystals):
            rows = np.flatnonzero((table["id"] == k) & (table["imageset_id"] == number))
            frame = table["xyzobs.px.value"][rows, 2]
            slope = differentiate_by_shift(state.sweeps, ReciprocalSpots(table.select(rows)))
            slip = find_slip(state.spots.points[rows], table["miller_index"][rows], crystal.A, frame, slope)
            if slip is None:
                continue
            first, last = sweep.scan.image_range
            # frames count from the scan's own start
            image = int(np.floor(slip.frame)) + 1 + first - 1 - sweep.scan.array_range[0]
            logger.warning("Crystal %d seems to have slipped by %.1f degrees or more after image %d: the residuals of "
                           "its spots step there, and its cell is a compromise of both parts. Index them apart with "
                           "image_range=%d,%d and image_range=%d,%d", k + 1, slip.angle, image, first, image,
                           min(image + 1, last), last)
