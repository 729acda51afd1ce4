"""Kernels: means of groups of observations, and the normal equations of scales with these means eliminated.

The letters are those of the formulas: an observation I of a reflection of mean J on the scale g has the mean ``g J``,
the weight w (one over its variance), and the derivatives x of ``log g`` by the parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel


class Rows(NamedTuple):
    """ObservationGroups, those of a group beside each other.

    Attributes
    ----------
    start : (n_groups + 1,) int64
        The first observation of each group, and their number.
    I : (n,) float64
        Intensities, corrected for all but the scale.
    """

    start: np.ndarray
    I: np.ndarray  # noqa: E741


class ScaleDesign(NamedTuple):
    """Derivatives of the logarithms of scales by the parameters.

    Those of most components have few entries (splines, frames); those of one, a surface, have all entries of a block.

    Attributes
    ----------
    place : (n, k) int32
        Numbers of the parameters of the sparse part; each at most once in a row, and -1 where there are fewer than k.
    value : (n, k) float64
        Their derivatives.
    block : (n,) int32
        Number of the first parameter of the dense part, which is below those of all sparse parts.
    dense : (n, m) float64
        Derivatives of its m parameters.
    """

    place: np.ndarray
    value: np.ndarray
    block: np.ndarray
    dense: np.ndarray


class Drift(NamedTuple):
    """What changes with the dose in each group: its mean is ``J + s t``, and s is known beforehand to some extent.

    Attributes
    ----------
    dose : (n,) float64
        t of each observation; an empty array if nothing changes.
    precision : (n_groups,) float64
        One over the variance of s before anything is measured.
    """

    dose: np.ndarray
    precision: np.ndarray


@kernel
def merge_rows(rows, g, w, J, information):
    """Weighted means of groups: ``J = sum w g I / sum w g^2``; the denominator is their `information`.

    Groups without weight get 0 for both.
    """
    for h in range(len(rows.start) - 1):
        above = below = 0.0
        for i in range(rows.start[h], rows.start[h + 1]):
            above += w[i] * g[i] * rows.I[i]
            below += w[i] * g[i] * g[i]
        information[h] = below
        J[h] = above / below if below > 0.0 else 0.0


@kernel
def log_scales(design, p, out):
    """The logarithms of scales: ``x p``."""
    m = design.dense.shape[1]
    for i in range(len(design.place)):
        total = 0.0
        for k in range(design.place.shape[1]):
            if design.place[i, k] >= 0:
                total += design.value[i, k] * p[design.place[i, k]]
        for k in range(m):
            total += design.dense[i, k] * p[design.block[i] + k]
        out[i] = total


@kernel
def normal_equations(rows, design, g, w, J, information, drift, N, b):
    """Add the observations to the normal matrix (its lower half) and to the right side, with all J eliminated.

    With ``mu = g J``, over groups h and observations i in them::

        N += sum_h ( sum_i w mu^2 x x^T - u u^T / sum_i w g^2 ),  u = sum_i w g mu x
        b += sum_i w (I - mu) mu x

    J must be the weighted means, so that ``sum_i w g (I - mu)`` is 0 in each group. With a drift its s are eliminated,
    too: ``N -= v v^T / (sum_i w g^2 (t - <t>)^2 + precision)``, with ``v = sum_i w g mu (t - <t>) x`` and <t> the
    weighted mean; the intensities must be those without the drift.
    """
    P, m, n_sparse, drifts = len(b), design.dense.shape[1], design.place.shape[1], len(drift.dose) > 0
    u, v = np.zeros(P), np.zeros(P)
    touched, blocks = np.empty(P, np.int64), np.empty(P, np.int64)
    for h in range(len(rows.start) - 1):
        first, last = rows.start[h], rows.start[h + 1]
        # a group of one says nothing of scales: both terms cancel
        if last - first < 2 or information[h] <= 0.0:
            continue
        n_touched = n_blocks = 0
        t, (middle, square) = 0.0, _spread_doses(drift, g, w, first, last)
        for i in range(first, last):
            if w[i] <= 0.0:
                continue
            if drifts:
                t = drift.dose[i] - middle
            mu = g[i] * J[h]
            weight, right, cross = w[i] * mu * mu, w[i] * (rows.I[i] - mu) * mu, w[i] * g[i] * mu
            d = design.block[i]
            if m and u[d] == 0.0:
                known = False
                for k in range(n_blocks):
                    known |= blocks[k] == d
                if not known:
                    blocks[n_blocks] = d
                    n_blocks += 1
            for k in range(m):
                x = design.dense[i, k]
                b[d + k] += right * x
                u[d + k] += cross * x
                v[d + k] += cross * t * x
            for k in range(n_sparse):
                at, x = design.place[i, k], design.value[i, k]
                if at < 0:
                    continue
                b[at] += right * x
                if u[at] == 0.0:
                    touched[n_touched] = at
                    n_touched += 1
                u[at] += cross * x
                v[at] += cross * t * x
                # never exactly 0 again, so that it is listed once
                if u[at] == 0.0:
                    u[at] = 1e-300
            _add_square(N, design, i, weight)
        _subtract_square(N, u, touched[:n_touched], blocks[:n_blocks], m, 1.0 / information[h])
        if drifts:
            _subtract_square(N, v, touched[:n_touched], blocks[:n_blocks], m, 1.0 / (square + drift.precision[h]))
        for k in range(n_touched):
            u[touched[k]] = v[touched[k]] = 0.0
        for k in range(n_blocks):
            u[blocks[k]:blocks[k] + m] = 0.0
            v[blocks[k]:blocks[k] + m] = 0.0


@kernel
def _spread_doses(drift, g, w, first, last):
    """The weighted mean of the doses of a group, and the weighted sum of squares about it; 0 and 0 without a drift."""
    total = middle = square = 0.0
    if len(drift.dose):
        for i in range(first, last):
            total += w[i] * g[i] * g[i]
            middle += w[i] * g[i] * g[i] * drift.dose[i]
        middle /= total
        for i in range(first, last):
            square += w[i] * g[i] * g[i] * (drift.dose[i] - middle) ** 2
    return middle, square


@kernel
def _add_square(N, design, i, weight):
    """``N += weight x x^T``, lower half, for the derivatives x of observation i."""
    m, d = design.dense.shape[1], design.block[i]
    for k in range(m):
        x = weight * design.dense[i, k]
        for j in range(k + 1):
            N[d + k, d + j] += x * design.dense[i, j]
    for k in range(design.place.shape[1]):
        at, x = design.place[i, k], weight * design.value[i, k]
        if at < 0:
            continue
        for j in range(m):
            N[at, d + j] += x * design.dense[i, j]
        for j in range(design.place.shape[1]):
            if 0 <= design.place[i, j] <= at:
                N[at, design.place[i, j]] += x * design.value[i, j]


@kernel
def _subtract_square(N, u, touched, blocks, m, factor):
    """``N -= factor u u^T``, lower half, for the entries of u that are not 0."""
    for at in touched:
        scaled = factor * u[at]
        for d in blocks:
            for j in range(m):
                N[at, d + j] -= scaled * u[d + j]
        for other in touched:
            if other <= at:
                N[at, other] -= scaled * u[other]
    for d in blocks:
        for k in range(m):
            scaled = factor * u[d + k]
            for e in blocks:
                if e < d:
                    for j in range(m):
                        N[d + k, e + j] -= scaled * u[e + j]
            for j in range(k + 1):
                N[d + k, d + j] -= scaled * u[d + j]


@kernel
def restricted_likelihood(rows, g, s2, use, result):
    """What the likelihood of variances needs, the means eliminated: sums over groups with two observations or more.

    Adds to `result`: the sum of ``(I - g J)^2 / s2``, of ``log s2``, of ``log sum g^2 / s2``, the number of
    observations, the number of groups.
    """
    for h in range(len(rows.start) - 1):
        n = 0
        above = below = logs = 0.0
        for i in range(rows.start[h], rows.start[h + 1]):
            if use[i]:
                n += 1
                above += g[i] * rows.I[i] / s2[i]
                below += g[i] * g[i] / s2[i]
                logs += np.log(s2[i])
        if n < 2:
            continue
        J = above / below
        squares = 0.0
        for i in range(rows.start[h], rows.start[h + 1]):
            if use[i]:
                squares += (rows.I[i] - g[i] * J) ** 2 / s2[i]
        result[0] += squares
        result[1] += logs
        result[2] += np.log(below)
        result[3] += n
        result[4] += 1.0


@kernel
def flag_outliers(rows, g, s2, extra, z_max, use):
    """Take the worst observation out of each group until none differs from the others by more than `z_max` sigmas.

    An observation is compared with the weighted mean of the others of its group, whose error counts too, and with
    `extra` added to the variance relative to the square of that mean. Of two that differ, the larger is taken out:
    what goes wrong on a detector adds counts more often than it hides them. Writes `use`; gives how many were taken
    out.
    """
    n_out = 0
    for h in range(len(rows.start) - 1):
        while True:
            above = below = 0.0
            n = 0
            for i in range(rows.start[h], rows.start[h + 1]):
                if use[i]:
                    above += g[i] * rows.I[i] / s2[i]
                    below += g[i] * g[i] / s2[i]
                    n += 1
            if n < 2:
                break
            worst, at, largest = z_max * z_max, -1, 0.0
            for i in range(rows.start[h], rows.start[h + 1]):
                if use[i]:
                    w = g[i] * g[i] / s2[i]
                    mean = (above - g[i] * rows.I[i] / s2[i]) / (below - w)
                    deviation = rows.I[i] / g[i] - mean
                    z2 = deviation * deviation / (1.0 / w + 1.0 / (below - w) + extra * mean * mean)
                    # both of two have the same deviation
                    if z2 > worst * (1.0 + 1e-9) or (n == 2 and z2 > z_max * z_max and rows.I[i] / g[i] > largest):
                        worst, at, largest = z2, i, rows.I[i] / g[i]
            if at < 0:
                break
            use[at] = False
            n_out += 1
    return n_out


@kernel
def mean_derivatives(rows, design, share, first, out):
    """Weighted sums of the derivatives x over groups, as full rows: ``out[h] += sum_i share x``.

    `first` is the group that the first row of `out` is of.
    """
    m = design.dense.shape[1]
    for h in range(len(out)):
        for i in range(rows.start[first + h], rows.start[first + h + 1]):
            for k in range(design.place.shape[1]):
                if design.place[i, k] >= 0:
                    out[h, design.place[i, k]] += share[i] * design.value[i, k]
            for k in range(m):
                out[h, design.block[i] + k] += share[i] * design.dense[i, k]


@kernel
def variances_of_rows(design, centre, C, out):
    """The variances ``(x - c)^T C (x - c)`` of the logarithms of scales, for each observation."""
    m, n_sparse = design.dense.shape[1], design.place.shape[1]
    turned = C @ centre
    middle = centre @ turned
    at, x = np.empty(m + n_sparse, np.int64), np.empty(m + n_sparse)
    for i in range(len(out)):
        n = 0
        for k in range(n_sparse):
            if design.place[i, k] >= 0:
                at[n], x[n] = design.place[i, k], design.value[i, k]
                n += 1
        for k in range(m):
            at[n], x[n] = design.block[i] + k, design.dense[i, k]
            n += 1
        total = middle
        for k in range(n):
            line = 0.0
            for j in range(n):
                line += C[at[k], at[j]] * x[j]
            total += x[k] * (line - 2.0 * turned[at[k]])
        out[i] = max(total, 0.0)
