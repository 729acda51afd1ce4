from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import STILL_DELTA_PSI, compute_zeta, predict
from xdp.prediction.rays import make_rotation_matrices
from xdp.reflections import Flag
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment("name", make_beam(), make_detector((300, 260), distance=70.0), make_goniometer(),
                      make_scan(10, 0.5), make_crystal())


@pytest.fixture(scope="module")
def turning(experiment) -> Experiment:
    """Its crystal slips by two degrees."""
    points = make_rotation_matrices((0, 0, 1), np.deg2rad(np.linspace(0, 2, 11))) @ experiment.crystal.A
    points = tuple(map(tuple, points.reshape(-1, 9).tolist()))
    return dataclasses.replace(experiment, crystal=dataclasses.replace(experiment.crystal, A_at_scan_points=points))


def test_columns_of_a_rotation(experiment):
    table = predict(experiment, PredictionOptions(d_min=4.0), index=3)
    assert set(table) == {"miller_index", "entering", "panel", "s1", "xyzcal.mm", "xyzcal.px", "d", "flags", "id",
                          "zeta"}
    assert table.identifiers == {3: "name"}
    assert set(table["id"].tolist()) == {3}
    assert table.flags(Flag.PREDICTED).all()
    np.testing.assert_array_equal(table["zeta"], compute_zeta(experiment, table))
    assert np.abs(table["zeta"]).max() <= 1.0


def test_screw_axes_extinguish_nothing(experiment):
    # P43212: 0 k 0 with odd k would be absent
    hkl = predict(experiment, PredictionOptions(d_min=3.0, padding=30.0))["miller_index"]
    axial = hkl[(hkl[:, 0] == 0) & (hkl[:, 2] == 0)]
    assert np.any(axial[:, 1] % 2 == 1)


def test_limits_of_resolution(experiment):
    everything = predict(experiment, PredictionOptions(d_min=3.0))["d"]
    some = predict(experiment, PredictionOptions(d_min=4.0, d_max=8.0))["d"]
    assert len(some) == np.count_nonzero((everything >= 4.0) & (everything <= 8.0))
    assert 0 < len(some) < len(everything)


def test_padding_adds_frames(experiment):
    frames = predict(experiment, PredictionOptions(d_min=3.0, padding=2.0))["xyzcal.px"][:, 2]
    assert -4.0 < frames.min() < -3.0
    assert 13.0 < frames.max() < 14.0
    without = predict(experiment, PredictionOptions(d_min=3.0, padding=0.0))["xyzcal.px"][:, 2]
    assert len(without) == np.count_nonzero((frames > 0.0) & (frames < 10.0))


def test_varying_models_unless_static_is_forced(experiment, turning):
    options = PredictionOptions(d_min=3.0, padding=0.0)
    forced = predict(turning, options.model_copy(update={"force_static": True}))
    for name, column in predict(experiment, options).items():
        np.testing.assert_array_equal(forced[name], column)
    assert not np.array_equal(predict(turning, options)["miller_index"], forced["miller_index"])


def test_margin_is_handed_on(turning, monkeypatch):
    import xdp.prediction.predict as module

    seen = {}
    original = module.predict_scan_varying
    monkeypatch.setattr(module, "predict_scan_varying", lambda *a, **k: seen.update(k) or original(*a, **k))
    predict(turning, PredictionOptions(d_min=4.0, margin=2))
    assert seen["margin"] == 2


def test_stills_lie_near_the_sphere(experiment):
    still = dataclasses.replace(experiment, goniometer=None, scan=None)
    table = predict(still, PredictionOptions(d_min=3.0))
    assert len(table) > 10
    assert np.abs(table["delpsical.rad"]).max() <= STILL_DELTA_PSI
    assert "zeta" not in table


def test_a_mosaic_still_has_its_own_limit(experiment):
    def still(mosaicity, size):
        extra = {"ML_half_mosaicity_deg": mosaicity, "ML_domain_size_ang": size}
        return dataclasses.replace(experiment, goniometer=None, scan=None,
                                   crystal=dataclasses.replace(experiment.crystal, extra=extra))

    table = predict(still(0.2, 3000.0), PredictionOptions(d_min=3.0))
    limit = table["d"] / 3000.0 + np.deg2rad(0.1)
    assert np.all(np.abs(table["delpsical.rad"]) < limit)
    assert np.abs(table["delpsical.rad"]).max() > 2.0 * STILL_DELTA_PSI
    assert len(predict(still(0.4, 3000.0), PredictionOptions(d_min=3.0))) > len(table)


@pytest.mark.parametrize(("options", "message"), [
    (PredictionOptions(d_min=0.3), "not possible with wavelength"),
    (PredictionOptions(d_min=3.0, d_max=2.0), "must not lie below")])
def test_limits_that_make_no_sense_are_refused(experiment, options, message):
    with pytest.raises(OptionError, match=message):
        predict(experiment, options)


def test_a_crystal_is_wanted(experiment):
    with pytest.raises(XdpError, match="experiment 7 has no crystal"):
        predict(dataclasses.replace(experiment, crystal=None), index=7)
