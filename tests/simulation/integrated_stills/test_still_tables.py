"""Integrated stills by the forward model: counts follow partiality and intensity, one seed one set."""

from __future__ import annotations

import numpy as np
from still_data import draw_stills

from xdp.simulation.integrated_stills.still_tables import StillPhysics, make_still_tables
from xdp.simulation.mosaic_domains import DomainOptions


def test_counts_follow_the_truth():
    drawn = draw_stills(60)
    table = drawn.reflections
    k = table["id"]
    square = np.array([np.square(drawn.true[i].A @ h).sum() for i, h in zip(k, table["miller_index"], strict=True)])
    scale = 400.0 * np.exp(drawn.log_scale[k] - 0.5 * drawn.b_factor[k] * square)
    expected = scale * drawn.partiality * drawn.intensity
    pull = (table["intensity.sum.value"] - expected) / np.sqrt(expected + 30.0)
    assert abs(pull.mean()) < 0.05
    assert abs(pull.std() - 1.0) < 0.05


def test_one_seed_is_one_set():
    physics = StillPhysics(d_min=8.0, domains=DomainOptions(2.5e-4, 0.05, n_domains=8))
    first, second, other = (make_still_tables(3, physics=physics, seed=s) for s in (4, 4, 5))
    assert np.array_equal(first.reflections["intensity.sum.value"], second.reflections["intensity.sum.value"])
    assert len(first.reflections) != len(other.reflections) or not np.array_equal(
        first.reflections["miller_index"], other.reflections["miller_index"])
