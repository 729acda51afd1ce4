"""Thresholds of all panels."""

import numpy as np
import pytest
from hit_data import make_models

from xdp.errors import OptionError
from xdp.options.named import make_options
from xdp.spotfinding.options import SpotFinderOptions
from xdp.spotfinding.threshold.panels import PanelPixels, make_panel_thresholds


def make(pixels=None, estimate=lambda: 5.0, **named):
    model = make_models()
    return make_panel_thresholds(model.detector, model.beam, make_options(SpotFinderOptions, None, named),
                                 pixels or PanelPixels(), estimate)


@pytest.mark.parametrize("algorithm", ["dispersion", "dispersion_extended", "radial_profile"])
def test_a_spot_is_strong_but_not_where_it_is_masked(algorithm):
    image = np.random.default_rng(1).poisson(2.0, (160, 160)).astype(np.int32)
    image[40:43, 50:53] = image[100:103, 110:113] = 300
    mask = np.ones((160, 160), bool)
    mask[:60] = False
    for masks, n in ((None, 2), ([mask], 1)):
        threshold, = make(PanelPixels(masks, [(0.0, 1000.0)]), **{"threshold.algorithm": algorithm})
        strong = threshold.strong_mask(image)
        assert strong[41, 51] == (n == 2)
        assert strong[101, 111]


def test_auto_asks_for_the_global_threshold_and_none_is_refused():
    asked = []
    make(estimate=lambda: asked.append(1) or 3.0, **{"dispersion.global_threshold": "Auto"})
    assert asked == [1]
    with pytest.raises(OptionError, match="sigma_strong must be a number"):
        make(**{"dispersion.sigma_strong": None})
