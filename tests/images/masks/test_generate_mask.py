"""Masks by parameters: everything that is asked for, on its own panel."""

from __future__ import annotations

import numpy as np
import pytest
from mask_data import make_panel

from xdp.errors import OptionError
from xdp.experiment import Beam, Detector
from xdp.experiment.pixels import resolution
from xdp.images.masks.generate_mask import generate_mask
from xdp.images.masks.options import MaskOptions, Untrusted


def test_generated_mask_joins_everything_on_its_panel():
    detector = Detector((make_panel(), make_panel(origin=(3.0, 2.0, -20.0))))
    beam = Beam((0.0, 0.0, 1.0), 1.0)
    options = MaskOptions(border=1, d_min=5.0, untrusted=(Untrusted(panel=1, rectangle=(4, 8, 4, 8)),))
    first, second = generate_mask(detector, beam, options)
    centres = np.stack(np.meshgrid(np.arange(30) + 0.5, np.arange(20) + 0.5), axis=-1).reshape(-1, 2)
    for index, mask in enumerate((first, second)):
        expected = resolution(detector, beam, index, centres).reshape(20, 30) > 5.0
        expected[[0, -1]] = expected[:, [0, -1]] = False
        if index == 1:
            expected[4:8, 4:8] = False
        np.testing.assert_array_equal(mask, expected)


def test_region_without_shape_masks_its_whole_panel():
    detector, beam = Detector((make_panel(), make_panel())), Beam((0.0, 0.0, 1.0), 1.0)
    first, second = generate_mask(detector, beam, MaskOptions(untrusted=(Untrusted(panel=1),)))
    assert first.all()
    assert not second.any()


@pytest.mark.parametrize(("options", "message"), [
    (MaskOptions(untrusted=(Untrusted(panel=2),)), "below 2, the number of panels, got 2"),
    (MaskOptions(d_min=3.0, d_max=2.0), "no pixel would be left"),
    (MaskOptions(untrusted=(Untrusted(polygon=(1, 1, 5, 5, 7)),)), "pairs of numbers"),
])
def test_parameters_without_sense_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        generate_mask(Detector((make_panel(), make_panel())), Beam((0.0, 0.0, 1.0), 1.0), options)
