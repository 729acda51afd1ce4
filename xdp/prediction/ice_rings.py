"""Rings of hexagonal ice, by resolution."""

from __future__ import annotations

from typing import Any

import numpy as np

RINGS = ((0.0640, 0.0690), (0.0710, 0.0780), (0.0825, 0.0880), (0.138, 0.144), (0.190, 0.205), (0.228, 0.240),
         (0.262, 0.266), (0.267, 0.278), (0.280, 0.288), (0.337, 0.341), (0.429, 0.435), (0.459, 0.466),
         (0.478, 0.486), (0.531, 0.537))
"""Limits of the rings in 1/d^2, Å⁻², both inclusive: those that DIALS flags reflections in."""


def is_in_ice_ring(d: Any) -> np.ndarray:
    """Whether resolutions lie in one of :data:`RINGS`; for the flag IN_POWDER_RING.

    Parameters
    ----------
    d : float64, any shape
        Å.

    Examples
    --------
    >>> is_in_ice_ring([3.9, 3.0]).tolist()
    [True, False]
    """
    # rings are limits of 1/d²: in it their widths hardly depend on the resolution
    squared = np.asarray(d, np.float64) ** -2
    found = np.zeros(squared.shape, bool)
    for low, high in RINGS:
        found |= (squared >= low) & (squared <= high)
    return found
