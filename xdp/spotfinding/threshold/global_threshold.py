"""A global threshold from the image itself, for ``global_threshold=Auto``."""

from __future__ import annotations

import numpy as np


def estimate_global_threshold(image: np.ndarray) -> float:
    """Counts two steps before the elbow of the curve of how many pixels exceed a threshold.

    Thresholds rise by factors of 1.5 from 1 to 1.5**19. From the point from which the chord to the last point falls
    most steeply, the elbow is the point farthest from that chord.

    Parameters
    ----------
    image : (slow, fast)
        Counts.

    Returns
    -------
    float
        A whole number.

    References
    ----------
    Zhang, Z., Sauter, N. K., van den Bedem, H., Snell, G. & Deacon, A. M. (2006), J. Appl. Cryst. 39, 112-119
    (section 2.4.4, method 1), https://doi.org/10.1107/S0021889805040677.
    """
    thresholds = np.array([int(1.5**i) for i in range(1, 20)], np.float64)
    n_above = np.array([np.count_nonzero(image > t) for t in thresholds], np.float64)
    slopes = (n_above[-1] - n_above[:-1]) / (thresholds[-1] - thresholds[:-1])
    start = int(np.argmin(slopes))
    dx, dy = thresholds[-1] - thresholds[start], n_above[-1] - n_above[start]
    gaps = np.abs(dy * (thresholds[start:] - thresholds[start]) - dx * (n_above[start:] - n_above[start]))
    # where the elbow is the very first point, counting back two steps wraps around, as in DIALS
    return float(thresholds[start + int(np.argmax(gaps)) - 2])
