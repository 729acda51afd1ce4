"""Parts of scaled observations."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from xdp.merging.average import ScaledObservations
from xdp.merging.unique import UniqueReflections

logger = logging.getLogger(__name__)


def choose_groups(lattice: np.ndarray, groups: Sequence[str | None]) -> dict[str, np.ndarray]:
    """Choose the observations of each group of lattices.

    Parameters
    ----------
    lattice : (n,) int64
        Of each observation.
    groups : sequence of str or None
        Of each lattice.

    Returns
    -------
    dict of str to (n,) bool
        In the order of the names; groups without observations are left out, with a warning.

    Examples
    --------
    >>> {k: v.tolist() for k, v in choose_groups(np.array([0, 0, 2]), ["on", None, "off"]).items()}
    {'off': [False, False, True], 'on': [True, True, False]}
    """
    out = {}
    for name in sorted({group for group in groups if group is not None}):
        mine = np.array([group == name for group in groups])[lattice]
        if mine.any():
            out[name] = mine
        else:
            logger.warning("stills.split: no lattice of group %s is merged", name)
    return out


def select_scaled(seen: ScaledObservations, which: np.ndarray) -> ScaledObservations:
    """Keep some scaled observations, and the unique reflections that they have.

    Parameters
    ----------
    seen : ScaledObservations
    which : (n,) bool

    Returns
    -------
    ScaledObservations
    """
    rows, group = np.unique(seen.unique.group[which], return_inverse=True)
    unique = UniqueReflections(seen.unique.hkl[rows], group.ravel(), seen.unique.is_minus[which],
                               seen.unique.is_centric[rows], seen.unique.epsilon[rows], seen.unique.is_absent[rows])
    return ScaledObservations(unique, seen.intensity[which], seen.variance[which], seen.shared[which],
                              seen.half[which])


def measure_scatter(full: np.ndarray, unique: UniqueReflections) -> np.ndarray:
    """Measure variances of observations by the scatter about their mean, as Monte-Carlo merging does.

    Parameters
    ----------
    full : (n,) float64
    unique : UniqueReflections

    Returns
    -------
    (n,) float64
        Equal within each reflection, so that its mean is the plain one. A single observation gets the scatter that
        others of its intensity have.
    """
    m, group = len(unique), unique.group
    n = np.bincount(group, minlength=m)
    mean = np.bincount(group, full, m) / np.maximum(n, 1)
    square = np.bincount(group, np.square(full - mean[group]), m)
    several = n > 1
    usual = square[several].sum() / max(np.sum((n[several] - 1) * np.square(mean[several])), 1e-300) if (
        several.any()) else 1.0
    typical = max(usual, 1e-6) * np.maximum(np.square(mean), np.mean(np.square(mean)) * 1e-2)
    # few observations tell their scatter badly: the usual one counts as two more
    variance = (square + 2.0 * typical) / np.maximum(n + 1, 1)
    return np.maximum(variance, 1e-12 * max(float(np.mean(np.square(mean))), 1e-12))[group]
