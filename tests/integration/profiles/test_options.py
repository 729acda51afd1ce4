"""Options of the profile model."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.integration.profiles.options import ProfileOptions


def test_each_model_has_its_own_scope():
    values = {"gaussian_rs": {"min_spots": {"overall": 0}, "centroid_definition": "com"}}
    options = ProfileOptions.model_validate(values)
    assert options.gaussian_rs.min_spots.overall == 0
    assert options.gaussian_rs.min_spots.per_degree == 20
    assert options.algorithm == "gaussian_rs"
    assert options.ellipsoid.rlp_mosaicity.model == "angular4"


@pytest.mark.parametrize("values", [{"algorithm": "gaussian"}, {"gaussian_rs": {"parameters": {"n_sigma": 0.0}}},
                                    {"gaussian_rs": {"parameters": {"sigma_b": -0.1}}},
                                    {"gaussian_rs": {"min_spots": {"overall": -1}}}, {"gaussian_rs": {"sigma_b": 0.1}}])
def test_what_makes_no_sense_is_refused(values):
    with pytest.raises(ValidationError):
        ProfileOptions.model_validate(values)
