from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.profiles.mosaic.measure import measure_found_spots
from xdp.integration.profiles.mosaic.spread import MosaicSpread

pytestmark = pytest.mark.kernels


def test_found_spots_have_the_widths_drawn(turning, make_found):
    spread = MosaicSpread(4e-6, 9e-6 * np.eye(3), 0.0)
    spots = make_found(spread, 200, height=1000.0)
    found = measure_found_spots(turning, spots["s1"], spots["shoebox"], np.full((len(spots), 2), 4e-6))
    assert len(found.rows) > 100
    expected = spread.compute_variances(spread.describe(turning, spots))[found.rows]
    ratio = -0.5 / found.curvature / expected
    # the background is guessed from the faintest pixel: 4.5 counts here, 2 in truth
    np.testing.assert_allclose(np.median(ratio, axis=0), 1.0, atol=0.05)
    assert np.all((found.faintness > 0.0) & (found.faintness <= 1.0))
    # errors say how far single spots are off
    pull = (found.curvature + 0.5 / expected) / found.error
    assert 0.8 < np.subtract(*np.quantile(pull, [0.75, 0.25])) / 1.349 < 1.4


def test_spots_without_pixels_are_left_out(turning, make_found):
    spots = make_found(MosaicSpread(4e-6, np.zeros((3, 3)), 0.0), 4)
    spots["shoebox"].mask[:spots["shoebox"].offsets[2]] = 0
    found = measure_found_spots(turning, spots["s1"], spots["shoebox"], np.full((len(spots), 2), 4e-6))
    assert set(found.rows.tolist()) <= {2, 3}
