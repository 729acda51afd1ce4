"""An experiment of six small frames."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.images.importing.import_images import import_images


@pytest.fixture
def experiment(tmp_path, maker):
    counts = np.ones((6, 60, 80), np.uint16)
    counts[2, 30, 40] = 500
    counts[3, 30, 41] = 500
    counts[2, 10, 10] = 65000
    mask = np.zeros((60, 80), np.uint8)
    mask[5, 6] = 1
    return import_images([maker.write_nxmx(tmp_path / "a.h5", counts, mask=mask)]).experiments[0]
