"""Defaults and bounds of the parameters of xdp symmetry."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.options.model import AUTO
from xdp.symmetry.options import SymmetryOptions


def test_defaults_are_those_of_dials():
    options = SymmetryOptions()
    assert options.d_min is AUTO
    assert options.laue_group is AUTO
    assert options.lattice_symmetry_max_delta == 2.0
    assert options.normalisation == "ml_aniso"
    assert options.best_monoclinic_beta
    assert options.systematic_absences.significance_level == 0.95


@pytest.mark.parametrize("wrong", [{"normalisation": "none"}, {"d_min": -1.0},
                                   {"systematic_absences": {"significance_level": 1.0}}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        SymmetryOptions(**wrong)
