r"""The formulas of the dispersion thresholds: one pixel, and what its window sums to.

A window holds m pixels that are used, whose counts sum to x and whose squares sum to y. Their mean is x / m, and their
sample variance over the mean, the index of dispersion D, is

.. math:: D = \frac{m y - x^2}{(m - 1)\, x}.

Counted photons have D near 1, or near the gain g where a photon makes g counts. D of m pixels then scatters by
:math:`g \sqrt{2 / (m - 1)}`. The functions here are these comparisons times their denominators, so that whole numbers
stay whole as long as they can.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

BIG = 2.0**24
"""Counts from here on take part in no sum, as in DIALS; such pixels are tested like any other.

It is the largest whole number up to which single precision holds every whole number.
"""


class Rules(NamedTuple):
    """The parameters of a dispersion threshold.

    Attributes
    ----------
    sigma_background : float
        σ_b: standard deviations by which the index of dispersion of a window with signal exceeds that of background.
    sigma_strong : float
        σ_s: standard deviations by which a strong pixel exceeds the mean.
    threshold : float
        Counts that a strong pixel exceeds.
    min_count : int
        Fewest pixels of a window.
    gain : float
        g: counts a photon; 1 without a gain.
    has_gain : bool
        Whether a gain was given. Without one the formulas are evaluated in another order, as in DIALS, and their last
        bit decides about pixels of flat regions.
    """

    sigma_background: float
    sigma_strong: float
    threshold: float
    min_count: int
    gain: float
    has_gain: bool


@kernel
def is_overdispersed(m, x, y, rules):
    """Whether counts vary more than background does: m y - x² > g x (m - 1 + σ_b √(2 (m - 1))).

    That is D > g (1 + σ_b √(2 / (m - 1))), times (m - 1) x.
    """
    if rules.has_gain:
        return m * y - x * x > rules.gain * x * (m - 1 + rules.sigma_background * np.sqrt(2 * (m - 1)))
    return m * y - x * x - x * (m - 1) > x * rules.sigma_background * np.sqrt(2 * (m - 1))


@kernel
def is_above_mean(v, m, x, rules):
    """Whether a pixel's value v exceeds its window's mean: m v - x > σ_s √(g x m).

    That is v > x / m + σ_s √(g x / m), times m: the variance of Poisson counts is g times their mean.
    """
    if rules.has_gain:
        return m * v - x > rules.sigma_strong * np.sqrt(rules.gain * x * m)
    return m * v - x > rules.sigma_strong * np.sqrt(x * m)


@kernel
def is_above_background(v, m, x, rules):
    """Whether a value v reaches b + σ_s √(g b), b = x / m being the mean of m background pixels around it.

    Fewer than two background pixels count as a background of 0.
    """
    mean = x / m if m >= 2 else 0.0
    if rules.has_gain:
        return v >= mean + rules.sigma_strong * np.sqrt(rules.gain * mean)
    return v >= mean + rules.sigma_strong * np.sqrt(mean)
