"""Chunks that the tasks compress themselves are what HDF5 reads."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.laue.compression import dataset_options, encode, store, store_rows


@pytest.mark.parametrize("compression", ["gzip", "lzf", "none", "zstd", "lz4", "bitshuffle"])
def test_stored_slices_come_back(tmp_path, compression):
    values = np.random.default_rng(0).integers(0, 3, (3, 20, 31)).astype(np.int32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a", values.shape, values.dtype, chunks=(1, 20, 31), **dataset_options(compression))
        for i in (2, 0, 1):
            store(data, i, encode(values[i], compression))
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["a"][()], values)


@pytest.mark.parametrize("compression", ["gzip", "lzf", "none"])
@pytest.mark.parametrize("kind", [np.float64, np.int32])
def test_rows_come_back(tmp_path, compression, kind):
    """Chunks that the last rows fill in part, written in two pieces."""
    values = np.random.default_rng(1).normal(0, 100, (23, 5)).astype(kind)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a", values.shape, kind, chunks=(4, 5), **dataset_options(compression))
        store_rows(data, values[:12], compression)
        store_rows(data, values[12:], compression, 12)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["a"][()].tobytes() == values.tobytes()


def test_unknown_compression():
    with pytest.raises(OptionError, match="'rar'"):
        dataset_options("rar")
