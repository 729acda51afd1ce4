"""Parameters of compute_delta_cchalf have DIALS' names and defaults."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.merging.delta.options import DeltaCcHalfOptions
from xdp.options.named import make_options


def test_defaults_are_those_of_dials():
    options = DeltaCcHalfOptions()
    assert (options.mode, options.group_size, options.nbins, options.stdcutoff) == ("dataset", 10, 10, 4.0)
    assert options.output.table == "delta_cchalf.dat"


@pytest.mark.parametrize("named", [{"group_size": 0}, {"mode": "frame"}, {"stdcutoff": -1.0}])
def test_wrong_values_are_refused(named):
    with pytest.raises(OptionError):
        make_options(DeltaCcHalfOptions, None, named)
