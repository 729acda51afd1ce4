"""Reflecting ranges that differ by direction: found on images, and nothing where they do not differ."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import make_series

from xdp.integration.profiles.mosaic import range_direction
from xdp.integration.profiles.mosaic.range_direction import estimate_range_direction, evaluate_direction
from xdp.integration.profiles.mosaic.range_scale import measure_net_spots
from xdp.integration.profiles.mosaic.spread import describe_rays
from xdp.prediction.predict import compute_zeta
from xdp.reflections.flags import Flag
from xdp.simulation import SimulationOptions
from xdp.simulation.spread import compute_spot_covariances


def estimate(tmp_path, **physics):
    """D by the spots of a series; e1 in the crystal's frame and true sigma_m^2, rad^2, of each."""
    series = make_series(tmp_path, 40, size=(420, 400), photons=4000.0, d_min=1.8, sigma_m=0.05, **physics)
    experiment = series.experiments[0]
    spots = series.reference.select(series.reference.flags(Flag.INDEXED))
    zeta = compute_zeta(experiment, spots)
    spots, zeta = spots.select(np.abs(zeta) > 0.1), zeta[np.abs(zeta) > 0.1]
    net = measure_net_spots(experiment, spots, zeta)
    spots = spots.select(net.rows)
    axis = describe_rays(experiment, spots.with_columns(panel=spots["shoebox"].panel), with_crystal=True).axis
    options = SimulationOptions(sigma_m=0.05, **physics)
    true = compute_spot_covariances(experiment, spots["s1"], spots["xyzcal.mm"][:, 2], options)[:, 2, 2]
    return estimate_range_direction(net, axis, np.full(len(axis), true.mean())), axis, true


def test_the_range_of_each_direction_is_found(tmp_path):
    d, axis, true = estimate(tmp_path, eta_axes=(0.05, 0.05, 0.15))
    assert evaluate_direction(d, axis).mean() == pytest.approx(1.0)
    found, wanted = np.sqrt(evaluate_direction(d, axis)), np.sqrt(true / true.mean())
    low, high = np.quantile(wanted, [0.05, 0.95])
    assert high > 1.5 * low, "without a difference there is nothing to show"
    # groups of 300 spots know sigma_m to 6 % each, six elements of D together to half of that
    assert np.median(np.abs(found / wanted - 1.0)) < 0.05
    assert np.corrcoef(found, wanted)[0, 1] > 0.95


def test_a_range_that_is_the_same_has_no_direction(tmp_path):
    assert estimate(tmp_path, eta=0.2)[0] is None


def test_the_tensor_is_that_of_exact_groups():
    rng = np.random.default_rng(0)
    d = np.array([[1.5, 0.2, -0.1], [0.2, 0.9, 0.3], [-0.1, 0.3, 0.6]])
    axes = rng.normal(size=(13, 50, 3)) + 3.0 * rng.normal(size=(13, 1, 3))
    axes = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in axes]
    values = np.array([evaluate_direction(d, a).mean() for a in axes])
    found = range_direction._fit_tensor(axes, values, np.full(13, 1e-4))
    # the prior is 3,000 times as wide as these errors
    np.testing.assert_allclose(found, d, atol=1e-3)
    # what no group sees stays at their mean
    flat = [a * [1.0, 1.0, 0.0] for a in axes]
    flat = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in flat]
    found = range_direction._fit_tensor(flat, np.full(13, 2.0), np.full(13, 1e-4))
    assert found[2, 2] == pytest.approx(2.0)
