"""Kernel: a known cell turned about a direction that one of its vectors has, step by step.

With the first vector along d, and f and g perpendicular to it, another vector of the cell is at the angle phi
x d + (y cos phi - z sin phi) f + (y sin phi + z cos phi) g. Its product with a spot is a + P cos phi + Q sin phi, so
that a step costs two products for each spot.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel


class TurnedVector(NamedTuple):
    """A vector of the cell beside the one that gives the axis."""

    place: np.ndarray          # (3,) x, y, z: its coordinates along the axis and across
    inverse_width: np.ndarray  # (n,) float32: of each spot, as in scan_vectors
    height: np.ndarray         # (n,) float32


@kernel
def turn_cell(axes, points, member, second, third, cosine, sine, angle, score):
    """Find the best angles of a cell about each of some axes.

    Parameters
    ----------
    axes : (t, 3, 3)
        Rows d, f, g.
    points : (n, 3)
        Reciprocal lattice points, 1/Å.
    member : (t, n) float32
        0 to 1: how well each spot lies on the planes of the first vector. It counts so much.
    second, third : TurnedVector
        The cell's other vectors.
    cosine, sine : (m,) float32
        Of the angles, which go round without a gap.
    angle : (t, k) of int
        Filled with the number of the best angles of each axis; -1 where there are no more peaks.
    score : (t, k)
        Filled with their scores.
    """
    total = np.empty(cosine.size, dtype=np.float32)
    for t in range(axes.shape[0]):
        total[:] = np.float32(0.0)
        _add_vector(axes[t], points, member[t], second, cosine, sine, total)
        _add_vector(axes[t], points, member[t], third, cosine, sine, total)
        _pick_peaks(total, angle[t], score[t])


@kernel
def _add_vector(axes, points, member, vector, cosine, sine, total):
    """Add the scores of one vector at all angles to `total`."""
    half, one, zero = np.float32(0.5), np.float32(1.0), np.float32(0.0)
    x, y, z = vector.place
    for i in range(points.shape[0]):
        h = member[i] * vector.height[i]
        if h <= zero:
            continue
        on = axes @ points[i]
        a = np.float32(x * on[0])
        p, q = np.float32(y * on[1] + z * on[2]), np.float32(y * on[2] - z * on[1])
        inverse = vector.inverse_width[i]
        for k in range(total.size):
            phase = a + p * cosine[k] + q * sine[k]
            phase = (phase - np.floor(phase + half)) * inverse
            total[k] += h * max(one - phase * phase, zero)


@kernel
def _pick_peaks(total, angle, score):
    """The highest local maxima of a ring of scores, highest first."""
    angle[:] = -1
    score[:] = -np.inf
    for k in range(total.size):
        s = total[k]
        if s < total[k - 1] or s < total[(k + 1) % total.size] or s <= score[-1]:
            continue
        j = score.size - 1
        while j > 0 and score[j - 1] < s:
            score[j], angle[j] = score[j - 1], angle[j - 1]
            j -= 1
        score[j], angle[j] = s, k
