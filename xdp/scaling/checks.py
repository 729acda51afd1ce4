"""Warnings about data that can be scaled, but hardly mean what they should."""

from __future__ import annotations

import logging

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.scaling.error_model import ErrorModel

logger = logging.getLogger(__name__)

_LENGTH, _ANGLE = 0.05, 2.0
"""Relative difference of axes, and degrees of angles, from which cells are different: the defaults of xdp symmetry."""
_DISAGREEMENT = 0.3
"""Error proportional to the intensity from which equivalents do not agree: a sweep of a simulated crystal of P 43 21 2
that is scaled in a cubic group has 0.5, bad data in the right group 0.02 to 0.1."""


def warn_of_cells(experiments: ExperimentList) -> tuple[int, ...]:
    """Warn of experiments whose cell is not that of most.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals.

    Returns
    -------
    tuple of int
        Their numbers.
    """
    cells = np.array([e.known.crystal.unit_cell for e in experiments], np.float64)
    # the one that is nearest to the medians stands for most
    middle = np.median(cells, axis=0)
    typical = cells[np.argmin(np.sum(np.abs(cells / middle - 1.0), axis=1))]
    off = np.any(np.abs(cells[:, :3] / typical[:3] - 1.0) > _LENGTH, axis=1)
    off |= np.any(np.abs(cells[:, 3:] - typical[3:]) > _ANGLE, axis=1)
    numbers = tuple(int(k) for k in np.flatnonzero(off))
    for k in numbers:
        logger.warning("Experiment %d (%s) has the cell %s, not the %s of most: xdp symmetry sets such data aside", k,
                       experiments[k].identifier, *(", ".join(f"{v:.1f}" for v in c) for c in (cells[k], typical)))
    return numbers


def warn_of_disagreement(errors: ErrorModel) -> bool:
    """Warn where equivalents differ by so much that they can hardly be equivalents.

    Parameters
    ----------
    errors : ErrorModel
        As fitted.

    Returns
    -------
    bool
        Whether they do.
    """
    worst = float(np.max(errors.b, initial=0.0))
    if worst < _DISAGREEMENT:
        return False
    logger.warning("Observations of a reflection differ by %.0f %% of their intensity: the space group, the choice of "
                   "axes, or the indexing is likely to be wrong (see xdp symmetry)", 100.0 * worst)
    return True
