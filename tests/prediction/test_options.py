"""Parameters of prediction: defaults, bounds, and what they change."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.prediction.options import PredictionOptions


def test_defaults_are_those_of_the_reference():
    options = PredictionOptions()
    assert (options.d_min, options.d_max, options.margin, options.force_static, options.padding) == (
        None, None, 1, False, 1.0)


@pytest.mark.parametrize("name", ["d_min", "d_max"])
def test_resolutions_are_above_zero(name):
    with pytest.raises((ValidationError, ValueError), match=name):
        PredictionOptions(**{name: 0.0})


@pytest.mark.parametrize("name", ["margin", "padding"])
def test_margin_and_padding_may_be_zero_but_not_less(name):
    assert getattr(PredictionOptions(**{name: 0}), name) == 0
    with pytest.raises((ValidationError, ValueError), match=name):
        PredictionOptions(**{name: -1})
