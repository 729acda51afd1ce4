"""Options of profile fitting."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.integration.profiles.fitting_options import ProfileFittingOptions


@pytest.mark.parametrize("values", [{"grid_size": 0}, {"scan_step": 0.0}, {"threshold": -0.1},
                                    {"grid_method": "hexagonal"}, {"fit_method": "grid"},
                                    {"detector_space": {"deconvolution": "perhaps"}}])
def test_what_makes_no_sense_is_refused(values):
    with pytest.raises(ValidationError):
        ProfileFittingOptions.model_validate(values)


def test_none_stands_for_the_default_of_each_number(drawn):
    grid = drawn.grid(grid_size=None, scan_step=None, threshold=None)
    assert grid.half == ProfileFittingOptions().grid_size == 5
    assert grid.sampler.n_steps == 4  # 20 degrees in steps of 5
