"""Likelihood of a mosaicity, given on which frames spots were seen."""

from __future__ import annotations

from math import erf, log

from xdp.kernels import kernel


@kernel
def mosaicity_likelihood(early, late, counts, offsets, sigma):
    """Logarithm of the likelihood of sigma_m, up to a constant, after Kabsch (2010) and for the counts on the frames.

    A frame records the share ``z = (erf(late/sigma) - erf(early/sigma)) / 2`` of a spot, never below 1e-10, with
    ``early, late = |zeta| tau / sqrt(2)``, tau the angles of its beginning and end from the spot's. A spot adds log(Z),
    Z its sum of z over the frames it is seen on, and ``sum(n log(z)) - sum(n) log(Z)`` for its counts n there.

    Parameters
    ----------
    early, late, counts : float64 (m,)
        Radians; radians; counts; one for each frame of each spot, frames ascending.
    offsets : int64 (n + 1,)
        Frames of spot i are ``offsets[i]:offsets[i + 1]``.
    sigma : float
        Radians.
    """
    result = 0.0
    for i in range(offsets.shape[0] - 1):
        total, seen, total_counts = 0.0, 0.0, 0.0
        last, above = 0.0, 0.0
        for j in range(offsets[i], offsets[i + 1]):
            # most often a frame begins where the one before it ended
            below = above if j > offsets[i] and early[j] == last else erf(early[j] / sigma)
            last = late[j]
            above = erf(last / sigma)
            share = max(0.5 * abs(above - below), 1e-10)
            total += share
            seen += counts[j] * log(share)
            total_counts += counts[j]
        if total > 0.0:
            result += seen + (1.0 - total_counts) * log(total)
    return result
