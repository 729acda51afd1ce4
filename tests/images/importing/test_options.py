"""Parameters of import, from words of a command line."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.images.importing.options import ImportOptions
from xdp.options import parse


def test_values_of_panels_and_beam_come_from_words():
    options, words = parse(ImportOptions, ["a.cbf", "geometry.detector.panel.pixel_size=0.1,0.2", "wavelength=0.98",
                                           "mosflm_beam_centre=1,2"])
    assert words == ["a.cbf"]
    panel, = options.geometry.detector.panel
    assert (panel.id, panel.pixel_size) == (0, (0.1, 0.2))
    assert options.geometry.beam.wavelength == 0.98
    assert options.geometry.detector.mosflm_beam_centre == (1.0, 2.0)


@pytest.mark.parametrize("word", ["geometry.beam.wavelength=-1", "geometry.beam.polarization_fraction=1.5",
                                  "geometry.detector.panel.image_size=0,5", "geometry.detector.distnce=3"])
def test_values_without_sense_are_refused(word):
    with pytest.raises(OptionError):
        parse(ImportOptions, [word])
