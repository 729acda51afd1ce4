"""Calibration of shots: a simulated run comes back to its photons; maps of other shapes and kinds are refused."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest

from xdp.errors import OptionError, XdpError
from xdp.images.masks.pickles import read_flex_pickle
from xdp.serial.calibration import AverageOptions, Calibration, CalibrationOptions, average_events
from xdp.serial.calibration.outputs import write_averages
from xdp.serial.events import open_events

SHAPE = 2, 40, 50
GAIN = 30.0


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A dark run and a run with light: pedestal, common mode of each panel, noise, hot and dead pixels."""
    folder = tmp_path_factory.mktemp("simulated")
    rng = np.random.default_rng(9)
    pedestal = rng.normal(1000.0, 30.0, SHAPE)
    pedestal[0, 5, 5] = 9000.0
    noise = np.full(SHAPE, 4.0)
    noise[1, 7, 7], noise[1, 8, 8] = 0.0, 80.0

    def record(photons):
        common = rng.normal(0.0, 8.0, (len(photons), SHAPE[0], 1, 1))
        counts = pedestal + common * (noise > 0) + rng.normal(0.0, 1.0, photons.shape) * noise + GAIN * photons
        return np.rint(counts).astype(np.int32)

    photons = (rng.random((20, *SHAPE)) < 0.05) * rng.integers(1, 4, (20, *SHAPE))
    photons[:, 1, 7, 7] = 0
    for name, counts in (("dark", record(np.zeros((200, *SHAPE)))), ("light", record(photons))):
        with h5py.File(folder / f"{name}.cxi", "w") as handle:
            handle["cxi_version"], handle["entry_1/data_1/data"] = 140, counts
    options = AverageOptions(outputdir=str(folder), raw_data=True)
    files = write_averages(average_events(open_events(folder / "dark.cxi"), options), options, ["dark.cxi"])
    return folder, files, photons


def test_a_simulated_run_comes_back_to_its_photons(simulated):
    folder, files, photons = simulated
    np.save(folder / "gain.npy", np.full(SHAPE, 1.0 / GAIN))
    calibration = Calibration(CalibrationOptions(
        dark_path=files["mean"], dark_stddev=files["stddev"], common_mode_correction="median", flag_pixels=True,
        gain_map_path=str(folder / "gain.npy")))
    for i, shot in enumerate(open_events(folder / "light.cxi")):
        corrected = calibration.apply(shot)
        assert corrected.failure is None
        for panel in range(2):
            good = corrected.valid[panel]
            # 4 counts of noise are 0.13 photons: half a photon is four deviations away.
            wrong = np.count_nonzero(np.rint(corrected.image[panel][good]) != photons[i, panel][good])
            assert wrong <= 3
            assert np.count_nonzero(~good) <= 3
        assert not corrected.valid[0][5, 5]  # hot
        assert not corrected.valid[1][7, 7]  # its dark does not vary
        assert not corrected.valid[1][8, 8]  # noisy


def test_the_deviation_may_be_in_the_file_of_the_dark(simulated):
    folder, files, _ = simulated
    calibration = Calibration(CalibrationOptions(dark_path=files["mean"], common_mode_correction="mean"))
    corrected = calibration.apply(open_events(folder / "light.cxi")[0])
    assert np.median(corrected.image[0]) == pytest.approx(0.0, abs=1.0)


def test_calibrations_travel_to_workers(simulated):
    folder, files, _ = simulated
    calibration = Calibration(CalibrationOptions(dark_path=files["mean"]))
    shot = open_events(folder / "light.cxi")[1]
    again = pickle.loads(pickle.dumps(calibration)).apply(shot)
    assert np.array_equal(again.image[1], calibration.apply(shot).image[1])


def test_a_dark_of_another_shape_fails_the_shot_alone(simulated, tmp_path):
    folder, _, _ = simulated
    np.save(tmp_path / "dark.npy", np.zeros((10, 10)))
    calibration = Calibration(CalibrationOptions(dark_path=str(tmp_path / "dark.npy")))
    failure = calibration.apply(open_events(folder / "light.cxi")[0]).failure
    assert failure.reason == "wrong shape"
    assert "(10, 10)" in failure.message


def test_a_common_mode_without_deviation_fails_the_shot(simulated, tmp_path):
    folder, _, _ = simulated
    np.save(tmp_path / "dark.npy", np.zeros(SHAPE))
    calibration = Calibration(CalibrationOptions(dark_path=str(tmp_path / "dark.npy"), common_mode_correction="mean"))
    failure = calibration.apply(open_events(folder / "light.cxi")[0]).failure
    assert failure.reason == "bad value"
    assert "has no deviation" in failure.message


def test_marks_of_masks_and_levels_of_gain(simulated, tmp_path):
    folder, _, _ = simulated
    mask, gain = np.zeros(SHAPE), np.ones(SHAPE)
    mask[0, 1, 1], mask[1, 2, 2], gain[0, 3, 3] = -2, -100000, 0
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "gain.npy", gain)
    calibration = Calibration(CalibrationOptions(
        mask_path=str(tmp_path / "mask.npy"), gain_map_path=str(tmp_path / "gain.npy"), gain_map_level=6.9))
    shot = open_events(folder / "light.cxi")[0]
    corrected = calibration.apply(shot)
    assert np.argwhere(~np.stack(corrected.valid)).tolist() == [[0, 1, 1], [1, 2, 2]]
    assert corrected.image[0][3, 3] == pytest.approx(6.9 * shot.image[0][3, 3])
    assert corrected.image[0][4, 4] == shot.image[0][4, 4]


def test_pickles_of_cctbx_are_written_and_read(simulated, tmp_path):
    folder, _, _ = simulated
    options = AverageOptions(outputdir=str(tmp_path), as_pickle=True, raw_data=True)
    averages = average_events(open_events(folder / "dark.cxi"), options)
    files = write_averages(averages, options, ["dark.cxi"])
    values = read_flex_pickle(files["mean"])
    assert np.array_equal(values["DATA"], np.concatenate(averages.mean))
    assert values["ACTIVE_AREAS"].tolist() == [0, 0, 40, 50, 40, 0, 80, 50]
    assert (values["SIZE1"], values["SIZE2"], values["SEQUENCE_NUMBER"], values["xtal_target"]) == (80, 50, 0, None)
    calibration = Calibration(CalibrationOptions(dark_path=files["mean"], dark_stddev=files["stddev"]))
    corrected = calibration.apply(open_events(folder / "light.cxi")[0])
    assert abs(np.median(corrected.image[1])) < 20.0


def test_other_pickles_are_refused(simulated, tmp_path):
    (tmp_path / "dark.pickle").write_bytes(pickle.dumps({"DATA": SHAPE.__class__}))
    with pytest.raises(XdpError, match="nothing is executed"):
        Calibration(CalibrationOptions(dark_path=str(tmp_path / "dark.pickle")))


def test_raw_counts_of_three_gains(tmp_path):
    pedestals = np.stack([np.full(SHAPE, p) for p in (1000.0, 12000.0, 13000.0)])
    gains = np.stack([np.full(SHAPE, g) for g in (40.0, -1.5, -0.1)])
    photons = np.random.default_rng(4).integers(0, 3000, SHAPE)
    stage = np.digitize(photons, [300, 2000])
    counts = np.rint(np.choose(stage, pedestals) + np.choose(stage, gains) * photons).astype(np.uint16)
    raw = counts | (np.array([0, 1, 3], np.uint16)[stage] << 14).astype(np.uint16)
    raw[0, 0, 0] = 2 << 14
    with h5py.File(tmp_path / "calib.h5", "w") as handle:
        handle["pedestals"], handle["gains"] = pedestals, gains
    with h5py.File(tmp_path / "run.cxi", "w") as handle:
        handle["cxi_version"], handle["entry_1/data_1/data"] = 140, raw[None]
    file = str(tmp_path / "calib.h5")
    shot = Calibration(CalibrationOptions(pedestal_path=file, gains_path=file)).apply(
        open_events(tmp_path / "run.cxi")[0])
    assert shot.failure is None
    assert not shot.valid[0][0, 0]
    # A count of the lowest gain is ten photons: half of that is what rounding leaves.
    assert np.abs(np.stack(shot.image) - photons)[np.stack(shot.valid)].max() <= 5.0 + 1e-9


@pytest.mark.parametrize(("options", "message"), [
    ({"gain_map_level": 2.0}, "gain_map_path"), ({"dark_stddev": "x.h5"}, "dark_path"),
    ({"pedestal_path": "x.h5"}, "both"), ({"common_mode_correction": "mean"}, "dark")])
def test_options_that_do_not_fit_are_errors(options, message):
    with pytest.raises(OptionError, match=message):
        Calibration(CalibrationOptions(**options))
