"""Parameters of masks, from words of a command line."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.images.masks.options import MaskOptions
from xdp.options import parse


def test_regions_and_rings_come_from_words():
    options, _ = parse(MaskOptions, ["untrusted.panel=1", "untrusted.circle=5,6,7", "ice_rings.filter=True",
                                     "resolution_range=3,2"])
    assert [region.circle for region in options.untrusted if region.circle] == [(5, 6, 7)]
    assert options.ice_rings.filter
    assert options.resolution_range == ((3.0, 2.0),)


@pytest.mark.parametrize("word", ["border=-1", "d_min=-0.5", "untrusted.rectangle=1,2,3", "ice_rings.width=-1"])
def test_values_without_sense_are_refused(word):
    with pytest.raises(OptionError):
        parse(MaskOptions, [word])
