"""Axes of imgCIF: chains of dependence, and the frames they make."""

from __future__ import annotations

import numpy as np
import pytest
from imgcif_maker import format_header

from xdp.errors import FormatError
from xdp.images.formats.cbf.cif import parse_cif
from xdp.images.formats.cbf.imgcif_axes import Axes, parse_number


@pytest.fixture
def axes() -> Axes:
    return Axes(parse_cif(format_header().partition("_array_data.data")[0]), "file")


def test_chain_goes_on_to_the_lab(axes):
    assert [axis.name for axis in axes.follow("F")] == ["F", "S", "Z", "TT"]
    assert axes.compute_body_frame("F")[1] is None
    assert [axis.name for axis in axes.list_of_equipment("goniometer")] == ["OMEGA", "PHI"]


def test_frames_turn_and_shift_from_the_lab_outwards(axes):
    # TT turns by 30 degrees about x; Z then shifts by 100 mm along -z; S sits at (-3, 4, 0).
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    frame = axes.compute_lab_frame("S")
    np.testing.assert_allclose(frame[:3, :3], [[1, 0, 0], [0, c, -s], [0, s, c]], atol=1e-15)
    np.testing.assert_allclose(frame[:3, 3], [-3, 4 * c + 100 * s, 4 * s - 100 * c], atol=1e-13)


@pytest.mark.parametrize("value", ["nan", "inf", "one"])
def test_numbers_must_be_finite(value):
    assert parse_number(None, "file", "gain", 2.0) == 2.0
    with pytest.raises(FormatError, match="file: gain must be a finite number"):
        parse_number(value, "file", "gain")
