"""Kernels: how periodic spots are along many trial vectors of a known length.

A spot q lies on the lattice planes of a vector v where q.v is a whole number. The score of v is the sum over the spots
of h (1 - (x / w)^2), where that is positive, and x = q.v - round(q.v). The half width w of a spot grows with what is
uncertain of x, and its height h is what the spot tells: a wide one tells little. A spot that lies between planes costs
nothing more however far off it is, so that false spots do no harm.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

_BLOCK = 512  # vectors at a time: their sums and coordinates stay in the processor's first cache (8 kB)


@kernel
def scan_vectors(vectors, points, inverse_width, height, score):
    """Score trial vectors (3, m) on points (n, 3) into `score` (m,); all of single precision.

    Parameters
    ----------
    vectors : (3, m) float32
        Å; a coordinate after the other, so that eight vectors are scored at once.
    points : (n, 3) float32
        Reciprocal lattice points, 1/Å.
    inverse_width, height : (n,) float32
        1 / w and h of each spot.
    score : (m,) float32
        Filled here.
    """
    half, one, zero = np.float32(0.5), np.float32(1.0), np.float32(0.0)
    for begin in range(0, score.size, _BLOCK):
        end = min(begin + _BLOCK, score.size)
        vx, vy, vz, out = vectors[0, begin:end], vectors[1, begin:end], vectors[2, begin:end], score[begin:end]
        out[:] = zero
        for i in range(points.shape[0]):
            qx, qy, qz, inverse, h = points[i, 0], points[i, 1], points[i, 2], inverse_width[i], height[i]
            for k in range(out.size):
                x = qx * vx[k] + qy * vy[k] + qz * vz[k]
                x = (x - np.floor(x + half)) * inverse
                out[k] += h * max(one - x * x, zero)
