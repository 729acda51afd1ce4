"""Kernels of the likelihoods of differences of paired intensities; formulas in `hypotheses.py`."""

from __future__ import annotations

import math

import numpy as np

from xdp.kernels import kernel

_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


@kernel
def integrate_normal(x):
    """Phi(x): the part of the normal distribution below x."""
    # beyond, the result is 1 in double precision, and below 1e-19, which nothing that is added to it notices
    if x > 8.3:
        return 1.0
    if x < -9.0:
        return 0.0
    return 0.5 * math.erfc(-x * 0.7071067811865476)


@kernel
def uniform_density(x, width, sigma):
    """p(x) = (Phi((w - x) / s) - Phi((-w - x) / s)) / 2w, for x >= 0."""
    return (integrate_normal((width - x) / sigma) - integrate_normal((-width - x) / sigma)) / (2.0 * width)


@kernel
def correlated_density(x, total, variance, k, norm):
    """The normal density of variance S^2/k, cut off at -S and S, with a normal error; for x >= 0."""
    width = total * total / k
    together = width + variance
    centre = x * width / together
    sigma = math.sqrt(width * variance / together)
    inside = integrate_normal((total - centre) / sigma) - integrate_normal((-total - centre) / sigma)
    return math.exp(-0.5 * x * x / together) / (_ROOT_TWO_PI * math.sqrt(together)) * inside / norm


@kernel
def add_pair_scores(difference, total, noise, errors, correlations, fractions, outliers, symmetric, correlated,
                    twinned):
    """Add the log likelihoods of pairs under each hypothesis and each proportional error.

    Parameters
    ----------
    difference : (n,)
        |D|.
    total, noise : (n, n_sums)
        Likely sums S, and the variances of D by background and counting.
    errors : (n_errors,)
    correlations : (n_correlations,)
        The first is chance.
    fractions : (n_fractions,)
    outliers : float
        Part of the pairs whose difference may be anything.
    symmetric : (n_errors,)
    correlated : (n_correlations, n_errors)
    twinned : (n_fractions, n_errors)
        What is added to.
    """
    # what depends on the pair but not on the proportional error is found once a pair
    n_sums = total.shape[1]
    ks = np.empty((len(correlations), n_sums))
    norms = np.empty((len(correlations), n_sums))
    for p in range(len(difference)):
        x = difference[p]
        for c in range(1, len(correlations)):
            for q in range(n_sums):
                # exact for small and for large k: I0(k sqrt(1-u^2)) falls off as exp(-k^2 u^2 / 4) and exp(-k u^2 / 2)
                k = math.sqrt(correlations[c]) * total[p, q] / (1.0 - correlations[c])
                ks[c, q] = k * k / (2.0 + k)
                norms[c, q] = 2.0 * integrate_normal(math.sqrt(ks[c, q])) - 1.0
        for b in range(len(errors)):
            chance = 0.0
            same = 0.0
            for q in range(n_sums):
                # each intensity, of about S/2, has the error b S/2
                variance = noise[p, q] + 0.5 * (errors[b] * total[p, q])**2
                sigma = math.sqrt(variance)
                chance += uniform_density(x, total[p, q], sigma) / n_sums
                same += math.exp(-0.5 * x * x / variance) / (_ROOT_TWO_PI * sigma) / n_sums
            correlated[0, b] += math.log(max(chance, 1e-300))
            # an outlier differs as unrelated intensities do
            rest = outliers * chance
            symmetric[b] += math.log(max((1.0 - outliers) * same + rest, 1e-300))
            # the parts of a twin leave a difference of (1 - 2 alpha) S at most
            for f in range(len(fractions)):
                density = 0.0
                for q in range(n_sums):
                    sigma = math.sqrt(noise[p, q] + 0.5 * (errors[b] * total[p, q])**2)
                    density += uniform_density(x, (1.0 - 2.0 * fractions[f]) * total[p, q], sigma) / n_sums
                twinned[f, b] += math.log(max((1.0 - outliers) * density + rest, 1e-300))
            for c in range(1, len(correlations)):
                density = 0.0
                for q in range(n_sums):
                    variance = noise[p, q] + 0.5 * (errors[b] * total[p, q])**2
                    density += correlated_density(x, total[p, q], variance, ks[c, q], norms[c, q]) / n_sums
                correlated[c, b] += math.log(max((1.0 - outliers) * density + rest, 1e-300))
