"""Kernels of calibration: three gains in raw counts, and sums over shots."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

# The two highest bits of a raw count say the gain, the others count.
_STAGE_SHIFT = 14
_COUNT_BITS = 0x3FFF


@kernel
def convert_three_gains(raw, pedestals, gains, out, valid):
    """Convert raw counts of three gains: ``(count - pedestal[g]) / gain[g]``.

    The stage g is 0 for bits 00, 1 for 01, 2 for 11; 10 does not occur, and such a pixel is not valid.

    Parameters
    ----------
    raw : (n,) uint16
        Raw counts.
    pedestals, gains : (3, n) float64
        Of each stage.
    out : (n,) float64
        The result.
    valid : (n,) bool
        Set to False where the stage or its gain makes no sense.
    """
    for i in range(raw.size):
        count = np.int64(raw[i])
        stage = count >> _STAGE_SHIFT
        if stage == 2:
            out[i] = 0.0
            valid[i] = False
            continue
        g = 2 if stage == 3 else stage
        gain = gains[g, i]
        if not gain > 0.0 and not gain < 0.0:
            out[i] = 0.0
            valid[i] = False
            continue
        out[i] = (np.float64(count & _COUNT_BITS) - pedestals[g, i]) / gain


@kernel
def add_to_sums(values, valid, n, mean, squares, highest, lowest):
    """Add a shot to the sums of its pixels, by Welford's recurrence.

    ``mean += (x - mean) / n``, ``squares += (x - old mean) (x - new mean)``: no large numbers are subtracted.

    Parameters
    ----------
    values : (n_pixels,) float64
        Counts; those that are no finite number are left out.
    valid : (n_pixels,) bool, or (0,)
        Pixels that count; all where it is empty.
    n : (n_pixels,) int64
        How many shots each pixel has had.
    mean, squares, highest, lowest : (n_pixels,) float64
        Mean, sum of squares about it, maximum and minimum so far.
    """
    everywhere = valid.size == 0
    for i in range(values.size):
        x = values[i]
        if not np.isfinite(x) or not (everywhere or valid[i]):
            continue
        n[i] += 1
        change = x - mean[i]
        mean[i] += change / n[i]
        squares[i] += change * (x - mean[i])
        if x > highest[i]:
            highest[i] = x
        if x < lowest[i]:
            lowest[i] = x


@kernel
def join_sums(n, mean, squares, highest, lowest, other_n, other_mean, other_squares, other_highest, other_lowest):
    """Add sums over other shots to these: the means by their weights, the squares about the common mean.

    Parameters
    ----------
    n, mean, squares, highest, lowest : (n_pixels,) arrays
        As of :func:`add_to_sums`; changed.
    other_n, other_mean, other_squares, other_highest, other_lowest : (n_pixels,) arrays
        Those of the other shots.

    References
    ----------
    T. F. Chan, G. H. Golub & R. J. LeVeque (1983), The American Statistician 37, 242, doi
    10.1080/00031305.1983.10483115, equation 2.1.
    """
    for i in range(n.size):
        b = other_n[i]
        if b == 0:
            continue
        a = n[i]
        total = a + b
        change = other_mean[i] - mean[i]
        mean[i] += change * (b / total)
        squares[i] += other_squares[i] + change * change * (a * (b / total))
        n[i] = total
        if other_highest[i] > highest[i]:
            highest[i] = other_highest[i]
        if other_lowest[i] < lowest[i]:
            lowest[i] = other_lowest[i]
