"""Writing mini CBF images."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.images.formats.cbf.writer import format_header_lines, write_minicbf
from xdp.images.formats.find import find_format


def test_writer_refuses_what_a_header_cannot_say(tmp_path, image_files):
    image = image_files.pixels()
    models = image_files.flat_models(image)
    with pytest.raises(XdpError, match=r"expected an image of \(31, 40\)"):
        write_minicbf(tmp_path / "a.cbf", image[1:], models)
    assert not list(tmp_path.iterdir())


def test_pixels_come_back_and_lines_have_all_digits(tmp_path, image_files):
    image = image_files.pixels()
    models = image_files.flat_models(image, wavelength=0.1 + 0.2)
    write_minicbf(tmp_path / "a_1.cbf", image, models)
    np.testing.assert_array_equal(find_format(tmp_path / "a_1.cbf").raw()[0], image)
    lines = format_header_lines(models.beam, models.detector[0], None, "X, S/N 1")
    assert "# Wavelength 0.30000000000000004 A" in lines
    assert "# Start_angle 0.0 deg." in lines
