"""Sources of image files."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.serial.events.context import RunContext
from xdp.serial.events.image_sources import SingleImages, StackedImages, is_hdf5, open_with_models
from xdp.serial.events.options import EventOptions
from xdp.serial.events.shot import ShotError


def test_some_images_of_a_stack(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(24, dtype=np.int32).reshape(4, 2, 3))
    source = StackedImages(str(tmp_path / "a.npy"), RunContext(EventOptions()), (3, 1))
    assert source.n_shots == 2
    assert source.get_id(0).endswith("//3")
    assert source.read(0).image[0][0, 0] == 18
    with pytest.raises(ShotError, match="has 4 images, image 9"):
        StackedImages(str(tmp_path / "a.npy"), RunContext(EventOptions()), (9,)).read(0)


def test_single_images_are_opened_in_their_turn(tmp_path):
    source = SingleImages([str(tmp_path / "absent.cbf")], RunContext(EventOptions()))
    assert (source.n_shots, source.get_id(0)) == (1, str(tmp_path / "absent.cbf"))
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    opened, models = open_with_models(str(tmp_path / "a.npy"), {})
    assert opened.n_images == 1
    assert models.beam is None


def test_hdf5_is_told_by_its_first_bytes(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "b.h5").write_bytes(b"x")
    assert is_hdf5(str(tmp_path / "a.h5"))
    assert not is_hdf5(str(tmp_path / "b.h5"))
    assert not is_hdf5(str(tmp_path))
