from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
from scipy import special

from xdp.errors import FormatError, OptionError, XdpError
from xdp.experiment import Experiment
from xdp.integration.profiles.model import (
    PRIOR_SIGMA_M,
    GaussianRSModel,
    _choose_rows,
    _smooth,
    estimate_model,
    reuse_model,
)
from xdp.integration.profiles.options import (
    GaussianRSOptions,
    MinSpotsOptions,
    ParametersOptions,
    ZetaFilterOptions,
)
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import predict
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan

pytestmark = pytest.mark.kernels
SIGMA_PX, SIGMA_M = 0.9, 0.2


def spots(experiment: Experiment, table: ReflectionTable, seed: int, grow: float = 1.0) -> ReflectionTable:
    """Spots of predictions: Gaussians of 0.9 px and 0.2 degrees, `grow` times as large at the end of the scan."""
    generator = np.random.default_rng(seed)
    x, y, z = table["xyzcal.px"].T
    corner = np.floor(table["xyzcal.px"]).astype(np.int32) - (4, 4, 3)
    n = (7, 9, 9)
    bbox = np.stack([corner, corner + n[::-1]], axis=2).reshape(-1, 6)
    size = 1.0 + (grow - 1.0) * z / experiment.scan.n_frames
    edges = [corner[:, i, None] + np.arange(n[2 - i] + 1) - v[:, None] for i, v in enumerate((x, y, z))]
    sigma_z = SIGMA_M / np.abs(table["zeta"]) / experiment.scan.oscillation[1]
    px, py, pz = (np.diff(0.5 * special.erf(e / (np.sqrt(2) * s)[:, None]), axis=1)
                  for e, s in zip(edges, (SIGMA_PX * size, SIGMA_PX * size, sigma_z * size), strict=True))
    counts = generator.poisson(3000.0 * pz[:, :, None, None] * py[:, None, :, None] * px[:, None, None, :])
    z_frames = corner[:, 2, None] + np.arange(n[0])
    counts[(z_frames < 0) | (z_frames >= experiment.scan.n_frames)] = 0
    mask = np.where(counts > 3, int(MaskCode.VALID | MaskCode.FOREGROUND), 0)
    boxes = Shoeboxes(table["panel"], bbox, np.arange(len(table) + 1) * 567, np.where(mask, counts, 0).ravel(),
                      mask.ravel())
    return table.with_columns(**{"shoebox": boxes, "xyzobs.px.value": table["xyzcal.px"]})


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment("x", make_beam(), make_detector((300, 260), distance=150.0), make_goniometer(),
                      make_scan(60, 0.5), make_crystal((60.0, 60.0, 40.0, 90, 90, 90)))


@pytest.fixture(scope="module")
def predicted(experiment) -> ReflectionTable:
    table = predict(experiment, PredictionOptions(d_min=4.0, padding=0.0))
    return table.select((np.abs(table["zeta"]) > 0.3) & (table["xyzcal.px"][:, 2] > 2)
                        & (table["xyzcal.px"][:, 2] < 58))


@pytest.fixture(scope="module")
def reference(experiment, predicted) -> ReflectionTable:
    return spots(experiment, predicted, 1)


def pixel_angle(experiment) -> float:
    return experiment.detector[0].pixel_size[0] / 150.0


def test_widths_are_those_put_in(experiment, reference):
    model = estimate_model(experiment, reference)
    assert not model.has_prior
    # the radius is of two coordinates; pixels blur by 1/12 each, and those of up to 3 counts are not found
    expected = np.sqrt(2.0 * (SIGMA_PX**2 + 1 / 12)) * pixel_angle(experiment)
    assert float(model.sigma_b) == pytest.approx(expected, rel=0.08)
    assert np.rad2deg(float(model.sigma_m)) == pytest.approx(SIGMA_M, rel=0.08)
    assert model.n_sigma == 3.0


def test_options_change_the_model(experiment, reference):
    plain = estimate_model(experiment, reference)
    basic = estimate_model(experiment, reference, GaussianRSOptions(sigma_m_algorithm="basic"))
    assert basic.sigma_b == plain.sigma_b
    assert basic.sigma_m != plain.sigma_m
    wide = estimate_model(experiment, reference, GaussianRSOptions(parameters=ParametersOptions(n_sigma=4.0)))
    assert wide.n_sigma == 4.0
    fast = estimate_model(experiment, reference, GaussianRSOptions(filter=ZetaFilterOptions(min_zeta=0.8)))
    assert fast.sigma_b != plain.sigma_b


def test_angles_from_the_centroid_or_from_the_prediction(experiment, reference):
    moved = reference.with_columns(s1=reference["s1"] + np.array([0.0, 0.002, 0.0]))
    com = GaussianRSOptions(centroid_definition="com")
    assert estimate_model(experiment, moved, com).sigma_b == estimate_model(experiment, reference, com).sigma_b
    assert estimate_model(experiment, moved).sigma_b > 1.2 * estimate_model(experiment, reference).sigma_b


def test_a_model_of_each_frame(experiment, predicted):
    growing = spots(experiment, predicted, 2, grow=1.6)
    model = estimate_model(experiment, growing, GaussianRSOptions(scan_varying=True))
    assert model.is_scan_varying
    assert model.sigma_b.shape == model.sigma_m.shape == (60,)
    # smoothed over 51 frames, about half of the growth by 60 % is left
    assert model.sigma_b[-1] > 1.15 * model.sigma_b[0]
    assert model.sigma_m[-1] > 1.1 * model.sigma_m[0]
    static = estimate_model(experiment, growing)
    assert model.sigma_b.min() < static.sigma_b < 1.1 * model.sigma_b.max()


def test_frames_without_spots_are_bridged(experiment, reference):
    z = reference["xyzcal.px"][:, 2]
    some = reference.select((z < 20) | (z > 40))
    model = estimate_model(experiment, some, GaussianRSOptions(scan_varying=True))
    assert np.all(np.isfinite(model.sigma_b) & np.isfinite(model.sigma_m) & (model.sigma_m > 0))


def test_smoothing_keeps_constants_and_bridges_gaps():
    np.testing.assert_allclose(_smooth(np.full(7, 3.0)), 3.0)
    np.testing.assert_allclose(_smooth(np.array([np.nan, 2.0, np.nan, 2.0])), 2.0)
    weights = np.exp(-0.5 * (np.arange(-25, 26) / (25 / 3)) ** 2)
    pulse = np.zeros(101)
    pulse[50] = 1.0
    np.testing.assert_allclose(_smooth(pulse)[25:76], weights / weights.sum())


def test_few_spots_are_drawn_towards_the_prior(experiment, reference, caplog):
    few = reference.select(np.arange(0, len(reference), len(reference) // 12))
    free = estimate_model(experiment, few, GaussianRSOptions(min_spots=MinSpotsOptions(overall=5)))
    assert not free.has_prior
    with caplog.at_level(logging.WARNING):
        model = estimate_model(experiment, few)
    assert "few for a profile model" in caplog.text
    strength = 5.0 * (1.0 - len(few) / 50)
    weight = strength / (len(few) + strength)
    assert model.prior_weight == pytest.approx(weight)
    for found, free_one, prior in [(model.sigma_m, free.sigma_m, PRIOR_SIGMA_M),
                                   (model.sigma_b, free.sigma_b, pixel_angle(experiment))]:
        # the mean angle of a pixel is a little smaller than that in the middle
        assert float(found) == pytest.approx(free_one ** (1 - weight) * prior**weight, rel=0.02)


def test_enough_spots_a_degree_are_enough(experiment, reference):
    few = reference.select(np.arange(0, len(reference), len(reference) // 12))
    options = GaussianRSOptions(min_spots=MinSpotsOptions(overall=50, per_degree=0))
    assert not estimate_model(experiment, few, options).has_prior


def test_the_prior_fades_with_the_number_of_spots(experiment, reference):
    weights = [estimate_model(experiment, reference.select(np.arange(n))).prior_weight for n in (1, 10, 30, 49, 50)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 0.8
    assert 0.0 < weights[3] < 0.01
    assert weights[4] == 0.0


def test_spots_that_tell_nothing_leave_the_prior(experiment, reference):
    options = GaussianRSOptions(filter=ZetaFilterOptions(min_zeta=2.0))
    model = estimate_model(experiment, reference.select(np.arange(5)), options)
    assert float(model.sigma_m) == pytest.approx(PRIOR_SIGMA_M)


def test_given_widths_are_taken(experiment, reference):
    given = GaussianRSOptions(parameters=ParametersOptions(sigma_b=0.03, sigma_m=0.4, n_sigma=2.0))
    assert estimate_model(experiment, reference, given).to_dict() == pytest.approx(
        {"__id__": "gaussian_rs", "n_sigma": 2.0, "sigma_b": 0.03, "sigma_m": 0.4})
    with pytest.raises(OptionError, match="both"):
        estimate_model(experiment, reference, GaussianRSOptions(parameters=ParametersOptions(sigma_b=0.03)))


def test_no_spots_at_all_is_an_error(experiment, reference):
    with pytest.raises(XdpError, match="no reference spots"):
        estimate_model(experiment, reference.select(np.zeros(0, int)))


def test_stills_have_no_mosaicity(experiment, reference):
    still = dataclasses.replace(experiment, goniometer=None, scan=None)
    model = estimate_model(still, reference)
    assert model.sigma_m == 0.0
    assert model.sigma_b == pytest.approx(estimate_model(experiment, reference).sigma_b)


def test_many_spots_are_thinned_out_to_those_of_refinement():
    n = 25_000
    flags = np.zeros(n, np.uint64)
    flags[::2] = int(Flag.USED_IN_REFINEMENT)
    zeta = np.full(n, 0.5)
    zeta[0] = 0.01
    table = ReflectionTable({"flags": flags})
    np.testing.assert_array_equal(_choose_rows(table, zeta, 0.05), np.arange(2, n, 2))
    flags = np.zeros(n, np.uint64)
    flags[:6000] = int(Flag.USED_IN_REFINEMENT)
    rows = _choose_rows(ReflectionTable({"flags": flags}), np.ones(n), 0.05)
    # 4000 more of 19000 are wanted: every fourth
    assert len(rows) == 6000 + 4750
    assert set(rows[:6000].tolist()) == set(range(6000))


def test_dictionary_there_and_back():
    for sigma_b, sigma_m in ((0.05, 0.1), ([0.05, 0.06], [0.1, 0.2])):
        source = {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": sigma_b, "sigma_m": sigma_m}
        again = GaussianRSModel.from_dict(source).to_dict()
        assert again.keys() == source.keys()
        np.testing.assert_allclose(again["sigma_b"], sigma_b, rtol=1e-14)
        np.testing.assert_allclose(again["sigma_m"], sigma_m, rtol=1e-14)


@pytest.mark.parametrize("source", [
    {"__id__": "ellipsoid"}, {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": 0.1},
    {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": 0.0, "sigma_m": 0.1},
    {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": [0.1, 0.1], "sigma_m": [0.1]},
    {"__id__": "gaussian_rs", "n_sigma": "x", "sigma_b": 0.1, "sigma_m": 0.1}])
def test_a_damaged_model_is_refused(source):
    with pytest.raises(FormatError, match="profile"):
        GaussianRSModel.from_dict(source)


def test_a_model_is_used_again_with_given_widths():
    profile = {"__id__": "gaussian_rs", "n_sigma": 4.0, "sigma_b": [0.05, 0.07], "sigma_m": [0.1, 0.2]}
    given = GaussianRSOptions(parameters=ParametersOptions(sigma_m=0.3))
    model = reuse_model(profile, given)
    np.testing.assert_allclose(np.rad2deg(model.sigma_b), [0.05, 0.07])
    np.testing.assert_allclose(np.rad2deg(model.sigma_m), [0.3, 0.3])
    assert model.n_sigma == 4.0
    assert reuse_model(profile, GaussianRSOptions(parameters=ParametersOptions(n_sigma=3.5))).n_sigma == 3.5
    with pytest.raises(XdpError, match="sigma_b"):
        reuse_model(None, given)


def test_widths_at_frames(experiment):
    model = GaussianRSModel(3.0, np.linspace(0.1, 0.6, 60), np.linspace(1.1, 1.6, 60))
    sigma_b, sigma_m = model.compute_widths(experiment, np.array([-3.2, 0.0, 17.9, 99.0]))
    np.testing.assert_array_equal(sigma_b, model.sigma_b[[0, 0, 17, 59]])
    np.testing.assert_array_equal(sigma_m, model.sigma_m[[0, 0, 17, 59]])
