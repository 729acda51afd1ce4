"""The Pilatus 12M of I23."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.images.formats.cbf.p12m import IMAGE_SHAPE, build_p12m_detector, list_panel_rectangles


def test_p12m_banks_lie_on_a_circle_around_the_sample():
    header = {"Beam_xy": "(1075, 2594) pixels", "Detector_distance": "0.0 m", "Silicon": "sensor, thickness 0.00032 m"}
    detector = build_p12m_detector(header, 1.0)
    assert len(detector) == 24
    assert len(build_p12m_detector(header, 1.0, by_module=True)) == 120
    for i in range(24):
        frame = detector.d_matrix(i)
        normal = np.cross(frame[:, 0], frame[:, 1])
        assert abs(frame[:, 2] @ normal) == pytest.approx(250.0, abs=1e-9)


def test_bad_modules_of_p12m_depend_on_the_date():
    header = {"Beam_xy": "(1075, 2594)", "Detector_distance": "0.0 m", "epoch": "1580000000.0"}
    masked = {i: panel.mask for i, panel in enumerate(build_p12m_detector(header, 1.0)) if panel.mask}
    assert masked == {17: ((0, 0, 487, 195), (1976, 0, 2463, 195))}
    assert not any(panel.mask for panel in build_p12m_detector(header | {"epoch": "1700000000"}, 1.0))


@pytest.mark.parametrize(("by_module", "n_pixels"), [(False, 24 * 2463 * 195), (True, 120 * 487 * 195)])
def test_panels_lie_in_the_image_without_overlap(by_module, n_pixels):
    image = np.zeros(IMAGE_SHAPE, int)
    for x0, y0, x1, y1 in list_panel_rectangles(by_module):
        image[y0:y1, x0:x1] += 1
    assert image.max() == 1
    assert image.sum() == n_pixels
