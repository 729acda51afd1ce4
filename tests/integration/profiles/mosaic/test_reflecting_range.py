from __future__ import annotations

import numpy as np
import pytest
from integration_data import make_series

from xdp.errors import FormatError
from xdp.experiment import Experiment
from xdp.integration.profiles.model import GaussianRSModel
from xdp.integration.profiles.mosaic import reflecting_range
from xdp.integration.profiles.mosaic.reflecting_range import ReflectingRange, estimate_range
from xdp.integration.profiles.mosaic.spread import MosaicSpread, describe_rays
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import compute_zeta, predict
from xdp.reflections.flags import Flag
from xdp.simulation import SimulationOptions, make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.spread import compute_spot_covariances


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment("x", make_beam(), make_detector((300, 260), distance=60.0), make_goniometer(),
                      make_scan(40, 0.5), make_crystal((40.0, 50.0, 60.0, 90, 90, 90)))


@pytest.fixture(scope="module")
def table(experiment):
    table = predict(experiment, PredictionOptions(d_min=2.0, padding=0.0))
    return table.select(np.abs(table["zeta"]) > 0.1)


@pytest.mark.parametrize(("physics", "terms"), [
    ({"point_size": 3e-4}, {"domain": 3e-4**2}), ({"bandwidth": 0.004}, {"dispersion": 0.004**2})])
def test_ranges_are_those_of_the_simulation(experiment, table, physics, terms):
    options = SimulationOptions(sigma_m=0.1, **physics)
    drawn = compute_spot_covariances(experiment, table["s1"], table["xyzcal.mm"][:, 2], options)[:, 2, 2]
    reach = ReflectingRange(np.deg2rad(0.1) ** 2, terms.get("domain", 0.0), terms.get("dispersion", 0.0), 4e-6)
    model = GaussianRSModel(3.0, 0.001, 0.002, spread=MosaicSpread(1e-6, np.zeros((3, 3)), 0.0), reach=reach)
    # a lambda / sin 2 theta is a d / cos theta: 4 % more than a d at 2 A
    np.testing.assert_allclose(model.compute_sigma_m(experiment, table), np.sqrt(drawn), rtol=0.05)


def test_domains_are_found_on_images(tmp_path):
    series = make_series(tmp_path, 24, size=(300, 280), photons=20000.0, d_min=1.8, point_size=1e-3, sigma_m=0.08)
    spots = series.reference.select(series.reference.flags(Flag.INDEXED))
    zeta = compute_zeta(series.experiments[0], spots)
    spots, zeta = spots.select(np.abs(zeta) > 0.1), zeta[np.abs(zeta) > 0.1]
    reach = estimate_range(series.experiments[0], spots, zeta, 0.002, basic=False, least_significance=3.0)
    # of some 1,000 spots, half of them bright; the term's own error is a few per cent
    assert np.sqrt(reach.domain) == pytest.approx(1e-3, rel=0.1)


def test_terms_of_groups_are_found_and_others_left_out():
    rng = np.random.default_rng(0)
    square = np.array([1.0, 1.5, 2.3, 4.0, 7.0, 12.0, 40.0])
    error = np.full(7, 0.02)
    grown = np.column_stack([square, 1.0 + 0.1 * square + 0.02 * rng.normal(size=7), error])
    constant, domain = reflecting_range._fit_domains(grown, 3.0)
    assert (constant, domain) == (pytest.approx(1.0, abs=0.06), pytest.approx(0.1, rel=0.05))
    even = np.column_stack([square, 1.0 + 0.02 * rng.normal(size=7), error])
    assert reflecting_range._fit_domains(even, 3.0) is None
    assert reflecting_range._fit_domains(grown[:3], 3.0) is None
    # domains alone: nothing is left of a constant
    constant, domain = reflecting_range._fit_domains(grown - [0.0, 1.2, 0.0], 3.0)
    assert constant == 0.0
    assert domain > 0.05


def test_a_bandwidth_keeps_the_mean_range(experiment, table, monkeypatch):
    monkeypatch.setattr(reflecting_range, "_measure_brightness", lambda spots: np.zeros(len(spots)))

    def estimate(dispersion):
        return reflecting_range._estimate_growth(experiment, table, table["zeta"], 0.002, basic=False,
                                                 least_significance=3.0, dispersion=dispersion)

    reach = estimate(4e-6)
    factor = reach.compute_factor(experiment, table)
    assert np.mean(np.square(factor)) == pytest.approx(1.0)
    assert factor[np.argmin(table["d"])] > factor[np.argmax(table["d"])]
    assert estimate(0.0) is None
    # a bandwidth that would leave nothing of sigma_m is not believed
    assert estimate(1.0) is None


def test_a_range_by_direction_goes_to_a_dictionary_and_back(experiment, table):
    reach = ReflectingRange(1e-6, 0.0, 0.0, 1e-6, np.diag([2.0, 0.7, 0.3]))
    again = ReflectingRange.from_dict(reach.to_dict())
    np.testing.assert_array_equal(again.direction, reach.direction)
    axis = describe_rays(experiment, table, with_crystal=True).axis
    np.testing.assert_allclose(again.compute_factor(experiment, table) ** 2, np.square(axis) @ [2.0, 0.7, 0.3])
    with pytest.raises(ValueError, match="3 x 3"):
        ReflectingRange.from_dict(reach.to_dict() | {"direction": [1.0, 2.0]})


def test_the_terms_go_to_a_dictionary_and_back():
    reach = ReflectingRange(1e-6, 4e-8, 9e-6, 2e-6)
    model = GaussianRSModel(3.0, 0.001, 0.002, reach=reach)
    again = GaussianRSModel.from_dict(model.to_dict()).reach
    assert (again.constant, again.domain, again.dispersion, again.mean) == pytest.approx((1e-6, 4e-8, 9e-6, 2e-6))
    assert "reflecting_range" not in GaussianRSModel(3.0, 0.001, 0.002).to_dict()
    for wrong in ({}, {"constant": float("nan")}, {"mean": 0.0}, {"domain": "x"}):
        broken = {**reach.to_dict(), **wrong} if wrong else {}
        with pytest.raises(FormatError, match="profile"):
            GaussianRSModel.from_dict(model.to_dict() | {"reflecting_range": broken})
