"""Pseudo-translations of intensities that are not merged yet, and their effect taken out.

References
----------
Read, Adams & McCoy (2013). Acta Cryst. D69, 176-183, doi:10.1107/S0907444912045374, for the modulation of intensities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.intensities.lattice import LatticeGroup
from xdp.intensities.normalised import NormalisedIntensities
from xdp.intensities.patterson import PattersonMap

_RESOLUTION = 4.0
"""Å: copies that differ a little agree at low resolution only."""
_SHORTEST = 12.0
"""Å: shorter vectors are those between parts of one molecule. The usual limit is 15; small cells have less room."""
_LEAST_HEIGHT = 0.15
"""Of the origin peak. Without a pseudo-translation 20 % is hardly ever exceeded; here a peak must also stand out."""
_LEAST_RATIO = 6.0
"""A peak's height over the root mean square of the map: the largest of 10^5 values of noise is at 4.4."""
_CLASSES = 6
_FEWEST = 20
"""Reflections in a class whose mean is taken."""


@dataclass(frozen=True)
class Translation:
    """A pseudo-translation.

    Attributes
    ----------
    vector : (3,) float64
        In terms of the primitive axes.
    height : float
        Of its Patterson peak, relative to the origin.
    """

    vector: np.ndarray
    height: float


def find_translation(data: NormalisedIntensities, lattice: LatticeGroup) -> Translation | None:
    """Find the largest peak of the Patterson function that is away from the origin.

    Parameters
    ----------
    data : NormalisedIntensities
    lattice : LatticeGroup

    Returns
    -------
    Translation or None
        None where no peak stands out.
    """
    use = data.d >= min(_RESOLUTION, np.quantile(data.d, 0.2)) if len(data) else np.zeros(0, bool)
    if np.count_nonzero(use) < 200:
        return None
    # strong errors would make peaks: an intensity counts by what is known of it
    weight = 1.0 / (1.0 + data.background[use] + data.counting[use])
    patterson = PattersonMap(data.hkl[use], lattice.basis, _SHORTEST)
    if not patterson.has_room:
        return None
    found = patterson.find_maximum(np.clip(data.e2[use] - 1.0, -3.0, 5.0) * weight)
    height = found.value / (2.0 * float(weight.sum()))
    if height < _LEAST_HEIGHT or found.prominence < _LEAST_RATIO:
        return None
    return Translation(found.vector, height)


def take_out_translation(data: NormalisedIntensities, translation: Translation) -> NormalisedIntensities:
    """Divide intensities by the mean of those with about the same phase shift of the translation.

    Parameters
    ----------
    data : NormalisedIntensities
    translation : Translation

    Returns
    -------
    NormalisedIntensities
    """
    wave = np.cos(2.0 * np.pi * (data.hkl @ translation.vector))
    number = np.clip(((wave + 1.0) * 0.5 * _CLASSES).astype(int), 0, _CLASSES - 1)
    mean = np.ones(len(data))
    for k in range(_CLASSES):
        here = number == k
        if np.count_nonzero(here) >= _FEWEST:
            # a class of no intensity at all is one of absences, and stays weak
            mean[here] = max(float(np.mean(data.e2[here])), 0.02)
    return data.divide_by(mean)
