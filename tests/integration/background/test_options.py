"""Bounds of the background's parameters."""

from __future__ import annotations

import pytest
from background_data import parse_words

from xdp.errors import OptionError
from xdp.integration.background.options import BackgroundOptions


def test_defaults_are_those_of_the_text():
    assert parse_words() == BackgroundOptions()
    assert BackgroundOptions().algorithm == "Auto"
    assert BackgroundOptions().glm.robust.tuning_constant == 1.345


@pytest.mark.parametrize("word", [
    "algorithm=mean", "glm.min_pixels=0", "glm.robust.tuning_constant=0", "simple.outlier.plane.fraction=1.1",
    "simple.outlier.tukey.lower=-1", "gmodel.robust.tuning_constant=-2", "simple.model.algorithm=loglinear2d"])
def test_values_out_of_bounds_are_refused(word):
    with pytest.raises(OptionError, match=word.split("=")[0].split(".")[-1]):
        parse_words(word)


def test_no_limit_and_no_tuning_constant_may_be_given():
    options = parse_words("glm.robust.tuning_constant=None", "nsigma.upper=None")
    assert options.glm.robust.tuning_constant is None
    assert options.simple.outlier.nsigma.upper is None
    assert options.simple.outlier.nsigma.lower is not None
