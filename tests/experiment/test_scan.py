from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.experiment import Scan

SOURCE = {"image_range": [5, 7], "batch_offset": 100, "oscillation": [10.1, 0.3], "exposure_time": [0.1, 0.1, 0.2],
          "epochs": [1.0, 2.0, 3.0], "valid_image_ranges": {"abc": [[5, 6]]}}


def test_round_trip():
    assert Scan.from_dict(SOURCE | {"more": 1}).to_dict() == SOURCE | {"more": 1}


def test_frames_and_angles():
    scan = Scan((5, 7), (10.0, 0.5))
    assert (scan.n_frames, scan.array_range) == (3, (4, 7))
    # image 5 begins at 10 degrees; the scan ends where image 7 does
    np.testing.assert_allclose(scan.angle(np.array([4, 4.5, 7])), [10.0, 10.25, 11.5])
    np.testing.assert_allclose(scan.frame_coordinate(scan.angle(5.3)), 5.3)


def test_stills_have_no_width():
    assert Scan((1, 1), (0.0, 0.0)).is_still
    assert not Scan((1, 1), (0.0, -0.1)).is_still
    with pytest.raises(ValueError, match="still"):
        Scan((1, 1)).frame_coordinate(3.0)


def test_times_default_to_zero_for_each_image():
    written = Scan((1, 2), (0.0, 1.0)).to_dict()
    assert written["exposure_time"] == written["epochs"] == [0.0, 0.0]


@pytest.mark.parametrize("exposure", [0.1, [0.1]])
def test_old_files_give_one_exposure_for_all_images(exposure):
    scan = Scan.from_dict({"image_range": [1, 3], "oscillation": [0, 1], "exposure_time": exposure})
    assert scan.exposure_time == (0.1, 0.1, 0.1)
    assert scan.to_dict()["valid_image_ranges"] == {}


def test_properties_of_later_dials():
    properties = {"oscillation": [10.0, 10.5, 11.0], "exposure_time": [0.1] * 3, "epochs": [0.0] * 3}
    scan = Scan.from_dict({"image_range": [1, 3], "batch_offset": 0, "properties": properties})
    assert scan.oscillation == (10.0, 0.5)
    assert "properties" not in scan.to_dict()
    one = Scan.from_dict({"image_range": [4, 4], "properties": {"oscillation": [7.0], "oscillation_width": [0.2]}})
    assert one.oscillation == (7.0, 0.2)


def test_unknown_properties_are_written_back():
    properties = {"oscillation": [0.0, 1.0], "time_of_flight": [3.0, 4.0]}
    written = Scan.from_dict({"image_range": [1, 2], "properties": properties}).to_dict()
    assert written["properties"]["time_of_flight"] == [3.0, 4.0]
    assert written["properties"]["oscillation"] == [0.0, 1.0]
    assert Scan.from_dict(written).oscillation == (0.0, 1.0)


@pytest.mark.parametrize(("change", "message"), [
    ({"image_range": [3, 1]}, "must rise"),
    ({"image_range": [1, 10**18]}, "at most 10000000 images"),
    ({"image_range": [1]}, "2 whole numbers"),
    ({"image_range": None}, "missing"),
    ({"oscillation": [float("nan"), 1]}, "2 finite numbers"),
    ({"epochs": "now"}, "finite numbers"),
    ({"valid_image_ranges": 3}, "JSON object"),
])
def test_bad_scans(change, message):
    with pytest.raises(FormatError, match=message):
        Scan.from_dict(SOURCE | change)
