"""What structured noise alone would score: the same search among the same spots in other directions.

The likelihood of cells compares with uniform noise. Spots on powder rings, hot pixels that come again on each frame and
spots that crowd at some resolutions are no uniform noise. Turned about at random, each on its own, they keep their
structure but have no lattice: what a search finds then, chance finds.
"""

from __future__ import annotations

import logging

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.indexing.options import Indexing
from xdp.indexing.search.trial import Trial, reject_other_lattice, select_free, try_geometry
from xdp.indexing.spots import ReciprocalSpots

logger = logging.getLogger(__name__)

_CLEAR = 6.0  # times the least score: random spots on stills reach a third of the least with a known cell


def exceeds_structured_noise(found: Trial, max_cell: float, options: Indexing) -> bool:
    """Whether a lattice is likelier than what the same search finds among the spots, turned about at random.

    It must be so by the same log likelihood ratio by which it must be likelier than uniform noise. Spots are turned
    about the spindle (of a still, the beam), which keeps hot pixels and rings; and in a second trial anywhere, which
    keeps rings only, but also breaks up the layers of a crystal that is aligned with the spindle.

    Parameters
    ----------
    found : Trial
        The search's result.
    max_cell : float
        Longest axis of the search, Å.
    options : Indexing
        Of the search.
    """
    if options.known_symmetry.unit_cell is not None and found.score > _CLEAR * found.least:
        return True  # with so few free numbers noise of any structure stays far below
    free = select_free(found.spots)
    for points in (turn_about_axes(found.sweeps, free), turn_anywhere(free.points)):
        table = free.table.with_columns(rlp=points)
        # the search that gave the lattice, no more: noise never convinces, so that it would go through all of it
        noise = try_geometry(found.sweeps, ReciprocalSpots(table), max_cell, options, "",
                             may_seek_long_axes=found.has_sought_long_axes)
        if found.score < noise.score + found.least:
            noise = reject_other_lattice(noise)
        if found.score < noise.score + found.least:
            logger.info("The likeliest cell (score %.0f) is no better than what noise of the same structure gives "
                        "(score %.0f)", found.score, noise.score)
            return False
    return True


def turn_about_axes(sweeps: ExperimentList, spots: ReciprocalSpots) -> np.ndarray:
    """Turn each point by its own random angle about the rotation axis of its sweep, or the beam of a still.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    spots : ReciprocalSpots
        The spots, mapped with it.

    Returns
    -------
    (n, 3)
        In 1/Å. The same spots give the same points.
    """
    axes = np.stack([np.asarray(s.known.beam.s0 if s.is_still else s.known.goniometer.rotation_axis) for s in sweeps])
    axis = (axes / np.linalg.norm(axes, axis=1, keepdims=True))[spots.sweep]
    angle = np.random.default_rng(0).uniform(0.0, 2.0 * np.pi, len(spots))[:, None]
    q = spots.points
    # Rodrigues' formula
    along = np.sum(axis * q, axis=1, keepdims=True) * axis
    return along + np.cos(angle) * (q - along) + np.sin(angle) * np.cross(axis, q)


def turn_anywhere(points: np.ndarray) -> np.ndarray:
    """Give each of the points (n, 3) a random direction; its distance from the origin stays.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]])
    >>> np.linalg.norm(turn_anywhere(points), axis=1).round(6).tolist()
    [5.0, 2.0]
    """
    direction = np.random.default_rng(1).normal(size=points.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * np.linalg.norm(points, axis=1, keepdims=True)
