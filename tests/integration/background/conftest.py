"""A global model, boxes on it, and an integrated series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment.io import read_experiments
from xdp.integration.background.global_model import GlobalModel
from xdp.reflections.shoeboxes import Shoeboxes


@pytest.fixture
def model() -> GlobalModel:
    y, x = np.mgrid[0:30, 0:40]
    return GlobalModel((1.0 + 0.1 * x, 2.0 + 0.3 * y[:, :25] * x[:, :25]))


@pytest.fixture
def boxes(model) -> Shoeboxes:
    """Boxes of half the model on two panels, one reaching beyond, with outliers and a pixel of a neighbour."""
    rng = np.random.default_rng(5)
    corners = np.array([[3, 4, 0], [20, 18, 2], [33, 25, 1], [-2, 10, 0], [10, 3, 4]])
    bbox = np.stack([corners, corners + np.array([8, 7, 3])], axis=2).reshape(5, 6)
    panel = np.array([0, 0, 0, 0, 1])
    data = []
    for p, (x, y, _) in zip(panel, corners, strict=True):
        under = np.zeros((7, 8))
        image = model.panels[p]
        for j in range(7):
            for i in range(8):
                if 0 <= y + j < image.shape[0] and 0 <= x + i < image.shape[1]:
                    under[j, i] = image[y + j, x + i]
        data.append(rng.poisson(np.broadcast_to(under * 4.0, (3, 7, 8))))
    data = np.array(data, np.float32)
    data[:, 0, 0, 0] = 900
    mask = np.full(data.shape, 3, np.uint8)
    mask[:, :, 3:5, 3:5] = 5
    mask[:, :, 1, 1] |= 32
    return Shoeboxes(panel, bbox, np.arange(6) * 168, data.ravel(), mask.ravel())


@pytest.fixture(scope="session")
def integrated(series, tmp_path_factory) -> Path:
    """A folder with integrated.expt of the simulated series."""
    folder = tmp_path_factory.mktemp("integrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["integrate", *series.files]) == 0
    return folder


@pytest.fixture(scope="session")
def experiments(integrated):
    return read_experiments(integrated / "integrated.expt")
