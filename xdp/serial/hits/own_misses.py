r"""Thresholds that follow from the run's own misses: no number in counts is needed.

1. Each shot of a sample gives mean :math:`m_i(r)` and spread :math:`s_i(r)` of each ring about the beam, without peaks.
2. The counts of a photon g are the slope of the variance against the mean over the rings: photons scatter by their
   number. A pedestal and a noise that is the same everywhere do not change it.
3. From the shots taken for misses (at first all) follow mean and spread of each ring in the run,

   .. math:: M(r) = \overline{m_i}, \qquad S^2(r) = \overline{s_i^2} + \mathrm{var}(m_i),

   and a peak's pixels exceed both :math:`m_i + k s_i + c` and :math:`M + k S + c`. The allowance
   :math:`c = (k^2 - 1) g / 6` is the first term of Cornish and Fisher's expansion [1]_: few photons are skewed, and lie
   beyond k spreads far more often than a normal distribution has it.
4. A shot with fewer peaks than :math:`N = \max(8, \bar n + 5 \sigma_n)` is a miss, n being the number of peaks of the
   misses. Steps 3 and 4 are repeated until the misses stay the same.

References
----------
.. [1] Cornish, E. A. & Fisher, R. A. (1938). *Rev. Inst. Int. Stat.* **5**, 307-320. doi:10.2307/1400905
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xdp.serial.hits.radial import RingPeaks, RingStatistics

FEWEST_PEAKS = 8
"""A hit has at least so many peaks, however few the misses have: fewer are hardly ever indexed. The misses of
stills_dev have none and its hits more than 100: between them any number does."""
SPREADS = 5.0
"""A hit has this many spreads more peaks than the mean of the misses; a choice, as of sigma."""
MOST_ROUNDS = 10
"""Rounds after which the misses are taken as they are; on the data sets tried they stay the same after two."""
FEWEST_MISSES = 3
"""Fewer misses tell no spread: the numbers of the shots themselves are used."""
LARGEST_GAP = 2.0
"""Where hardly any shot has fewer than FEWEST_PEAKS, the numbers of peaks are divided at a step by this factor: misses
with many false peaks then lie below it. Without such a step all are hits. A choice."""


class ShotRings(NamedTuple):
    """What a shot tells about the run's thresholds.

    Attributes
    ----------
    statistics : RingStatistics
    peaks : RingPeaks
        Those above the shot's own rings.
    """

    statistics: RingStatistics
    peaks: RingPeaks


class RunThresholds(NamedTuple):
    """Thresholds of a run.

    Attributes
    ----------
    sigma : float
        Spreads above the mean.
    allowance : float
        Added for the skewness of few photons, counts.
    level : (rings,) float64
        Of each ring in the run; minus infinity where it is not known.
    min_peaks : int
        Fewest peaks of a hit.
    gain : float
        Counts a photon, as the variances have it; 0 where they do not tell.
    n_sample, n_misses : int
        Shots looked at, and those of them that are misses.
    """

    sigma: float
    allowance: float
    level: np.ndarray
    min_peaks: int
    gain: float
    n_sample: int
    n_misses: int

    def compute(self, statistics: RingStatistics) -> np.ndarray:
        """The threshold of each ring of a shot.

        Parameters
        ----------
        statistics : RingStatistics
            Of the shot.

        Returns
        -------
        (rings,) float64
        """
        own = statistics.mean + self.sigma * statistics.spread + self.allowance
        # rings of another geometry than the sample's have only their own
        return np.maximum(own, self.level) if self.level.shape == own.shape else own

    def select(self, shot: ShotRings) -> RingPeaks:
        """The peaks of a shot that keep enough pixels above the thresholds.

        Parameters
        ----------
        shot : ShotRings

        Returns
        -------
        RingPeaks
        """
        return shot.peaks.take(shot.peaks.level > self.compute(shot.statistics)[shot.peaks.ring])

    def text(self) -> str:
        """Say in a line or two what was chosen, and from what."""
        known = self.level[np.isfinite(self.level)]
        span = f"{known.min():.4g} to {known.max():.4g} counts by radius" if known.size else "of each shot's own rings"
        gain = f"{self.gain:.3g} counts a photon, by the background's variance" if self.gain > 0 else (
            "no counts a photon: the background's variance does not grow with its mean")
        return (f"{self.n_misses} of {self.n_sample} shots of the sample are misses; {gain}. Pixels of peaks exceed "
                f"the mean of their ring by {self.sigma:g} spreads, in the shot and in the misses: {span}. "
                f"Hits have at least {self.min_peaks} peaks")


def estimate_photon_gain(shots: Sequence[RingStatistics]) -> float:
    """Counts a photon: the slope of the variance against the mean over the rings of all shots.

    Parameters
    ----------
    shots : sequence of RingStatistics

    Returns
    -------
    float
        0 where the means of the rings do not differ, or the variance does not grow with them.

    Examples
    --------
    >>> mean = np.linspace(1.0, 9.0, 50)
    >>> round(estimate_photon_gain([RingStatistics(np.full(50, 300.0), 4 * mean + 20, np.sqrt(16 * mean + 7))]), 6)
    4.0
    """
    product = square = 0.0
    for shot in shots:
        is_known = np.isfinite(shot.mean) & (shot.n > 1)
        mean, variance = shot.mean[is_known], shot.spread[is_known] ** 2
        if mean.size > 1:
            product += float(((mean - mean.mean()) * (variance - variance.mean())).sum())
            square += float(((mean - mean.mean()) ** 2).sum())
    return max(product / square, 0.0) if square > 0 else 0.0


def learn_thresholds(shots: Sequence[ShotRings], *, sigma: float, min_peaks: int | None = None) -> RunThresholds:
    """Find the thresholds of a run from a sample of its shots.

    Parameters
    ----------
    shots : sequence of ShotRings
        With rings of one geometry; shots of which most others differ are left out.
    sigma : float
        Spreads above the mean.
    min_peaks : int, optional
        Fewest peaks of a hit; by default it follows from the misses.

    Returns
    -------
    RunThresholds
    """
    shots = _choose_common_rings(shots)
    gain = estimate_photon_gain([shot.statistics for shot in shots])
    allowance = (sigma * sigma - 1.0) / 6.0 * gain
    fewest = FEWEST_PEAKS if min_peaks is None else min_peaks
    is_miss = np.ones(len(shots), bool)
    level, n_peaks = np.zeros(0), np.zeros(len(shots), int)
    for turn in range(MOST_ROUNDS if shots else 0):
        level = _compute_level([s.statistics for s, miss in zip(shots, is_miss, strict=True) if miss], sigma, allowance)
        chosen = RunThresholds(sigma, allowance, level, fewest, gain, len(shots), 0)
        n_peaks = np.array([len(chosen.select(shot).ring) for shot in shots])
        least = fewest if min_peaks is not None else _choose_fewest(n_peaks, is_miss if turn else None)
        before, is_miss = is_miss, n_peaks < least
        fewest = least
        if turn and np.array_equal(before, is_miss):
            break
        if is_miss.sum() < FEWEST_MISSES:
            # a run of hits: the background of its own shots stands in for that of misses
            n_misses, is_miss = int(is_miss.sum()), np.ones(len(shots), bool)
            if turn:
                return RunThresholds(sigma, allowance, level, fewest, gain, len(shots), n_misses)
    return RunThresholds(sigma, allowance, level, fewest, gain, len(shots), int((n_peaks < fewest).sum()))


def _choose_common_rings(shots: Sequence[ShotRings]) -> list[ShotRings]:
    """The shots with as many rings as most have."""
    sizes = np.array([len(shot.statistics.mean) for shot in shots], int)
    if not sizes.size:
        return []
    most = np.bincount(sizes).argmax()
    return [shot for shot, size in zip(shots, sizes, strict=True) if size == most]


def _compute_level(misses: Sequence[RingStatistics], sigma: float, allowance: float) -> np.ndarray:
    """The run's threshold of each ring, from its misses."""
    mean = np.array([shot.mean for shot in misses])
    spread = np.array([shot.spread for shot in misses])
    with warnings.catch_warnings():
        # a ring that no shot has pixels in has no mean: its threshold is not known
        warnings.simplefilter("ignore", RuntimeWarning)
        level = np.nanmean(mean, 0) + sigma * np.sqrt(np.nanmean(spread**2, 0) + np.nanvar(mean, 0)) + allowance
    return np.where(np.isfinite(level), level, -np.inf)


def _choose_fewest(n_peaks: np.ndarray, is_miss: np.ndarray | None) -> int:
    """Fewest peaks of a hit, from those of the misses; without misses yet, from where the numbers part."""
    if is_miss is not None and is_miss.sum() >= FEWEST_MISSES and not is_miss.all():
        mean, spread = n_peaks[is_miss].mean(), n_peaks[is_miss].std()
        return max(FEWEST_PEAKS, math.ceil(mean + SPREADS * max(spread, math.sqrt(mean))))
    if (n_peaks < FEWEST_PEAKS).sum() >= FEWEST_MISSES:
        return FEWEST_PEAKS
    return _find_step(np.sort(n_peaks))


def _find_step(n_peaks: np.ndarray) -> int:
    """Where sorted numbers of peaks rise by a large factor: the number above that; without one the fewest of a hit."""
    if len(n_peaks) < 2 * FEWEST_MISSES:
        return FEWEST_PEAKS
    # eight are added: from 1 to 3 is no step
    ratio = (n_peaks[1:] + FEWEST_PEAKS) / (n_peaks[:-1] + FEWEST_PEAKS)
    # a few shots below are no group of misses
    ratio[:FEWEST_MISSES - 1] = 0.0
    best = int(ratio.argmax())
    return int(n_peaks[best + 1]) if ratio[best] >= LARGEST_GAP else FEWEST_PEAKS
