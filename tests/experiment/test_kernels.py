"""Kernels of the geometry against slow twins in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from experiment_examples import beam, flat_panel, mounted_detector, thick_panel

from xdp.experiment import Detector
from xdp.experiment import pixels as px


@pytest.mark.parametrize("panel", [flat_panel(), thick_panel(),
                                   thick_panel(fast_axis=(0.8, 0.0, -0.6), slow_axis=(0.0, -1.0, 0.0)),
                                   thick_panel(origin=(-5.0, 4.0, 50.0))])
def test_the_map_is_the_resolution_of_pixel_centres(panel):
    """The kernel against its NumPy twin: `resolution` at each centre."""
    for detector, i in ((Detector((panel,)), 0), (mounted_detector(), 1)):
        slow, fast = detector[i].shape
        centres = np.stack(np.meshgrid(np.arange(fast) + 0.5, np.arange(slow) + 0.5), axis=-1)
        expected = px.resolution(detector, beam(), i, centres)
        # rounding of one division and root in another order
        np.testing.assert_allclose(px.resolution_map(detector, beam(), i), expected, rtol=1e-13)
