"""Scaled observations to means: of all observations of a reflection, and of those of each Friedel mate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.exporting.selection import LARGEST_INTENSITY
from xdp.merging.unique import UniqueReflections, find_unique
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.space_groups import AnySpaceGroup

_SCALED = ("intensity.scale.value", "intensity.scale.variance", "inverse_scale_factor")


@dataclass(frozen=True)
class ScaledObservations:
    """Observations on one scale, in an order that does not depend on that of the table.

    Attributes
    ----------
    unique : UniqueReflections
        Their reflections.
    intensity, variance : (n,) float64
        On the common scale.
    shared : (n,) float64
        What errors of scales add to the variance of the mean of a mate, relative to its square.
    half : (n,) int64
        0 or 1: the half of the data that an observation is in. Observations of a mate alternate.
    """

    unique: UniqueReflections
    intensity: np.ndarray
    variance: np.ndarray
    shared: np.ndarray
    half: np.ndarray

    def __len__(self) -> int:
        return len(self.intensity)


@dataclass(frozen=True)
class Means:
    """Weighted means of groups of observations.

    Attributes
    ----------
    intensity, sigma : (m,) float64
        NaN for groups without observations.
    n : (m,) int64
        How many observations each has.
    """

    intensity: np.ndarray
    sigma: np.ndarray
    n: np.ndarray


def gather_scaled(group: AnySpaceGroup, table: ReflectionTable, chosen: np.ndarray) -> ScaledObservations:
    """Put scaled observations on the common scale.

    Parameters
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup
    table : ReflectionTable
        With ``intensity.scale.*`` and ``inverse_scale_factor``, as `xdp scale` and `dials.scale` write them.
    chosen : (n_rows,) bool
        Rows to take, as far as they were scaled and are sound.

    Returns
    -------
    ScaledObservations

    Raises
    ------
    XdpError
        If the table is not scaled, or nothing is left.
    """
    rows = np.flatnonzero(find_scaled_rows(table) & chosen)
    value, variance, g = (table[name][rows] for name in _SCALED)
    if not len(rows):
        raise XdpError(f"none of {len(table)} reflections is left to merge: look at the flags (xdp show) and at d_min")
    z = table["xyzcal.px"][rows, 2] if "xyzcal.px" in table else np.arange(len(rows), dtype=np.float64)
    shared = table.get("scale.relative_variance", np.zeros(len(table)))[rows]
    # a scale whose error is a hundred times the scale itself says nothing; the rest are damaged numbers
    shared = np.clip(np.nan_to_num(shared), 0.0, 1e4)
    return sort_scaled(group, table["miller_index"][rows], value / g, variance / np.square(g),
                       (value, z, table["id"][rows]), shared)


def find_scaled_rows(table: ReflectionTable) -> np.ndarray:
    """Find the observations that were scaled and whose numbers are sound.

    Parameters
    ----------
    table : ReflectionTable
        With ``intensity.scale.*`` and ``inverse_scale_factor``.

    Returns
    -------
    (n_rows,) bool

    Raises
    ------
    XdpError
        If the table is not scaled.
    """
    if any(name not in table for name in _SCALED):
        raise XdpError("the reflections are not scaled: merge needs scaled.refl (run xdp scale)")
    value, variance, g = (table[name] for name in _SCALED)
    with np.errstate(all="ignore"):
        scaled, spread = value / g, variance / np.square(g)
        # Values so large or so small that their squares, or a weight, are no numbers are no measurements.
        sound = (g > 0.0) & (spread > 0.0) & np.isfinite(1.0 / spread) & np.isfinite(spread) & np.isfinite(
            np.square(scaled) * (1.0 + 1.0 / spread))
        # MTZ files have single precision
        sound &= (np.abs(scaled) < LARGEST_INTENSITY) & (spread < LARGEST_INTENSITY**2) & (
            spread > LARGEST_INTENSITY**-2)
    return sound & table.any_flags(Flag.SCALED) & ~table.any_flags(Flag.BAD_FOR_SCALING)


def sort_scaled(group: AnySpaceGroup, hkl: np.ndarray, intensity: np.ndarray, variance: np.ndarray,
                keys: tuple[np.ndarray, ...], shared: np.ndarray | None = None) -> ScaledObservations:
    """Group observations by reflection, and share them out over two halves.

    Parameters
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup
    hkl : (n, 3) int
    intensity, variance : (n,) float64
        On the common scale.
    keys : tuple of (n,) arrays
        By which the observations of a mate are ordered, the last one first, as of `numpy.lexsort`: so that the order of
        the rows does not matter.
    shared : (n,) float64, optional
        As of :class:`ScaledObservations`; 0 by default.

    Returns
    -------
    ScaledObservations

    Examples
    --------
    >>> import gemmi, numpy as np
    >>> hkl, intensity = np.array([[1, 2, 3], [1, 1, 4], [-1, -2, 3]]), np.array([5.0, 2.0, 4.0])
    >>> seen = sort_scaled(gemmi.SpaceGroup("P 4"), hkl, intensity, np.ones(3), (np.arange(3),))
    >>> seen.intensity.tolist(), seen.half.tolist()
    ([2.0, 5.0, 4.0], [0, 1, 0])
    """
    unique = find_unique(group, hkl)
    order = np.lexsort((*keys, unique.is_minus, unique.group))
    unique = UniqueReflections(unique.hkl, unique.group[order], unique.is_minus[order], unique.is_centric,
                               unique.epsilon, unique.is_absent)
    mate = 2 * unique.group + unique.is_minus
    first = np.flatnonzero(np.diff(mate, prepend=-1))
    within = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    # mates begin with either half in turn, so that single observations are shared out evenly
    start = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(order))))
    shared = np.zeros(len(order)) if shared is None else shared
    # what is shared belongs to a mate, not to a row
    return ScaledObservations(unique, intensity[order], variance[order], shared[order], (within + start) % 2)


def average(seen: ScaledObservations, which: np.ndarray | None = None) -> Means:
    """Weighted means of the observations of each reflection, with Friedel mates together.

    Parameters
    ----------
    seen : ScaledObservations
    which : (n,) bool, optional
        Those that count: the ones of I(+), or of a half; by default all.

    Returns
    -------
    Means
        For each unique reflection. The variance is one over the sum of weights, and the part that errors of scales add.
    """
    m, group = len(seen.unique), seen.unique.group
    weight = 1.0 / seen.variance if which is None else np.where(which, 1.0 / seen.variance, 0.0)
    total = np.bincount(group, weight, m)
    n = np.bincount(group, None if which is None else which.astype(np.float64), m).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(group, weight * seen.intensity, m) / total
        # mates share most of the errors of their scales
        shared = np.bincount(group, weight * seen.shared, m) / total
        sigma = np.sqrt(1.0 / total + shared * np.square(np.maximum(mean, 0.0)))
    seen_at_all = total > 0.0
    return Means(np.where(seen_at_all, mean, np.nan), np.where(seen_at_all, sigma, np.nan), n)
