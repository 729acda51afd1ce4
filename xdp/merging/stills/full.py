"""Full intensities of lattices: merged, and what all other lattices say of the reflections of one.

An observation y of a lattice, over partiality and scale, has the variance of counting, that of its partiality and that
of the error model, the last two in proportion to the square of the *merged* intensity: one that happens to be low must
not seem precise. Observations that disagree with those of all other lattices lose weight (Huber).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.integration.partiality.reference import combine_with_shells

ROBUST = 3.0
"""Standard deviations from which an observation loses weight: Huber's weights, as in post-refinement."""
_ROUNDS = 3
"""Rounds of weights: they depend on the merged intensities, by a few per cent after the second."""


@dataclass(frozen=True)
class LatticeGroups:
    """Which observations are of the same reflection, and of the same lattice besides.

    Attributes
    ----------
    row : (n,) int64
        The reflection of each observation.
    n_unique : int
    pair : (n,) int64
        The pair of lattice and reflection of each observation.
    pair_row : (n_pairs,) int64
        The reflection of each pair.
    """

    row: np.ndarray
    n_unique: int
    pair: np.ndarray
    pair_row: np.ndarray

    @classmethod
    def make(cls, row: np.ndarray, lattice: np.ndarray, n_unique: int) -> LatticeGroups:
        """Group observations.

        Parameters
        ----------
        row, lattice : (n,) int64
        n_unique : int

        Returns
        -------
        LatticeGroups
        """
        codes, pair = np.unique(lattice * n_unique + row, return_inverse=True)
        return cls(row, n_unique, pair.ravel(), codes % n_unique)

    def sum_all_and_others(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sum over each reflection, and for each observation over those of its reflection in other lattices.

        Parameters
        ----------
        values : (n,) float64

        Returns
        -------
        all_ : (n_unique,) float64
        others : (n,) float64
        """
        total = np.bincount(self.row, values, self.n_unique)
        own = np.bincount(self.pair, values, len(self.pair_row))
        return total, total[self.row] - own[self.pair]


@dataclass(frozen=True)
class FullMerge:
    """Merged full intensities.

    Attributes
    ----------
    mean, variance : (m,) float64
        NaN and infinite where nothing counts.
    other_mean, other_variance : (n,) float64
        For each observation what all other lattices say; 0 and infinite where there are none.
    weight : (n,) float64
        Of each observation.
    """

    mean: np.ndarray
    variance: np.ndarray
    other_mean: np.ndarray
    other_variance: np.ndarray
    weight: np.ndarray

    def expect(self, shell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is expected of each observation from other lattices and from reflections of its resolution.

        Parameters
        ----------
        shell : (n,) float64
            Mean intensity of reflections like these.

        Returns
        -------
        expected, spread : (n,) float64
            As of :func:`~xdp.integration.partiality.reference.combine_with_shells`.
        """
        return combine_with_shells(self.other_mean, self.other_variance, shell)


def merge_full(full: np.ndarray, counting: np.ndarray, relative: np.ndarray, groups: LatticeGroups,
               start: np.ndarray) -> FullMerge:
    """Merge full intensities with robust weights.

    Parameters
    ----------
    full : (n,) float64
        Observations over partiality and scale.
    counting : (n,) float64
        Their variances by counting.
    relative : (n,) float64
        Variance in proportion to the square of the intensity.
    groups : LatticeGroups
    start : (n,) float64
        Mean intensity of reflections like each, above 0.

    Returns
    -------
    FullMerge
    """
    expected = start
    known = np.zeros(len(full), bool)
    other_mean, other_variance = np.zeros(len(full)), np.full(len(full), np.inf)
    for i in range(_ROUNDS):
        variance = counting + relative * expected**2
        weight = 1.0 / variance
        if i:
            with np.errstate(invalid="ignore"):
                miss = np.abs(full - other_mean) / np.sqrt(variance + np.where(known, other_variance, 0.0))
            weight = weight * np.where(known, np.minimum(1.0, ROBUST / np.maximum(miss, 1e-12)), 1.0)
        total, others = groups.sum_all_and_others(weight)
        sums, other_sums = groups.sum_all_and_others(weight * full)
        known = others > 1e-9 * total[groups.row]
        safe = np.where(known, others, 1.0)
        other_mean = np.where(known, other_sums / safe, 0.0)
        other_variance = np.where(known, 1.0 / safe, np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, mean_variance = sums / total, 1.0 / total
        # what merged to less than its error is not known to be 0
        expected, _ = combine_with_shells(mean[groups.row], mean_variance[groups.row], start)
    return FullMerge(mean, mean_variance, other_mean, other_variance, weight)
