"""Integrated tables without images have what exporters look at, and the same numbers for the same seed."""

from __future__ import annotations

import numpy as np

from xdp.reflections.flags import Flag
from xdp.simulation.tables import make_integrated


def test_intensities_are_photons_of_wilsons_distribution_and_counting():
    experiments, table = make_integrated(n_frames=20)
    intensity = table["intensity.sum.value"]
    assert len(experiments) == 1
    assert len(table) > 500
    np.testing.assert_array_equal(intensity, np.floor(intensity))
    # exponential of mean 300, then Poisson: the variance is 300² + 300; known to about 4 / sqrt(n)
    assert abs(intensity.mean() / 300.0 - 1.0) < 4.0 / np.sqrt(len(table))
    assert abs(intensity.std() / np.sqrt(300.0**2 + 300.0) - 1.0) < 8.0 / np.sqrt(len(table))
    np.testing.assert_array_equal(table["intensity.sum.variance"], intensity + 1.0)
    assert table.flags(Flag.INTEGRATED_SUM).all()


def test_the_seed_decides():
    one, two, other = (make_integrated(5, seed)[1] for seed in (3, 3, 4))
    assert one == two
    assert len(one) != len(other) or not np.array_equal(one["miller_index"], other["miller_index"])


def test_each_row_is_a_reflection_of_its_own():
    table = make_integrated(5)[1]
    np.testing.assert_array_equal(table["partial_id"], np.arange(len(table)))
    np.testing.assert_array_equal(table["xyzobs.px.value"], table["xyzcal.px"])
