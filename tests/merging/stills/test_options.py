"""Parameters of merging stills, on the command line and in Python."""

from __future__ import annotations

import pytest

from xdp.errors import XdpError
from xdp.merging.options import MergeOptions
from xdp.merging.stills.options import AmbiguityOptions, OutlierLatticeOptions, StillsOptions
from xdp.options.model import AUTO


def test_defaults():
    options = MergeOptions().stills
    assert isinstance(options, StillsOptions)
    assert options.method == AUTO
    assert isinstance(options.ambiguity, AmbiguityOptions)
    assert isinstance(options.outliers, OutlierLatticeOptions)


@pytest.mark.parametrize("wrong", [{"method": "other"}, {"cycles": 0}, {"min_partiality": 0.0}, {"unknown": 1}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises((XdpError, ValueError)):
        StillsOptions(**wrong)
