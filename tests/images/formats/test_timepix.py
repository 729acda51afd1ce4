"""The Timepix of Stockholm, whose edge pixels are wide."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment import Scan
from xdp.images.formats import timepix


def test_timepix_edges_are_three_times_as_wide():
    total = timepix.px_to_millimetres(512, 0.055)
    assert total == pytest.approx((4 * 3 + 4 * 127) * 0.055)
    assert timepix.px_to_millimetres(256, 0.055) == pytest.approx(total / 2)
    assert timepix.px_to_millimetres(0.5, 0.055) == pytest.approx(1.5 * 0.055)


def test_four_chips_lie_where_their_pixels_are():
    fields = {"WAVELENGTH": 0.0251, "PIXEL_SIZE": 0.055, "DISTANCE": 500.0,
              "BEAM_CENTER_X": 256.0, "BEAM_CENTER_Y": 256.0}
    models = timepix.build_timepix_models(fields.__getitem__, (512, 512), Scan((1, 1), (0.0, 0.1)))
    assert len(models.detector) == 4
    image = np.arange(512 * 512).reshape(512, 512)
    for panel, chip in zip(models.detector, timepix.split_chips(image), strict=True):
        x, y = panel.raw_image_offset
        np.testing.assert_array_equal(chip, image[y:y + 254, x:x + 254])
        assert panel.origin[:2] == pytest.approx([timepix.px_to_millimetres(v, 0.055) for v in (x, y)])
    # The beam meets the middle, 254 inner and two wide pixels from the edge; the first chip begins behind a wide pixel.
    first = (254 + 2 * 3 - 3) * 0.055
    np.testing.assert_allclose(models.detector.d_matrix(0)[:, 2], (-first, first, -500.0), rtol=1e-12)
