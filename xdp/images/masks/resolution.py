"""Masks by resolution: ranges of d, and the powder rings of ice or another crystal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import OptionError

if TYPE_CHECKING:
    from xdp.images.masks.options import IceRings


def mask_resolution(mask: np.ndarray, d: np.ndarray, ranges: Iterable[tuple[float, float]]) -> None:
    """Mask, in place, the pixels whose resolution lies in one of the ranges, both ends included.

    Parameters
    ----------
    mask : (slow, fast) bool
        True where good.
    d : (slow, fast) float64
        Resolution at pixel centres, Å.
    ranges : iterable of (float, float)
        Each pair in any order, Å.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.ones((1, 4), bool)
    >>> mask_resolution(mask, np.array([[1.0, 2.0, 3.0, 4.0]]), [(3.0, 2.0)])
    >>> mask
    array([[ True, False, False,  True]])
    """
    merged = _merge_intervals(ranges)
    if not merged:
        return
    low, high = np.array(merged).T
    for row_mask, row in zip(mask, d, strict=True):  # by rows: no temporary as large as the panel
        # Intervals are apart now: only the last that begins at or below d can hold it.
        nearest = np.searchsorted(low, row, side="right") - 1
        row_mask &= ~((nearest >= 0) & (row <= high[np.maximum(nearest, 0)]))


def _merge_intervals(ranges: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Closed intervals in ascending order; those that overlap become one."""
    merged: list[tuple[float, float]] = []
    for low, high in sorted((min(r), max(r)) for r in ranges):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def compute_ring_positions(rings: IceRings, d_min: float) -> np.ndarray:
    """Compute where the powder rings of a crystal lie.

    Parameters
    ----------
    rings : IceRings
        Cell and space group of the powder.
    d_min : float
        Finest ring, Å.

    Returns
    -------
    (n,) float64
        1/d² (Å⁻²) of each ring, ascending; rings that the space group extinguishes are left out.

    Raises
    ------
    OptionError
        If there is no such space group.
    """
    import gemmi

    symbol = str(rings.space_group)
    group = gemmi.find_spacegroup_by_number(int(symbol)) if symbol.isdigit() else gemmi.find_spacegroup_by_name(symbol)
    if group is None:
        raise OptionError(f"ice_rings.space_group must be the number or symbol of a space group, got {symbol}")
    cell = gemmi.UnitCell(*rings.unit_cell)
    return np.unique(1.0 / cell.calculate_d_array(gemmi.make_miller_array(cell, group, d_min)) ** 2)


def compute_ice_ring_ranges(rings: IceRings, d_min: float) -> list[tuple[float, float]]:
    """Compute the ranges of resolution that the powder rings of a crystal cover.

    A ring of spacing d covers 1/d² ± width/2.

    Parameters
    ----------
    rings : IceRings
        Cell and space group of the powder, width of a ring (Å⁻²), and ``d_min``, the finest ring.
    d_min : float
        Finest ring, Å, where ``rings.d_min`` is None.

    Returns
    -------
    list of (float, float)
        The finer and the coarser end of each range, Å; the coarser one is infinite where a ring reaches 1/d² = 0.
    """
    half = 0.5 * (rings.width or 0.0)
    inverse = compute_ring_positions(rings, rings.d_min if rings.d_min is not None else d_min)
    with np.errstate(divide="ignore"):
        return list(zip(np.sqrt(1 / (inverse + half)).tolist(),
                        np.sqrt(1 / np.maximum(inverse - half, 0.0)).tolist(), strict=True))
