"""Shots of files, folders and stacks."""

from __future__ import annotations

import pickle
import shutil

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError, OptionError
from xdp.serial.events import open_events


def write_cxi(path, data, **values):
    """A CXI file as Cheetah writes it; a `/` in a name of `values` is written as two underscores."""
    with h5py.File(path, "w") as handle:
        handle["cxi_version"] = 140
        handle["entry_1/data_1/data"] = data
        for name, value in values.items():
            handle[name.replace("__", "/")] = value
    return str(path)


@pytest.fixture
def frames():
    return np.random.default_rng(1).integers(0, 50, (5, 6, 8)).astype(np.int16)


def test_a_stack_gives_its_shots_in_order(tmp_path, frames):
    path = write_cxi(tmp_path / "run.cxi", frames, LCLS__photon_energy_eV=np.full(5, 9500.0))
    events = open_events(path)
    assert len(events) == 5
    for i, shot in enumerate(events):
        assert shot.failure is None
        assert (shot.index, shot.id, shot.photon_energy) == (i, f"{path} //{i}", 9500.0)
        assert np.array_equal(shot.image[0], frames[i])
        assert shot.image[0].dtype == np.int32


def test_values_of_each_shot_are_read(tmp_path, frames):
    path = write_cxi(
        tmp_path / "run.cxi", frames, LCLS__photon_energy_eV=np.array([9500.0, 9501.0, 0.0, 9503.0, np.nan]),
        LCLS__detector_1__EncoderValue=np.arange(5) - 450.0, LCLS__machineTime=np.full(5, 1468015524),
        LCLS__machineTimeNanoSeconds=np.arange(5) * 1_000_000 + 133_000_000, LCLS__f_11_ENRC=np.full(5, 1.0),
        LCLS__f_12_ENRC=np.full(5, 2.0), my__laser=np.arange(5.0))
    events = open_events(path, detz_offset=575.0, scalar=["laser=my/laser"])
    assert [shot.photon_energy for shot in events][:4] == [9500.0, 9501.0, 0.0, 9503.0]
    assert [shot.distance for shot in events] == [125.0, 126.0, 127.0, 128.0, 129.0]
    assert events[1].timestamp == "2016-07-08T22:05Z24.134"
    assert events[0].pulse_energy == 1.5
    assert events[3].scalars == {"laser": 3.0}
    assert open_events(path)[0].distance is None  # no offset: the encoder alone is no distance
    assert open_events(path, distance=80.0, energy=9000.0)[2].photon_energy == 9000.0


def test_peaks_of_cheetah_are_read(tmp_path, frames):
    x, y = np.zeros((5, 4)), np.zeros((5, 4))
    x[2, :2], y[2, :2] = [1.5, 3.0], [2.0, 4.25]
    path = write_cxi(tmp_path / "run.cxi", frames, entry_1__result_1__nPeaks=np.array([0, 0, 2, 0, 9]),
                     entry_1__result_1__peakXPosRaw=x, entry_1__result_1__peakYPosRaw=y,
                     entry_1__result_1__peakTotalIntensity=x * 10)
    events = open_events(path)
    assert events[2].peaks.fast.tolist() == [1.5, 3.0]
    assert events[2].peaks.slow.tolist() == [2.0, 4.25]
    assert events[2].peaks.intensity.tolist() == [15.0, 30.0]
    assert len(events[0].peaks.fast) == 0
    assert events[4].failure.reason == "damaged"
    assert "9 peaks" in events[4].failure.message


def test_masks_of_each_frame_are_used(tmp_path, frames):
    masks = np.zeros(frames.shape, np.uint16)
    masks[3, 1, 2] = 4
    events = open_events(write_cxi(tmp_path / "run.cxi", frames, entry_1__data_1__mask=masks))
    assert events[0].valid[0].all()
    assert np.argwhere(~events[3].valid[0]).tolist() == [[1, 2]]


def test_a_folder_of_single_images_and_stacks(tmp_path, frames):
    for i in range(3):
        np.save(tmp_path / f"b{i}.npy", frames[i])
    write_cxi(tmp_path / "a.cxi", frames)
    (tmp_path / "notes.txt").write_text("not an image")
    events = open_events(tmp_path)
    assert [shot.id.rpartition("/")[2] for shot in events][-3:] == ["0", "0", "0"]
    assert len(events) == 8


def test_skip_and_count_keep_the_numbers_of_shots(tmp_path, frames):
    events = open_events(write_cxi(tmp_path / "run.cxi", frames), skip=2, count=2)
    assert [shot.index for shot in events] == [2, 3]
    with pytest.raises(IndexError, match="0 to 1"):
        events[2]


def test_events_travel_to_workers(tmp_path, frames):
    events = open_events(write_cxi(tmp_path / "run.cxi", frames))
    events[0]
    assert len(pickle.dumps(events)) < 3000
    assert np.array_equal(pickle.loads(pickle.dumps(events))[4].image[0], frames[4])


def test_a_growing_file_is_read_as_far_as_it_goes(tmp_path, frames):
    with h5py.File(tmp_path / "run.cxi", "w") as handle:
        handle["cxi_version"] = 140
        handle.create_dataset("entry_1/data_1/data", data=frames[:2], maxshape=(None, 6, 8), chunks=(1, 6, 8))
    events = open_events(tmp_path / "run.cxi")
    assert len(events) == 2
    with h5py.File(tmp_path / "run.cxi", "r+") as handle:
        handle["entry_1/data_1/data"].resize(5, axis=0)
        handle["entry_1/data_1/data"][2:] = frames[2:]
    assert events.refresh() == 5
    assert np.array_equal(events[4].image[0], frames[4])


def test_files_that_cannot_be_read_are_shots_with_a_reason(tmp_path, frames):
    path = write_cxi(tmp_path / "b.cxi", frames)
    (tmp_path / "a.cxi").write_bytes((tmp_path / "b.cxi").read_bytes()[:300])
    (tmp_path / "c.cbf").write_bytes(b"###CBF: VERSION 1.5\nnothing")
    (tmp_path / "d.cbf").write_bytes(b"")
    events = open_events([tmp_path / name for name in ("a.cxi", "b.cxi", "c.cbf", "d.cbf")])
    assert len(events) == 8
    shots = list(events)
    assert [shot.failure is None for shot in shots] == [False, *[True] * 5, False, False]
    shutil.move(path, tmp_path / "away.cxi")
    assert pickle.loads(pickle.dumps(events))[1].failure.reason == "missing file"


def test_an_image_of_another_detector_is_a_wrong_shape(tmp_path, shared_data):
    np.save(tmp_path / "x.npy", np.zeros((2, 5, 5), np.uint16))
    events = open_events(tmp_path / "x.npy", geometry=shared_data / "snase_stills_ccd/refined_experiments.json")
    assert events[0].failure.reason == "wrong shape"
    assert "(1024, 1024)" in events[0].failure.message


def test_wrong_words_are_errors(tmp_path, frames):
    with pytest.raises(FormatError, match="no such file"):
        open_events(tmp_path / "absent.cxi")
    with pytest.raises(FormatError, match="no shots"):
        open_events([])
    path = write_cxi(tmp_path / "run.cxi", frames)
    assert "NAME=PATH" in open_events(path, scalar=["laser"])[0].failure.message
    with pytest.raises(OptionError, match="skip"):
        open_events(path, skip=-1)


@pytest.mark.parametrize(("folder", "n_shots", "n_panels", "energy"), [
    ("stills_dev/stills_dev.h5", 60, 1, 9500.0), ("thermolysin_cspad", 2, 64, 9742.5),
    ("stills_dev/cbf", 10, 1, 9500.0), ("rayonix_still", 1, 1, 9509.8)])
def test_real_shots(shared_data, folder, n_shots, n_panels, energy):
    events = open_events(shared_data / folder)
    assert len(events) == n_shots
    shot = events[0]
    assert shot.failure is None
    assert len(shot.image) == n_panels
    assert shot.photon_energy == pytest.approx(energy, abs=0.2)
    assert shot.distance > 50.0


def test_the_time_of_a_cspad_shot_is_in_its_name(shared_data):
    assert open_events(shared_data / "thermolysin_cspad")[1].timestamp == "2013-03-01T06:08Z58.601"
