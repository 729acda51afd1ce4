"""Positions in pixels from those in millimetres."""

from __future__ import annotations

import numpy as np
from refinement_data import sweep

from xdp.experiment import ExperimentList
from xdp.prediction.centroids import centroids_to_mm
from xdp.prediction.completion import add_px_positions
from xdp.reflections import ReflectionTable


def test_positions_come_back_from_millimetres():
    experiments = ExperimentList([sweep()])
    rng = np.random.default_rng(0)
    n = 50
    low, high = experiments[0].scan.array_range
    px = np.column_stack([rng.uniform(10, 300, (n, 2)), rng.uniform(low, high, n)])
    variance = rng.uniform(0.01, 0.1, (n, 3))
    panel = np.zeros(n, np.int64)
    mm, mm_variance = centroids_to_mm(experiments[0], panel, px, variance)
    table = ReflectionTable({"id": np.zeros(n, np.int32), "panel": panel.astype(np.uint64), "xyzobs.mm.value": mm,
                             "xyzobs.mm.variance": mm_variance})
    full = add_px_positions(experiments, table)
    np.testing.assert_allclose(full["xyzobs.px.value"], px, atol=2e-3)  # the parallax correction's own accuracy
    np.testing.assert_allclose(full["xyzobs.px.variance"], variance, rtol=1e-9)


def test_tables_with_pixels_or_without_positions_stay():
    experiments = ExperimentList([sweep()])
    for columns in ({"id": [0]}, {"id": [0], "xyzobs.px.value": np.ones((1, 3)), "xyzobs.mm.value": np.ones((1, 3))}):
        table = ReflectionTable(columns)
        assert add_px_positions(experiments, table) is table
