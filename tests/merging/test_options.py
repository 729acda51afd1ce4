"""Defaults and bounds of the parameters of xdp merge."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.merging.options import MergeOptions


def test_defaults_are_those_of_dials_where_dials_has_them():
    options = MergeOptions()
    assert options.anomalous
    assert options.truncate
    assert options.partiality_threshold == 0.4
    assert options.french_wilson.min_reflections == 200
    assert options.merging.n_bins == 20


@pytest.mark.parametrize("wrong", [{"merging": {"n_bins": 0}}, {"free_flags": {"fraction": 0.9}}, {"d_min": -1.0}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        MergeOptions(**wrong)
