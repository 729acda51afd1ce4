"""Filter pipelines of HDF5, undone without it."""

from __future__ import annotations

import zlib

import h5py
import hdf5plugin
import numpy as np
import pytest

from xdp.images.formats.hdf5._filters import find_pipeline

PIXELS = np.random.default_rng(4).poisson(9, (12, 20)).astype(np.uint16)


def pipeline(tmp_path, dtype=np.uint16, **how):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        return find_pipeline(file.create_dataset("images", (3, *PIXELS.shape), dtype, chunks=(1, *PIXELS.shape), **how),
                             PIXELS.shape)


def shuffled(pixels):
    return pixels.reshape(-1).view(np.uint8).reshape(-1, pixels.itemsize).T.tobytes()


def test_filters_are_undone_in_the_opposite_order(tmp_path):
    known = pipeline(tmp_path, compression="gzip", shuffle=True)
    assert known.is_deflated
    assert np.array_equal(known.decode(zlib.compress(shuffled(PIXELS))), PIXELS)


@pytest.mark.parametrize(("skipped", "chunk"), [
    (0b01, zlib.compress(PIXELS.tobytes())), (0b10, shuffled(PIXELS)), (0b11, PIXELS.tobytes())])
def test_filters_that_were_left_out_are_not_undone(tmp_path, skipped, chunk):
    assert np.array_equal(pipeline(tmp_path, compression="gzip", shuffle=True).decode(chunk, skipped), PIXELS)


def test_without_filters_the_size_must_be_right(tmp_path):
    plain = pipeline(tmp_path)
    assert not plain.is_deflated
    assert np.array_equal(plain.decode(PIXELS.tobytes()), PIXELS)
    with pytest.raises(ValueError, match="480 bytes expected, 478 came"):
        plain.decode(PIXELS.tobytes()[:-2])


@pytest.mark.parametrize(("head", "message"), [
    (b"", "has 0 bytes, at least 12"),
    ((99).to_bytes(8, "big") + (8).to_bytes(4, "big"), "claims 99 bytes, wanted 480"),
    ((480).to_bytes(8, "big") + (6).to_bytes(4, "big"), "a multiple of 8 wanted"),
    ((480).to_bytes(8, "big") + (480).to_bytes(4, "big"), "ends early")])
def test_damaged_heads_of_bitshuffled_chunks(tmp_path, head, message):
    with pytest.raises(ValueError, match=message):
        pipeline(tmp_path, **hdf5plugin.Bitshuffle()).decode(head)


@pytest.mark.parametrize("how", [{"compression": "lzf"}, {"fletcher32": True}, {"scaleoffset": 3},
                                 {"dtype": "c16"}, {"dtype": "f8", **hdf5plugin.Bitshuffle()}], ids=str)
def test_other_filters_and_types_are_not_known(tmp_path, how):
    assert pipeline(tmp_path, **how) is None
