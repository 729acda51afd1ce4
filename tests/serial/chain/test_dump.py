"""Tests of mod_dump."""

import h5py
import numpy as np
import pytest
from chain_data import draw_events, make_cfg

from xdp.errors import OptionError
from xdp.images.masks.pickles import read_flex_pickle
from xdp.serial.chain.configuration import parse_chain
from xdp.serial.chain.run import run_chain
from xdp.serial.events import open_events

DIGITS = "20160708220524133"
RAW = draw_events(1)[0].image[0]


def dump(folder, events=None, **keys):
    named = {"address": "CxiDs1-0|Cspad-0", "out_dirname": folder, "out_basename": "shot-"} | keys
    text = make_cfg("mod_dump", **named)
    return run_chain(parse_chain(text), events or draw_events(1)).modules[0]


@pytest.mark.parametrize("form", ["h5", "cbf", "tiff", "zarr", "npy"])
def test_each_form_holds_the_image(tmp_path, form):
    counts = dump(tmp_path / "new" / "folder", out_format=form)
    assert counts.result.n_written == 1
    path = tmp_path / "new" / "folder" / f"shot-{DIGITS}.{form}"
    if form == "h5":
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["data"][0], RAW)
            assert file.attrs["timestamp"] == "2016-07-08T22:05Z24.133"
            assert file.attrs["distance"] == 60.0
    elif form == "zarr":
        import zarr

        np.testing.assert_array_equal(zarr.open_array(path, mode="r")[0], RAW)
    elif form == "tiff":
        from PIL import Image

        np.testing.assert_array_equal(np.asarray(Image.open(path)), RAW)
    else:
        np.testing.assert_array_equal(open_events(path, energy=9537.0)[0].image[0], RAW)


def test_image_dictionaries_have_the_keys_of_the_original(tmp_path):
    dump(tmp_path, out_format="pickle")
    found = read_flex_pickle(tmp_path / f"shot-{DIGITS}.pickle")
    assert set(found) == {"ACTIVE_AREAS", "BEAM_CENTER_X", "BEAM_CENTER_Y", "CCD_IMAGE_SATURATION", "DATA",
                          "DETECTOR_ADDRESS", "DISTANCE", "MIN_TRUSTED_VALUE", "PIXEL_SIZE", "SATURATED_VALUE",
                          "SEQUENCE_NUMBER", "SIZE1", "SIZE2", "TIMESTAMP", "WAVELENGTH", "xtal_target"}
    np.testing.assert_array_equal(np.asarray(found["DATA"]).reshape(160, 160), RAW)
    assert (found["BEAM_CENTER_X"], found["BEAM_CENTER_Y"]) == pytest.approx((8.0, 8.0))
    assert list(np.asarray(found["ACTIVE_AREAS"]).ravel()) == [0, 0, 160, 160]
    assert (found["CCD_IMAGE_SATURATION"], found["SATURATED_VALUE"], found["MIN_TRUSTED_VALUE"]) == (90000, 90000, -400)
    assert (found["TIMESTAMP"], found["SEQUENCE_NUMBER"]) == ("2016-07-08T22:05Z24.133", 0)
    assert (found["DISTANCE"], found["PIXEL_SIZE"], found["SIZE1"], found["SIZE2"]) == (60.0, 0.1, 160, 160)
    assert found["WAVELENGTH"] == pytest.approx(1.3, abs=1e-3)


def test_without_a_distance_it_is_written_as_0(tmp_path):
    assert dump(tmp_path, draw_events(1, distance=None)).n_kept == 1
    with h5py.File(tmp_path / f"shot-{DIGITS}.h5") as file:
        assert file.attrs["distance"] == 0.0


def test_without_an_image_nothing_is_written_and_the_event_goes_on(tmp_path, caplog):
    import logging

    with caplog.at_level(logging.INFO):
        counts = dump(tmp_path, draw_events(1, image=[]))
    assert (counts.n_kept, counts.result.n_written) == (1, 0)
    assert "no image, nothing is written" in caplog.text


def test_a_prefix_is_wanted(tmp_path):
    with pytest.raises(OptionError, match="out_basename is wanted"):
        dump(tmp_path, out_basename="None")


def test_none_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dump("None")
    assert (tmp_path / f"shot-{DIGITS}.h5").exists()


def test_a_full_disk_is_that_shots_failure(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xdp.serial.chain.dump._write_hdf5", fail)
    done = dump(tmp_path, draw_events(3))
    assert done.n_failed == 3
