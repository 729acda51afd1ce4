"""Files of frames and maps, listed and stamped."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
from sweeps import background, stills, sweep

from xdp.experiment import ImageSet
from xdp.images.stamps import list_image_files, list_maps, stamp_images


@pytest.fixture
def experiment(tmp_path):
    one, = sweep(tmp_path, background(3))
    return one


def test_maps_are_those_of_the_image_set_and_others():
    maps = ImageSet("ImageSet", images=("a.cbf",), mask="m", gain="g", pedestal="p", dx="x", dy="y")
    assert list_maps(maps) == ["m", "g", "p", "x", "y"]
    assert list_maps(ImageSet("ImageSet", images=("a.cbf",)), None, "other") == ["other"]


def test_each_file_is_listed_once(experiment, tmp_path):
    masked = dataclasses.replace(experiment, imageset=dataclasses.replace(experiment.imageset, mask="mask.pickle"))
    assert list_image_files(masked, "mask.pickle") == [str(tmp_path / "sweep.npy"), "mask.pickle"]


def test_stamps_change_with_files_and_frames(experiment, tmp_path):
    first = stamp_images(experiment)
    assert first == stamp_images(experiment)
    assert first[0][0][0] == str(tmp_path / "sweep.npy")
    assert first[1] == [0, 1, 2]
    os.utime(tmp_path / "sweep.npy", ns=(1, 1))
    changed = stamp_images(experiment)
    assert changed != first
    assert stamp_images(experiment, str(tmp_path / "mask.pickle"))[0][1] == [str(tmp_path / "mask.pickle"), None, None]


def test_stills_of_one_file_differ_by_their_frame(tmp_path):
    one, two = stills(tmp_path, np.zeros((2, 1, 8, 9), np.uint16))
    assert stamp_images(one)[0] == stamp_images(two)[0]
    assert stamp_images(one)[1] != stamp_images(two)[1]
