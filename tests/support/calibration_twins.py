"""Slow twins of the calibration of shots: plain NumPy, pixel by pixel where that is clearer."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit


def find_common_mode_slowly(pixels, stddev, algorithm):
    """The offset of one section of one panel, as cctbx.xfel states it."""
    values = [float(pixels[y, x]) for y in range(pixels.shape[0]) for x in range(pixels.shape[1]) if stddev[y, x] > 0]
    sigmas = [float(stddev[y, x]) for y in range(pixels.shape[0]) for x in range(pixels.shape[1]) if stddev[y, x] > 0]
    if algorithm == "mean":
        kept = [v for v, s in zip(values, sigmas, strict=True) if v / s < 2.0]
        return sum(kept) / len(kept)
    if algorithm == "median":
        ordered = sorted(values)
        n = len(ordered)
        return 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
    counts = [0] * 100
    for value in values:
        if -40.0 <= value <= 40.0:
            counts[min(99, int((value + 40.0) / 0.8))] += 1
    best = counts.index(max(counts))
    mode = -40.0 + 0.8 * (best + 0.5)
    if algorithm == "mode":
        return mode
    x = np.array([-40.0 + 0.8 * (i + 0.5) for i in range(100)])
    found, _ = curve_fit(lambda x, a, b, c: a * np.exp(-0.5 * ((x - b) / c) ** 2), x, np.array(counts, float),
                         p0=(max(counts), mode, 3.0))
    return float(found[1])


def fit_chebyshev_slowly(pixels, active):
    """The surface of a full least-squares fit with one row of the design matrix a pixel."""
    n_slow, n_fast = pixels.shape
    rows, values = [], []
    for y in range(n_slow):
        for x in range(n_fast):
            if active[y, x]:
                rows.append(chebyshev_terms(y, x, n_slow, n_fast))
                values.append(pixels[y, x])
    solution = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return np.array([[np.dot(chebyshev_terms(y, x, n_slow, n_fast), solution) for x in range(n_fast)]
                     for y in range(n_slow)])


def chebyshev_terms(y, x, n_slow, n_fast):
    """T_0 to T_4 along a row, T_1 to T_9 along a column: T_n(cos t) = cos n t."""
    u, v = -1.0 + 2.0 * x / (n_fast - 1), -1.0 + 2.0 * y / (n_slow - 1)
    return [*(np.cos(n * np.arccos(u)) for n in range(5)), *(np.cos(n * np.arccos(v)) for n in range(1, 10))]


def convert_three_gains_slowly(raw, pedestals, gains):
    """Photons, and which pixels are valid."""
    out, valid = np.zeros(raw.shape), np.ones(raw.shape, bool)
    for index in np.ndindex(raw.shape):
        bits, count = divmod(int(raw[index]), 16384)
        if bits == 2:
            valid[index] = False
            continue
        stage = {0: 0, 1: 1, 3: 2}[bits]
        gain = gains[(stage, *index)]
        if gain == 0 or not np.isfinite(gain):
            valid[index] = np.isinf(gain)
            continue
        out[index] = (count - pedestals[(stage, *index)]) / gain
    return out, valid
