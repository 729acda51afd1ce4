"""Parameters of pictures, from words of a command line."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.options import AUTO, parse
from xdp.pictures.options import ExportImagesOptions


def test_rings_are_automatic_given_or_none():
    for word, expected in (("resolution_rings=Auto", AUTO), ("resolution_rings=3,2", (3.0, 2.0)),
                           ("resolution_rings=None", None)):
        assert parse(ExportImagesOptions, [word])[0].resolution_rings == expected


@pytest.mark.parametrize("word", ["binning=0", "brightness=0", "colour_scheme=pink", "spots.margin=-1", "sum_images=0"])
def test_values_without_sense_are_refused(word):
    with pytest.raises(OptionError):
        parse(ExportImagesOptions, [word])
