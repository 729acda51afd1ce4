"""Specific radiation damage: how the intensity of each reflection drifts with the dose, and what it was before.

Beside what scales and B factors take up, damage at single sites makes some reflections stronger and others weaker. With
``I / g = J + s t``, t the dose, each unique reflection has a slope s, which its Friedel mates share. Few observations
determine a slope badly. So slopes are taken as drawn from a normal distribution about 0, with the variance
``q1 J <J> + q2 J^2``: a change of structure factors by a vector that does not depend on them changes J by ``2 F dF``,
whose square goes with J; a change in proportion goes with J^2. Both q are those of the greatest likelihood.

References
----------
Diederichs, McSweeney & Ravelli (2003). Acta Cryst. D59, 903-909, doi:10.1107/S0907444903006516 (intensities at dose 0
by a slope for each unique reflection); Henderson (1975). Biometrics 31, 423-447, doi:10.2307/2529430 (random effects).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from xdp.experiment.experiment import ExperimentList
from xdp.reflections.table import ReflectionTable
from xdp.scaling._kernels_normal import Drift
from xdp.scaling.observations import ObservationGroups

_SHELLS = 20  # shells of the mean intensity; a choice, as for tables
_RANGE = np.log(1e-8), np.log(10.0)
"""Logarithms of the least q (changes of 0.01 % over the whole dose) and the largest (three times the intensity)."""
_START = (np.log(1e-3), np.log(1e-4))
"""Where the search for the q begins: changes of 3 % and 1 %."""
_FRESH = 0.02
"""Of the largest dose. A choice: a first frame is at less in sweeps of 50 frames or more."""
_NONE = 1e-300  # variance of slopes that are all 0
_LEAST = 0.02  # of what a slope leaves of a deviation: less is lost in rounding
_FEWEST = 100
"""With fewer reflections that have a slope to be seen all slopes are 0. A choice: 14 % error of a variance."""


@dataclass(frozen=True)
class DamageSlopes:
    """How the intensities of unique reflections change with the dose.

    Attributes
    ----------
    dose : (n,) float64
        Of each observation, relative to the largest.
    slope, variance : (m,) float64
        Of each unique reflection, for the whole dose, on the scale of merged intensities.
    prior : (m,) float64
        The variance of each slope before anything is measured.
    spread : (2,) float64
        q1 and q2.
    freedom : (n,) float64
        The part of the square of an observation's deviation from the mean of its mate that the slope leaves.
    """

    dose: np.ndarray
    slope: np.ndarray
    variance: np.ndarray
    prior: np.ndarray
    spread: np.ndarray
    freedom: np.ndarray

    def remove(self, seen: ObservationGroups, g: np.ndarray) -> np.ndarray:
        """The intensities of observations as they would be at dose 0.

        Parameters
        ----------
        seen : ObservationGroups
        g : (n,) float64
            Their scales.

        Returns
        -------
        (n,) float64
        """
        return seen.intensity - g * self.slope[seen.unique.group] * self.dose

    def get_drift(self, seen: ObservationGroups, start: np.ndarray) -> Drift:
        """The slopes as the normal equations need them.

        Parameters
        ----------
        seen : ObservationGroups
        start : (n_groups + 1,) int64
            First observations of the groups: of reflections or of mates.

        Returns
        -------
        Drift
        """
        return Drift(self.dose, 1.0 / self.prior[seen.unique.group[start[:-1]]])

    def spread_again(self, seen: ObservationGroups, g: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Intensities at dose 0 that deviate from their means as much as if no slope had been fitted to them.

        Parameters
        ----------
        seen : ObservationGroups
            As measured.
        g, expected : (n,) float64
            Scales, and the means of mates at dose 0, times g.

        Returns
        -------
        (n,) float64
            For error models.
        """
        return expected + (self.remove(seen, g) - expected) / np.sqrt(self.freedom)


def count_dose(experiments: ExperimentList, table: ReflectionTable, seen: ObservationGroups) -> np.ndarray:
    """The dose of each observation, in degrees or seconds of the sweep, relative to the largest.

    Parameters
    ----------
    experiments : ExperimentList
        Sweeps of one crystal, as the files say, follow each other; another crystal begins at 0.
    table : ReflectionTable
        With ``xyzcal.px``.
    seen : ObservationGroups

    Returns
    -------
    (n,) float64
        Seconds of exposure where all frames have times, else degrees of rotation.
    """
    z, dose, before = table["xyzcal.px"][seen.row, 2], np.zeros(len(seen)), dict[int, float]()
    times = [np.asarray(e.known.scan.exposure_time, np.float64) for e in experiments]
    timed = all(len(t) and np.all(t > 0.0) for t in times)
    for k, experiment in enumerate(experiments):
        scan, mine = experiment.known.scan, seen.sweep == k
        first, last = scan.array_range
        turn = abs(float(scan.angle(float(last)) - scan.angle(float(first))))
        width = float(np.mean(times[k])) if timed else turn / (last - first)
        crystal = id(experiment.known.crystal)
        start = before.get(crystal, 0.0)
        dose[mine] = start + np.clip(z[mine] - first, 0.0, last - first) * width
        before[crystal] = start + (last - first) * width
    return dose / max(float(dose.max()), 1e-12)


def find_undamaged(seen: ObservationGroups, dose: np.ndarray) -> tuple[int, ...]:
    """Sweeps that begin with an undamaged crystal.

    Parameters
    ----------
    seen : ObservationGroups
    dose : (n,) float64

    Returns
    -------
    tuple of int
        Those with observations at less than a fiftieth of the largest dose, or if there are none, that with the least.
    """
    least = np.full(int(seen.sweep.max()) + 1, np.inf)
    np.minimum.at(least, seen.sweep, dose)
    return tuple(int(k) for k in np.flatnonzero(least <= max(_FRESH, float(least.min()))))


def fit_damage(seen: ObservationGroups, g: np.ndarray, weights: np.ndarray, expected: np.ndarray, dose: np.ndarray
               ) -> DamageSlopes:
    """Estimate the slopes of all reflections, and how large they are at all.

    Parameters
    ----------
    seen : ObservationGroups
        As measured.
    g : (n,) float64
        Scales.
    weights : (n,) float64
        One over the variances of the observations; 0 for outliers.
    expected : (n,) float64
        Expected intensities at dose 0, times g.
    dose : (n,) float64

    Returns
    -------
    DamageSlopes
    """
    first, m = seen.start[:-1], len(seen.unique)
    mate = np.repeat(np.arange(len(seen.start_apart) - 1), np.diff(seen.start_apart))
    w, y = weights * g * g, seen.intensity / g
    total = np.maximum(np.bincount(mate, w), 1e-300)
    # from the means of the mate: its intensity at dose 0 is eliminated
    t = dose - (np.bincount(mate, w * dose) / total)[mate]
    below = np.bincount(seen.unique.group, w * t * t, m)
    above = np.bincount(seen.unique.group, w * t * y, m)
    J = expected[first] / g[first]
    terms = np.stack([J * _average_shells(J, seen.d[first]), J * J])
    told = below > 1e-9 * np.bincount(seen.unique.group, w, m)
    told &= below > 0.0
    if np.count_nonzero(told) < _FEWEST:
        return DamageSlopes(dose, np.zeros(m), np.zeros(m), np.full(m, _NONE), np.zeros(2), np.ones(len(seen)))
    spread = _estimate_spread(above[told] / below[told], 1.0 / below[told], terms[:, told])
    prior = spread @ terms
    precision = np.where(told, below, 0.0) + 1.0 / prior
    slope = np.where(told, above, 0.0) / precision
    # what the mean takes of a deviation's square, and what the slope takes of the rest
    by_mean, by_slope = w / total[mate], w * t * t / precision[seen.unique.group]
    freedom = 1.0 - by_slope / np.maximum(1.0 - by_mean, _LEAST)
    return DamageSlopes(dose, slope, 1.0 / precision, prior, spread, np.maximum(freedom, _LEAST))


def add_damage_variance(seen: ObservationGroups, damage: DamageSlopes, share: np.ndarray, intensity: np.ndarray
                        ) -> np.ndarray:
    """The variance that errors of slopes add to the mean of a mate, relative to the square of the reflection's mean.

    Parameters
    ----------
    seen : ObservationGroups
    damage : DamageSlopes
    share : (n,) float64
        What each observation counts in the mean of its mate; 0 in mates without weights.
    intensity : (m,) float64
        Mean of each unique reflection; those below 0 have no relative errors.

    Returns
    -------
    (n_mates,) float64
    """
    mate = np.repeat(np.arange(len(seen.start_apart) - 1), np.diff(seen.start_apart))
    unique = seen.unique.group[seen.start_apart[:-1]]
    variance = np.square(np.bincount(mate, share * damage.dose)) * damage.variance[unique]
    mean = intensity[unique]
    return np.where(mean > 0.0, variance / np.maximum(np.square(mean), 1e-300), 0.0)


def _average_shells(J: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The mean of J in the shell of each reflection."""
    rank = np.empty(len(d), np.int64)
    rank[np.argsort(d, kind="stable")] = np.arange(len(d))
    shell = rank * _SHELLS // len(d)
    n = np.maximum(np.bincount(shell, minlength=_SHELLS), 1)
    return (np.bincount(shell, J, _SHELLS) / n)[shell]


def _estimate_spread(slope: np.ndarray, variance: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """q1 and q2 of the greatest likelihood of slopes with these errors."""
    square = np.square(slope)

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        q = np.exp(x)
        v = variance + q @ terms
        gradient = (1.0 / v - square / (v * v)) * terms
        return float(np.sum(np.log(v) + square / v)), q * gradient.sum(axis=1)

    found = minimize(cost, np.array(_START), jac=True, bounds=[_RANGE, _RANGE], method="L-BFGS-B")
    return np.asarray(np.exp(found.x))
