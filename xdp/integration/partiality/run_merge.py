"""Full intensities of a run, merged, and what they are without any one shot."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_ROBUST = 3.0
"""Standard deviations from what the others say, above which an observation loses weight (Huber's weights)."""
_ROUNDS = 3
"""Rounds of weights: they depend on the merged intensities, by a few per cent after the second."""


class FullIntensities(NamedTuple):
    """The observations of one shot as full intensities.

    Attributes
    ----------
    keys : (n,) int64
        Numbers of unique reflections.
    value : (n,) float64
        Sums over partiality and scale.
    counting : (n,) float64
        Their variances by counting.
    relative : (n,) float64
        Relative variance of the partiality; infinite: the observation is not merged.
    """

    keys: np.ndarray
    value: np.ndarray
    counting: np.ndarray
    relative: np.ndarray


class RunMerge:
    """Merged full intensities of some shots.

    An observation's variance is that of counting, and the relative one of its partiality times the square of the merged
    intensity: of the merged one, since an observation that happens to be low would otherwise seem precise.

    Parameters
    ----------
    shots : sequence of FullIntensities

    Attributes
    ----------
    keys : (m,) int64
        Unique reflections, ascending.
    mean, variance : (m,) float64
        Merged; of infinite variance where no observation counts.

    Examples
    --------
    >>> one = FullIntensities(np.array([7]), np.array([10.0]), np.array([1.0]), np.array([0.0]))
    >>> two = one._replace(value=np.array([12.0]))
    >>> merge = RunMerge([one, two])
    >>> merge.mean.tolist(), merge.leave_out(0)[0].tolist()
    ([11.0], [12.0])
    """

    def __init__(self, shots: Sequence[FullIntensities]):
        lengths = np.cumsum([0, *(len(shot.keys) for shot in shots)]).tolist()
        self._parts = [slice(a, b) for a, b in itertools.pairwise(lengths)]
        joined = FullIntensities(*(np.concatenate(columns) for columns in zip(*shots, strict=True)))
        self.keys, self._row = np.unique(joined.keys, return_inverse=True)
        self._value = joined.value
        used = np.isfinite(joined.relative)
        relative = np.where(used, joined.relative, 0.0)
        # to begin with all reflections are taken to be as strong as the mean
        mean = np.full(len(self.keys), float(joined.value[used].mean()) if used.any() else 1.0)
        for i in range(_ROUNDS):
            variance = joined.counting + relative * mean[self._row] ** 2
            self._weight = np.where(used, 1.0 / variance, 0.0)
            if i:
                self._weight *= self._find_agreement(variance)
            mean = self._average()
        self.mean = mean

    def _average(self) -> np.ndarray:
        """Average with the present weights; sets the sums and the variances."""
        self._total = np.bincount(self._row, self._weight, len(self.keys))
        self._sum = np.bincount(self._row, self._weight * self._value, len(self.keys))
        with np.errstate(divide="ignore"):
            self.variance = 1.0 / self._total
        return self._sum / np.maximum(self._total, 1e-300)

    def _find_agreement(self, variance: np.ndarray) -> np.ndarray:
        """Find the factors (n,) of observations that disagree with the others: 1 for those that agree."""
        others = self._total[self._row] - self._weight
        known = others > 1e-9 * self._total[self._row]
        safe = np.where(known, others, 1.0)
        mean = (self._sum[self._row] - self._weight * self._value) / safe
        miss = np.abs(self._value - mean) / np.sqrt(variance + 1.0 / safe)
        return np.where(known, np.minimum(1.0, _ROBUST / np.maximum(miss, 1e-12)), 1.0)

    def leave_out(self, shot: int) -> tuple[np.ndarray, np.ndarray]:
        """Compute what all other shots say of the reflections of one.

        Parameters
        ----------
        shot : int
            Its place.

        Returns
        -------
        mean, variance : (n,) float64
            Of infinite variance where no other shot has the reflection.
        """
        part = self._parts[shot]
        row, weight = self._row[part], self._weight[part]
        # a shot may have a reflection twice, as Friedel mates: both are its own
        own, inverse = np.unique(row, return_inverse=True)
        left = self._total[own] - np.bincount(inverse, weight)
        value = self._sum[own] - np.bincount(inverse, weight * self._value[part])
        known = left > 1e-9 * self._total[own]
        mean = np.where(known, value / np.where(known, left, 1.0), 0.0)
        variance = np.where(known, 1.0 / np.where(known, left, 1.0), np.inf)
        return mean[inverse], variance[inverse]
