"""Rings of hexagonal ice, by resolution."""

from __future__ import annotations

from typing import Any

import numpy as np

RINGS = ((0.0640, 0.0690), (0.0710, 0.0780), (0.0825, 0.0880), (0.138, 0.144), (0.190, 0.205), (0.228, 0.240),
         (0.262, 0.266), (0.267, 0.278), (0.280, 0.288), (0.337, 0.341), (0.429, 0.435), (0.459, 0.466),
         (0.478, 0.486), (0.531, 0.537))
"""Limits of the rings in 1/d^2, Å⁻², both inclusive: those that DIALS flags reflections in."""
ICE_SPACINGS = np.array([3.895, 3.669, 3.441, 2.671, 2.249, 2.072, 1.948, 1.918, 1.883, 1.721])
"""Resolutions in Å of the strong rings of hexagonal ice (a = 4.498 Å, c = 7.338 Å at 100 K, P63/mmc)."""


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


def is_off_ice_rings(d: np.ndarray, width: float = 0.002) -> np.ndarray:
    """Tell which reflections do not lie on powder rings of ice.

    Parameters
    ----------
    d : (n,) float64
        Å.
    width : float
        How far a ring reaches to both sides in 1/d², 1/Å².

    Returns
    -------
    (n,) bool

    Examples
    --------
    >>> import numpy as np
    >>> is_off_ice_rings(np.array([3.895, 3.6])).tolist()
    [False, True]
    """
    apart = np.abs(1.0 / np.square(d)[:, None] - 1.0 / np.square(ICE_SPACINGS)[None])
    return apart.min(axis=1) > width
