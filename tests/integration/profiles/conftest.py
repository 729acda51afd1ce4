from __future__ import annotations

import numpy as np
import pytest
from fitting_data import Drawn, draw, make_experiment

from xdp.reflections.shoeboxes import Shoeboxes


@pytest.fixture(scope="package")
def drawn() -> Drawn:
    """Six hundred reflections, of which deconvolution sees only those that do not touch."""
    return draw(make_experiment(), 600)


@pytest.fixture(scope="package")
def strong(drawn) -> Shoeboxes:
    """Their boxes with 3000 counts each."""
    return drawn.count(np.full(len(drawn.table), 3000.0), 1.0, seed=1)
