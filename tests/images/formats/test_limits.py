"""Bounds on what headers may claim."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats import limits
from xdp.images.formats.find import find_format


def test_the_largest_detectors_are_well_below_the_bounds():
    eiger_16m = 4150 * 4371
    assert 20 * eiger_16m < limits.MAX_PIXELS
    assert 20 * eiger_16m * 4 < limits.MAX_FRAME_BYTES


def test_a_header_that_claims_more_is_refused(tmp_path, image_files):
    path = image_files.smv_file(tmp_path / "a_1.img")
    path.write_bytes(path.read_bytes().replace(b"SIZE1=40", b"SIZE1=99999").replace(b"SIZE2=31", b"SIZE2=99999"))
    with pytest.raises(FormatError, match="too many for an image"):
        find_format(path).models()
    np.save(tmp_path / "a.npy", np.zeros((1, 2, 2), np.uint8))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data.replace(b"(1, 2, 2), }     ", b"(1, 99999, 99999)")[:len(data)])
    with pytest.raises(FormatError):
        find_format(tmp_path / "a.npy")
