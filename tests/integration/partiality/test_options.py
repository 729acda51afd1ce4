from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.integration.partiality.options import PartialityOptions


def test_limits():
    assert PartialityOptions().prediction_cycles == 2
    for name, value in (("bandwidth", -1.0), ("prediction_sigmas", 0.0), ("prediction_cycles", 0)):
        with pytest.raises(ValidationError):
            PartialityOptions(**{name: value})
