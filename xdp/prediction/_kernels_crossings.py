"""Where reciprocal lattice points cross the Ewald sphere while crystal, beam and axis change from frame to frame."""

from __future__ import annotations

from math import sqrt

import numpy as np

from xdp.kernels import kernel


@kernel
def find_crossings(hkl, begin, end, beam_begin, beam_end, reach, rows, frames):
    """Find each frame during which a point passes through the sphere.

    A point r = A h is outside where ``g = 2 s0.r + r.r >= 0``. It crosses during a frame if g has another sign at the
    end than at the beginning. As g cannot change by more than `reach` times |r| a frame, so many frames are skipped as
    g needs to come to zero.

    Parameters
    ----------
    hkl : float64 (n, 3)
    begin, end : float64 (m, 3, 3)
        Setting matrices in the lab, at the beginning and the end of each frame.
    beam_begin, beam_end : float64 (m, 3)
        s0 then.
    reach : float64 (2,)
        Bounds a and b: g changes by a |r| + b |r|^2 at most a frame, with |r| of the first frame.
    rows, frames : int64 (capacity,)
        Filled: which point, which frame.

    Returns
    -------
    Number of crossings; if above the capacity, those beyond are not stored.
    """
    n_frames = begin.shape[0]
    found = np.int64(0)
    for i in range(hkl.shape[0]):
        h, k, l = hkl[i, 0], hkl[i, 1], hkl[i, 2]  # noqa: E741
        bound = 0.0
        frame = np.int64(0)
        while frame < n_frames:
            g, square = _measure_outside(begin, beam_begin, frame, h, k, l)
            if frame == 0:
                bound = reach[0] * sqrt(square) + reach[1] * square
            # nor within the whole scan: most points end here, at their first frame
            if abs(g) >= bound * n_frames:
                break
            # g cannot reach zero within so many frames
            n_safe = np.int64(abs(g) / bound)
            if n_safe > 0:
                frame += n_safe
                continue
            after, square = _measure_outside(end, beam_end, frame, h, k, l)
            if (g >= 0.0) != (after >= 0.0):
                if found < rows.shape[0]:
                    rows[found] = i
                    frames[found] = frame
                found += 1
            frame += 1
    return found


@kernel
def _measure_outside(a, s0, i, h, k, l):  # noqa: E741
    """Compute g and r.r of a point with the models number i."""
    x = a[i, 0, 0] * h + a[i, 0, 1] * k + a[i, 0, 2] * l
    y = a[i, 1, 0] * h + a[i, 1, 1] * k + a[i, 1, 2] * l
    z = a[i, 2, 0] * h + a[i, 2, 1] * k + a[i, 2, 2] * l
    square = x * x + y * y + z * z
    return 2.0 * (s0[i, 0] * x + s0[i, 1] * y + s0[i, 2] * z) + square, square
