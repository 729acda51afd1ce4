"""Parameters of the forecast: those of find_spots, and its own."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.options import parse
from xdp.spotfinding.options import FindSpotsOptions
from xdp.spotfinding.plan_options import PlanOptions


def test_all_parameters_of_find_spots_are_there():
    assert set(FindSpotsOptions.model_fields) < set(PlanOptions.model_fields)
    options, words = parse(PlanOptions, ["d_min=2", "plan.sample=8", "a.expt"])
    assert (options.spotfinder.filter.d_min, options.plan.sample, words) == (2.0, 8, ["a.expt"])


@pytest.mark.parametrize("word", ["plan.sample=0", "max_jobs=0"])
def test_nothing_is_no_sample(word):
    with pytest.raises(OptionError, match=word.split("=")[0].split(".")[-1]):
        parse(PlanOptions, [word])
