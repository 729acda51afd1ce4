"""Scans of some of the images of a series."""

from __future__ import annotations

import pytest

from xdp.experiment import Scan
from xdp.images.scans import resize_scan, select_image

SERIES = Scan((11, 13), (20.0, 0.5), exposure_time=(0.1, 0.2, 0.3), epochs=(1.0, 2.0, 3.0))


@pytest.mark.parametrize("index", [0, 2])
def test_an_image_has_its_own_angle_and_times(index):
    image = select_image(SERIES, index)
    assert image.image_range == (11 + index, 11 + index)
    assert image.oscillation == (20.0 + 0.5 * index, 0.5)
    assert (image.exposure_time, image.epochs) == ((SERIES.exposure_time[index],), (SERIES.epochs[index],))


def test_a_longer_scan_has_no_times_for_its_last_images():
    scan = resize_scan(SERIES, (11, 15))
    assert (scan.n_frames, scan.oscillation) == (5, (20.0, 0.5))
    assert scan.exposure_time == (0.1, 0.2, 0.3, 0.0, 0.0)
    assert resize_scan(SERIES, (12, 13)).epochs == (1.0, 2.0)
