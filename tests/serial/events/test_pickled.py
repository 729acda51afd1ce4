"""Image dictionaries of cctbx.xfel: written as such, read without unpickling; all else is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from xdp.images.masks.pickles import write_dictionary_pickle
from xdp.serial.events import open_events


def make_dictionary(**values):
    data = np.arange(24, dtype=np.int32).reshape(4, 6) - 3
    return {"DATA": data, "ACTIVE_AREAS": np.array([0, 0, 2, 6, 2, 0, 4, 5], np.int32), "DISTANCE": 130.0,
            "WAVELENGTH": 1.3, "PIXEL_SIZE": 0.11, "BEAM_CENTER_X": 0.22, "BEAM_CENTER_Y": 0.33,
            "TIMESTAMP": "2016-07-08T22:05Z24.133", "SATURATED_VALUE": 90000, "MIN_TRUSTED_VALUE": -400,
            "DETECTOR_ADDRESS": "CxiDs1-0|Cspad-0", "SEQUENCE_NUMBER": 0, "xtal_target": None} | values


def test_a_dictionary_is_a_shot(tmp_path):
    write_dictionary_pickle(tmp_path / "shot-1.pickle", make_dictionary())
    shot = open_events(tmp_path)[0]
    assert shot.failure is None
    assert [panel.tolist() for panel in shot.image] == [
        (np.arange(12).reshape(2, 6) - 3).tolist(), (np.arange(24).reshape(4, 6)[2:, :5] - 3).tolist()]
    assert (shot.timestamp, shot.distance) == ("2016-07-08T22:05Z24.133", 130.0)
    assert shot.wavelength == pytest.approx(1.3)
    detector = shot.experiment.detector
    # x is slow (down), y fast (right): the beam is 3 pixels from the left and 2 from the top.
    assert detector[0].origin == pytest.approx((-0.33, 0.22, -130.0))
    assert detector[1].origin == pytest.approx((-0.33, 0.0, -130.0))
    assert detector[0].trusted_range == (-400.0, 90000.0)


def test_no_distance_is_written_as_0(tmp_path):
    write_dictionary_pickle(tmp_path / "shot-20160708220524133.pickle", make_dictionary(DISTANCE=0, TIMESTAMP="?"))
    shot = open_events(tmp_path / "shot-20160708220524133.pickle")[0]
    assert shot.distance is None
    assert shot.timestamp == "2016-07-08T22:05Z24.133"


@pytest.mark.parametrize("value", [{"DATA": print}, {"OTHER": 1}, [1, 2], {"DATA": {"a": complex}}])
def test_other_pickles_are_refused_with_the_reason(tmp_path, value):
    (tmp_path / "x.pickle").write_bytes(pickle.dumps(value))
    failure = open_events(tmp_path / "x.pickle")[0].failure
    assert failure.reason == "damaged"
    assert "expected" in failure.message or "nothing is executed" in failure.message


def test_areas_outside_of_the_image(tmp_path):
    write_dictionary_pickle(tmp_path / "x.pickle", make_dictionary(ACTIVE_AREAS=np.array([0, 0, 9, 9], np.int32)))
    assert "ACTIVE_AREAS" in open_events(tmp_path / "x.pickle")[0].failure.message


def test_dictionaries_and_images_side_by_side(tmp_path):
    for name in ("b.pickle", "d.pickle"):
        write_dictionary_pickle(tmp_path / name, make_dictionary())
    for name in ("a.edf",):
        (tmp_path / name).write_bytes(b"")
    np.save(tmp_path / "c.npy", np.zeros((2, 2)))
    shots = list(open_events(tmp_path))
    assert [shot.id.rpartition("/")[2] for shot in shots] == ["a.edf", "b.pickle", "0", "d.pickle"]
