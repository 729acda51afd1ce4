"""Parameters of xdp cosym: those of dials.cosym, honoured or refused with the reason."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.options.model import AUTO
from xdp.options.named import make_options
from xdp.symmetry.cosym_options import CosymOptions


@pytest.mark.parametrize(("name", "value", "reason"), [
    ("unit_cell_clustering.threshold", 5000.0, "relative_length_tolerance"), ("dimensions", 2, "not embedded"),
    ("minimization.engine", "scipy", "nothing is minimised"), ("seed", 230, "no random numbers"),
    ("output.html", "a.html", "no page"), ("output.suffix", "_b", "one file"), ("weights", "count", "its error"),
    ("exclude_images", "0:1:3", "scan_range"), ("min_cc_half", 0.6, "min_i_mean_over_sigma_mean")])
def test_what_is_not_there_is_refused_with_the_reason(name, value, reason):
    with pytest.raises(OptionError, match=reason):
        make_options(CosymOptions, {name: value}, {})


def test_none_and_a_threshold_of_zero_ask_for_nothing():
    options = make_options(CosymOptions, {"unit_cell_clustering.threshold": 0, "seed": None}, {})
    assert options.unit_cell_clustering.threshold is None


def test_options_of_symmetry_are_the_same():
    options = make_options(CosymOptions, {"d_min": 2.5, "minimization.max_iterations": 3, "space_group": "P4"}, {})
    same = options.make_symmetry_options()
    assert (same.d_min, same.max_rounds, same.laue_group, same.normalisation) == (2.5, 3, "P4", "ml_iso")
    assert CosymOptions().make_symmetry_options().laue_group is AUTO
