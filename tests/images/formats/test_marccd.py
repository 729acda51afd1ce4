"""MarCCD images."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.find import find_format


@pytest.mark.parametrize("bias", [0, 10])
def test_marccd_pixels_and_models(tmp_path, image_files, bias):
    image = image_files.pixels(32, 32)
    opened = find_format(image_files.marccd_file(tmp_path / "m_2.mccd", image, bias))
    (back,) = opened.raw()
    np.testing.assert_array_equal(back, image - bias)
    panel = opened.models().detector[0]
    np.testing.assert_allclose(panel.origin, (-15 * 0.079346, 16.5 * 0.079346, -150.0), rtol=1e-12)
    assert panel.trusted_range == (1.0 - bias, 65534.0 - bias)
    scan = opened.models().scan
    assert scan.oscillation == (30.0, 1.0)
    assert scan.exposure_time == (2.0,)
    assert scan.epochs == (1195219479.0 + 0.0,)


def test_marccd_without_distance_has_no_detector(tmp_path, image_files):
    path = image_files.marccd_file(tmp_path / "m_2.mccd", distance=0.0)
    assert find_format(path).models().detector is None


@pytest.mark.parametrize("cut", [2000, 4096, 5000])
def test_truncated_marccd_is_named(tmp_path, image_files, cut):
    path = image_files.marccd_file(tmp_path / "m_2.mccd")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError, match=r"m_2.mccd: .*truncated"):
        find_format(path).raw()
