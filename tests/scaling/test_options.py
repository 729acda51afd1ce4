"""Defaults and bounds of the parameters of xdp scale."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.options.model import AUTO
from xdp.scaling.options import ScaleOptions


def test_defaults_are_those_of_dials_where_dials_has_them():
    options = ScaleOptions()
    assert options.cut_data.partiality_cutoff == 0.4
    assert options.cut_data.min_isigi == -5.0
    assert options.scaling_options.outlier_zmax == 6.0
    assert not options.anomalous
    assert options.physical.lmax is AUTO


@pytest.mark.parametrize("wrong", [{"model": "array"}, {"physical": {"lmax": 0}}, {"cut_data": {"d_min": -1.0}}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        ScaleOptions(**wrong)
