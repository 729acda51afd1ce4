"""The automatic global threshold."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.spotfinding.threshold.global_threshold import estimate_global_threshold

pytestmark = pytest.mark.kernels


def test_threshold_lies_between_background_and_spots():
    image = np.random.default_rng(0).poisson(40.0, (200, 200))
    image[50:60, 50:60] = 5000
    threshold = estimate_global_threshold(image)
    assert threshold == int(threshold)
    assert threshold < 100
    # two steps of 1.5 before the elbow, which lies just above the background
    assert threshold * 1.5**2 > 40


def test_slow_twin():
    image = np.random.default_rng(1).poisson(3.0, (80, 80)) ** 3
    thresholds = [float(int(1.5**i)) for i in range(1, 20)]
    above = [float((image > t).sum()) for t in thresholds]
    slopes = [(above[-1] - a) / (thresholds[-1] - t) for a, t in zip(above[:-1], thresholds[:-1], strict=True)]
    start = slopes.index(min(slopes))
    chord = np.array([thresholds[-1] - thresholds[start], above[-1] - above[start]])
    gaps = [abs(np.linalg.det(np.array([chord, [t - thresholds[start], a - above[start]]])))
            for t, a in zip(thresholds[start:], above[start:], strict=True)]
    assert estimate_global_threshold(image) == thresholds[start + int(np.argmax(gaps)) - 2]
