"""Pairs of reflections that a rotation of the lattice relates, and how well their intensities agree.

Reflections that a rotation takes to themselves or to their mates (on axes and in zones) say nothing, and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xdp.intensities.lattice import LatticeGroup
from xdp.intensities.normalised import NormalisedIntensities, pack_indices

_MOST_REFLECTIONS = 60_000
"""So many are paired; a choice: each rotation then has up to 30,000 pairs, of which some thousand decide."""
_LARGEST = 12.0
"""E^2 beyond which an intensity is an outlier: one of 160,000 is larger by chance."""


@dataclass(frozen=True)
class IntensityPairs:
    """Two intensities each, as sum and difference, in terms of their mean.

    Attributes
    ----------
    total, difference : (n,) float64
        E^2 + E'^2 and E^2 - E'^2.
    background, counting : (n,) float64
        The variance of either is ``background + counting S / 2``, with S the expected sum.
    """

    total: np.ndarray
    difference: np.ndarray
    background: np.ndarray
    counting: np.ndarray

    def __len__(self) -> int:
        return len(self.total)

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviation of sum and difference."""
        return np.sqrt(self.background + self.counting * 0.5 * np.maximum(self.total, 0.0))

    def select(self, rows: np.ndarray) -> IntensityPairs:
        """Keep some of the pairs, by number or truth value."""
        return IntensityPairs(self.total[rows], self.difference[rows], self.background[rows], self.counting[rows])

    def scale_sigmas(self, factor: float) -> IntensityPairs:
        """Multiply all standard deviations by a factor."""
        return IntensityPairs(self.total, self.difference, self.background * factor**2, self.counting * factor**2)


@dataclass(frozen=True)
class GeneralReflections:
    """The reflections on no axis and in no zone of the lattice.

    Attributes
    ----------
    data : NormalisedIntensities
    orbit : (n,) int64
        Equal for reflections that the lattice's rotations relate.
    """

    data: NormalisedIntensities
    orbit: np.ndarray

    @property
    def mean_members(self) -> float:
        """How many reflections of an orbit are measured, on average over orbits with two and more; 2 without any."""
        _, size = np.unique(self.orbit, return_counts=True)
        size = size[size > 1]
        return float(size.mean()) if len(size) else 2.0


def find_general(data: NormalisedIntensities, lattice: LatticeGroup) -> GeneralReflections:
    """Choose the reflections that no rotation takes to themselves or their mates.

    Parameters
    ----------
    data : NormalisedIntensities
    lattice : LatticeGroup

    Returns
    -------
    GeneralReflections
        Of the lowest resolution where there are many; without outliers.
    """
    # an outlier is related to nothing: in weak data a few would speak against each symmetry
    rows = np.flatnonzero(data.e2 < _LARGEST)
    if len(rows) > _MOST_REFLECTIONS:
        rows = np.sort(rows[np.argsort(-data.d[rows], kind="stable")[:_MOST_REFLECTIONS]])
    hkl, key = data.hkl[rows], data.key[rows]
    orbit, general = key.copy(), np.ones(len(rows), bool)
    for rotation in lattice.rotations[1:]:
        turned, _ = pack_indices(hkl @ rotation)
        general &= turned != key
        np.minimum(orbit, turned, out=orbit)
    kept = rows[general]
    chosen = NormalisedIntensities(data.hkl[kept], data.key[kept], data.e2[kept], data.background[kept],
                                   data.counting[kept], data.d[kept], data.repeats, data.n_rows, data.d_min)
    return GeneralReflections(chosen, orbit[general])


def pair_by_rotation(general: GeneralReflections, rotation: np.ndarray) -> IntensityPairs:
    """Pair each reflection with the one that a rotation takes it to, if both are measured.

    Parameters
    ----------
    general : GeneralReflections
    rotation : (3, 3) int

    Returns
    -------
    IntensityPairs
        Each pair once.
    """
    data = general.data
    # mates have one key, so that they are found as well
    turned, _ = pack_indices(data.hkl @ rotation)
    place = np.minimum(np.searchsorted(data.key, turned), max(len(data) - 1, 0))
    found = data.key[place] == turned
    i, j = np.flatnonzero(found), place[found]
    # rotations of order two find each pair from both sides
    pair = np.unique(np.minimum(i, j) * len(data) + np.maximum(i, j))
    return make_pairs(data, *np.divmod(pair, max(len(data), 1)))


def make_pairs(data: NormalisedIntensities, first: np.ndarray, second: np.ndarray) -> IntensityPairs:
    """Put intensities together as pairs.

    Parameters
    ----------
    data : NormalisedIntensities
    first, second : (n,) int
        Rows.

    Returns
    -------
    IntensityPairs
    """
    return IntensityPairs(data.e2[first] + data.e2[second], data.e2[first] - data.e2[second],
                          data.background[first] + data.background[second],
                          data.counting[first] + data.counting[second])


def join_pairs(parts: Sequence[IntensityPairs]) -> IntensityPairs:
    """Put pairs of several data sets together."""
    return IntensityPairs(*(np.concatenate([getattr(part, name) for part in parts])
                            for name in ("total", "difference", "background", "counting")))


def pair_repeats(data: NormalisedIntensities) -> IntensityPairs:
    """Pair observations of one reflection, or of Friedel mates."""
    kept = data.repeats[np.max(data.repeats[:, :2], axis=1, initial=-np.inf) < _LARGEST]
    a, b, first, second, count_a, count_b = kept.T
    return IntensityPairs(a + b, a - b, first + second, count_a + count_b)


def choose_best(pairs: IntensityPairs, most: int) -> IntensityPairs:
    """Keep the pairs with the largest sums in terms of sigma.

    Sums and differences have independent errors, so that a choice by sums does not change what differences say.

    Parameters
    ----------
    pairs : IntensityPairs
    most : int
        How many are kept.

    Returns
    -------
    IntensityPairs
    """
    # few pairs are all wanted
    if len(pairs) <= most:
        return pairs
    # a stable order: equal pairs are chosen alike on all machines
    order = np.argsort(-pairs.total / pairs.sigma, kind="stable")
    return pairs.select(order[:most])


def estimate_correlation(pairs: IntensityPairs) -> tuple[float, float]:
    """Estimate the correlation that intensities would have without errors of measurement.

    With E^2 = J + noise, sum and difference give it as (V(S) - V(D)) / (V(S) + V(D) - 2 V(noise)).

    Parameters
    ----------
    pairs : IntensityPairs

    Returns
    -------
    correlation, error : float
        0 and infinity where there are too few pairs.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.exponential(size=2000)
    >>> same = IntensityPairs(2 * x, 0 * x, 0 * x, 0 * x)
    >>> [round(v, 3) for v in estimate_correlation(same)]
    [1.0, 0.0]
    """
    # outliers would outweigh all others
    pairs = pairs.select(0.5 * (pairs.total + np.abs(pairs.difference)) < _LARGEST)
    if len(pairs) < 4:
        return 0.0, float("inf")
    noise = pairs.background + pairs.counting
    # pairs of small error count most, but none counts more than Wilson's spread lets it
    weight = 1.0 / np.square(2.0 + noise)
    weight /= weight.sum()
    centre = float(weight @ pairs.total)
    spread, apart = float(weight @ np.square(pairs.total - centre)), float(weight @ np.square(pairs.difference))
    between = spread + apart - 2.0 * float(weight @ noise)
    if between <= 0.0:
        return 0.0, float("inf")
    correlation = (spread - apart) / between
    # the same estimate over tenths of the pairs, for its error
    part = np.arange(len(pairs)) % 10
    product = np.square(pairs.total - centre) - np.square(pairs.difference)
    deviation = weight * (product - correlation * (np.square(pairs.total - centre) + np.square(pairs.difference)
                                                   - 2.0 * noise))
    error = float(np.sqrt(np.sum(np.square(np.bincount(part, deviation, 10))))) / between
    return float(np.clip(correlation, -1.0, 1.0)), error
