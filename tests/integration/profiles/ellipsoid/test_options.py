"""Options of the ellipsoid model."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import erf

from xdp.integration.profiles.ellipsoid.options import FULL_PROBABILITY, EllipsoidOptions
from xdp.integration.profiles.ellipsoid.shape import ELEMENTS


def test_the_full_probability_is_that_of_three_sigma():
    assert pytest.approx(erf(3.0 / np.sqrt(2.0)), rel=1e-15) == FULL_PROBABILITY
    assert EllipsoidOptions().prediction.probability == FULL_PROBABILITY


@pytest.mark.parametrize("name", [*ELEMENTS, "angular3"])
def test_shapes_are_those_that_there_are(name):
    values = {"rlp_mosaicity": {"model": name}}
    if name in ELEMENTS:
        assert EllipsoidOptions.model_validate(values).rlp_mosaicity.model == name
    else:
        with pytest.raises(ValidationError, match="angular3"):
            EllipsoidOptions.model_validate(values)
