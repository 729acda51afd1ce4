from __future__ import annotations

import pytest
from ellipsoid_data import DrawnStill, draw_still, make_still

from xdp.experiment.experiment import Experiment
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel


@pytest.fixture(scope="package")
def still() -> Experiment:
    return make_still()


@pytest.fixture(scope="package")
def drawn() -> DrawnStill:
    return draw_still(EllipsoidModel("angular4", (2.4e-3, 4e-4, 2.0e-3, 1.6e-3)))
