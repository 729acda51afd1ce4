"""Found spots of known widths, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles.mosaic.spread import MosaicSpread
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import predict
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan

SIDE, DEPTH, FINE = 15, 3, 3


@pytest.fixture(scope="session")
def turning() -> Experiment:
    return Experiment("x", make_beam(), make_detector((400, 380), distance=90.0, gaps=False), make_goniometer(),
                      make_scan(30, 0.5), make_crystal((40.0, 50.0, 60.0, 90, 90, 90)))


@pytest.fixture(scope="session")
def make_found(turning) -> Callable[..., ReflectionTable]:
    """Make the spots of some predictions as a spot finder leaves them: pixels above a threshold, the rest 0."""
    def make(spread: MosaicSpread, n: int = 300, seed: int = 0, height: float = 1500.0) -> ReflectionTable:
        rng = np.random.default_rng(seed)
        table = predict(turning, PredictionOptions(d_min=2.0, padding=0.0))
        x, y = table["xyzcal.px"][:, :2].T
        inside = (np.minimum(x, y) > SIDE) & (x < 400 - SIDE) & (y < 380 - SIDE) & (np.abs(table["zeta"]) > 0.2)
        table = table.select(rng.permutation(np.flatnonzero(inside))[:n])
        variances = spread.compute_variances(spread.describe(turning, table))
        at = (np.arange(SIDE * FINE) + 0.5) / FINE
        bbox, data = [], []
        for i in range(len(table)):
            u = table["s1"][i] / np.linalg.norm(table["s1"][i])
            e1 = np.cross(u, turning.beam.unit_s0)
            e1 /= np.linalg.norm(e1)
            x0, y0 = (int(v) - SIDE // 2 for v in table["xyzcal.px"][i, :2])
            across, down = np.meshgrid(x0 + at, y0 + at)
            rays = px_to_s1(turning.detector, turning.beam, 0, np.stack([across.ravel(), down.ravel()], axis=1))
            g = (rays * turning.beam.wavelength - u) @ np.stack([e1, np.cross(u, e1)], axis=1)
            plane = np.exp(-0.5 * (g * g / variances[i]).sum(axis=1)).reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
            # brightness differs from spot to spot, as in real data
            expected = 2.0 + height * rng.exponential() * np.array([0.6, 1.0, 0.5])[:, None, None] * plane
            data.append(rng.poisson(expected))
            z = int(table["xyzcal.px"][i, 2]) - 1
            bbox.append([x0, x0 + SIDE, y0, y0 + SIDE, z, z + DEPTH])
        counts = np.concatenate([d.ravel() for d in data])
        mask = np.where(counts > 12, int(MaskCode.VALID | MaskCode.FOREGROUND), 0)
        size = SIDE * SIDE * DEPTH
        boxes = Shoeboxes(table["panel"], np.array(bbox, np.int32), np.arange(len(table) + 1) * size,
                          np.where(mask, counts, 0).astype(np.float32), mask.astype(np.uint8))
        return table.with_columns(**{"shoebox": boxes, "xyzobs.px.value": table["xyzcal.px"]})
    return make
