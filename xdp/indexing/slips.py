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
    if len(points) > _MOST:
        rows = np.argsort(frame, kind="stable")[np.linspace(0, len(points) - 1, _MOST).astype(np.int64)]
        points, hkl, frame, slope = points[rows], hkl[rows], frame[rows], None if slope is None else slope[rows]
    off = points - hkl @ setting.T
    # what changes the points alike in all of the sweep: the setting, the detector
    common = np.zeros((len(points), 3, 11))
    for k in range(3):
        common[:, k, 3 * k : 3 * k + 3] = hkl
    if slope is not None:
        common[:, :, 9:] = slope
    order = np.sort(frame)
    span = max(float(np.ptp(order)), 1e-9)
    steady, _ = _fit_turn(points, common, off, (frame - order[0]) / span)
    places = np.unique(np.quantile(order, np.linspace(0.0, 1.0, _PLACES + 2)[1:-1]))
    fits = [(*_fit_turn(points, common, off, (frame > place).astype(np.float64)), place) for place in places
            if min(np.sum(frame > place), np.sum(frame <= place)) >= _FEWEST]
    if not fits:
        return None
    left, turn, place = min(fits, key=lambda fit: fit[0])
    angle = float(np.degrees(np.linalg.norm(turn)))
    return Slip(float(place), angle) if left < _GAIN * steady and angle > _LEAST else None


def _fit_turn(points: np.ndarray, common: np.ndarray, off: np.ndarray, part: np.ndarray) -> tuple[float, np.ndarray]:
    """The sum of squares that is left with what is common and a turn by `part` w, and w in radians."""
    n = len(points)
    turn = np.zeros((n, 3, 3))
    x, y, z = (points * part[:, None]).T
    # columns: the products of the unit vectors with q
    turn[:, 1, 0], turn[:, 2, 0] = -z, y
    turn[:, 0, 1], turn[:, 2, 1] = z, -x
    turn[:, 0, 2], turn[:, 1, 2] = -y, x
    design = np.concatenate([turn, common], axis=2)
    rows = np.arange(n)
    for _ in range(2):
        flat = design[rows].reshape(-1, design.shape[2])
        # Columns of one length, since indices are tens and points tenths: then the normal equations serve, which cost
        # less than an SVD of the design.
        size = np.linalg.norm(flat, axis=0)
        scale = 1.0 / np.where(size > 0.0, size, 1.0)
        normal = (flat.T @ flat) * np.outer(scale, scale)
        solution = scale * np.linalg.lstsq(normal, scale * (flat.T @ off[rows].ravel()), rcond=1e-12)[0]
        left = np.sum((off - design @ solution) ** 2, axis=1)
        rows = np.argsort(left, kind="stable")[: int(_KEPT * n)]
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
