"""Numba functions for the robust estimation of Poisson means, used within other kernels."""

from __future__ import annotations

import math

from xdp.kernels import kernel

MOST_STEPS = 100
"""Steps after which an estimate has failed. DIALS' number."""
TOLERANCE = 1e-3
"""A step shorter than this part of the parameters is the last. DIALS' number; logarithms of means are at most 6 or so,
and thus means good to 6 parts in 1000."""
LARGEST_MEAN = 1e8
"""Means beyond this are refused. A choice: no detector counts so many, and the sums of probabilities grow with the root
of the mean."""
LARGEST_EXPONENT = 300.0
"""Largest parameter of a converged fit. DIALS' number: exp(300) is far beyond any count, exp(-300) is nothing."""


@kernel
def poisson_expectations(mean, tuning):
    """Expectations of Huber's function of a Poisson count's residual: itself, and times the score.

    With s = sqrt(mean), r = (Y - mean) / s and psi(r) = r cut off at +-c: ``E psi`` and ``E psi (Y - mean) / mean``,
    from the probabilities at and between j1 = floor(mean - c s) and j2 = floor(mean + c s). Cumulative probabilities
    are sums of neighbouring terms, walked from the one at j1 (at most 20 s below the mean, where nothing is left). An
    infinite c leaves the counts as they are.

    References
    ----------
    E. Cantoni, E. Ronchetti, J. Am. Stat. Assoc. 96, 1022 (2001), appendix, doi:10.1198/016214501753209004.
    """
    sigma = math.sqrt(mean)
    if tuning == math.inf:
        return 0.0, 1.0 / sigma
    j1 = math.floor(mean - tuning * sigma)
    j2 = math.floor(mean + tuning * sigma)
    start = max(j1, 0.0, math.floor(mean - 20.0 * sigma))
    # One probability by logarithms, its neighbours by p(j + 1) = p(j) mean / (j + 1): no factorial overflows.
    p = math.exp(start * math.log(mean) - mean - math.lgamma(start + 1.0))
    at_low, before_low, up_to_low = 0.0, 0.0, 0.0
    if start == j1:
        at_low, before_low = p, p * j1 / mean
        term, j = p, j1
        up_to_low = p
        while j > 0.0 and term > 1e-20:  # smaller terms are lost in sums near 1
            term *= j / mean
            up_to_low += term
            j -= 1.0
    between, before_high = 0.0, before_low
    j = start
    while j < j2:
        between += p
        before_high = p
        j += 1.0
        p *= mean / j
        if p < 1e-20 and j > mean:
            p, before_high = 0.0, 0.0
            break
    following = p * mean / (j2 + 1.0)
    # In this order P(Y > j2) keeps its digits where it is tiny.
    above = (1.0 - (up_to_low - at_low + between + p + following)) + following
    first = tuning * (above - up_to_low) + sigma * (at_low - p)
    second = tuning * (at_low + p) + sigma * (between / mean + before_low - at_low - before_high + p)
    return first, second


@kernel
def robust_mean(values, weights, n, total, start, tuning):
    """The mean of counts by iteratively reweighted least squares on its logarithm, or -1 without convergence.

    Each step adds ``(sum psi(r_i) - n E psi) / (n mean E psi score)`` to the logarithm, until a step is shorter than
    a thousandth of it; `values` (n distinct ones) occur `weights` times, `total` in all.
    """
    beta = math.log(start)
    for _ in range(MOST_STEPS):
        mean = math.exp(beta)
        if not 0.0 < mean < LARGEST_MEAN:
            return -1.0
        sigma = math.sqrt(mean)
        first, second = poisson_expectations(mean, tuning)
        psi = 0.0
        for i in range(n):
            psi += weights[i] * min(max((values[i] - mean) / sigma, -tuning), tuning)
        step = (psi - total * first) / (total * second * mean)
        is_last = abs(step) < TOLERANCE * max(abs(beta), 1e-5)
        beta += step
        if is_last:
            return math.exp(beta) if abs(beta) < LARGEST_EXPONENT else -1.0
    return -1.0
