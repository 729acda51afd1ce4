"""sigma_m by counts from which the background is taken off."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import make_series

from xdp.integration.profiles.mosaic import range_scale
from xdp.integration.profiles.mosaic.range_scale import estimate_range_scale, measure_net_spots
from xdp.integration.profiles.spot_spread import estimate_sigma_m, measure_spot_frames
from xdp.prediction.predict import compute_zeta
from xdp.reflections.flags import Flag

SIGMA_M = 0.15


def collect(tmp_path, background, photons):
    """Spots of frames that are as deep as reflections are wide: zeta, and sigma_m^2 by all their counts."""
    series = make_series(tmp_path, 24, size=(420, 400), photons=photons, d_min=1.8, sigma_m=SIGMA_M,
                         background=background)
    spots = series.reference.select(series.reference.flags(Flag.INDEXED))
    zeta = compute_zeta(series.experiments[0], spots)
    spots, zeta = spots.select(np.abs(zeta) > 0.1), zeta[np.abs(zeta) > 0.1]
    seen = measure_spot_frames(series.experiments[0], spots, spots["s1"])
    raw = estimate_sigma_m(series.experiments[0], seen, spots["xyzcal.mm"][:, 2], zeta, basic=False)
    return series.experiments[0], spots, zeta, raw


def find_scale(experiment, spots, zeta, expected):
    net = measure_net_spots(experiment, spots, zeta)
    return estimate_range_scale(net, expected[net.rows], least_significance=3.0)


def test_a_strong_background_does_not_widen_the_range(tmp_path):
    experiment, spots, zeta, raw = collect(tmp_path, 300.0, 5000.0)
    assert raw > 1.06 * np.deg2rad(SIGMA_M), "without a bias there is nothing to show"
    scale = find_scale(experiment, spots, zeta, np.full(len(spots), raw**2))
    # groups of some 100 spots: their line is known to 2 % where nothing is missing
    assert raw * np.sqrt(scale) == pytest.approx(np.deg2rad(SIGMA_M), rel=0.05)


def test_what_is_right_stays(tmp_path):
    experiment, spots, zeta, _ = collect(tmp_path, 1.0, 8000.0)
    expected = np.full(len(spots), np.deg2rad(SIGMA_M) ** 2)
    assert find_scale(experiment, spots, zeta, expected) == 1.0
    # and what is wrong is found whatever the expectation
    double = find_scale(experiment, spots, zeta, 4.0 * expected)
    assert np.sqrt(double) == pytest.approx(0.5, rel=0.05)
    few = np.arange(40)
    assert find_scale(experiment, spots.select(few), zeta[few], expected[few]) == 1.0


def test_contrast_is_above_the_background(tmp_path):
    _, spots, _, _ = collect(tmp_path, 30.0, 8000.0)
    net, contrast = range_scale._subtract_background(spots)
    boxes, plain = net["shoebox"], spots["shoebox"]
    marked = plain.mask != 0
    assert np.all(boxes.data[marked] < plain.data[marked])
    np.testing.assert_array_equal(boxes.data[~marked], plain.data[~marked])
    i = int(np.argmax(contrast))
    own = slice(boxes.offsets[i], boxes.offsets[i + 1])
    values = boxes.data[own][marked[own]]
    assert contrast[i] == pytest.approx(values.max() / max(values.min(), 0.5))
