"""Shards of frames, against zarr itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xdp.errors import FormatError
from xdp.images.zarr.shards import Compressor, Shards, build_array_metadata, build_shard_name, write_shard


def write_array(path, counts, frames_per_shard=3, codec=Compressor()):  # noqa: B008  frozen
    path.mkdir(parents=True, exist_ok=True)
    metadata = build_array_metadata(counts.shape, counts.dtype, frames_per_shard, codec)
    (path / "zarr.json").write_text(json.dumps(metadata))
    for number in range(-(-len(counts) // frames_per_shard)):
        part = counts[number * frames_per_shard:(number + 1) * frames_per_shard]
        write_shard(build_shard_name(str(path), number), part, codec, frames_per_shard)
    return str(path)


def make_counts(dtype=np.int32, n_frames=7):
    return np.random.default_rng(1).poisson(3.0, (n_frames, 2, 11, 13)).astype(dtype)


@pytest.mark.parametrize("codec", [Compressor(), Compressor("lz4", 1), Compressor("zstd", 9)])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_zarr_reads_what_we_write_and_so_do_we(tmp_path, codec, dtype):
    counts = make_counts(dtype)
    path = write_array(tmp_path / "a", counts, codec=codec)
    array = zarr.open_array(path, mode="r")
    assert (array.chunks, array.shards) == ((1, 2, 11, 13), (3, 2, 11, 13))
    np.testing.assert_array_equal(array[:], counts)
    shards = Shards(path)
    assert len(shards) == 7
    np.testing.assert_array_equal(np.stack([shards[i] for i in range(7)]), counts)


@pytest.mark.parametrize("compressor", ["auto", None])
def test_we_read_what_zarr_writes(tmp_path, compressor):
    counts = make_counts()
    array = zarr.create_array(tmp_path / "a", shape=counts.shape, dtype=counts.dtype, chunks=(1, *counts.shape[1:]),
                              shards=(3, *counts.shape[1:]), compressors=compressor)
    array[:] = counts
    shards = Shards(str(tmp_path / "a"))
    np.testing.assert_array_equal(shards[5], counts[5])


def test_missing_shard_is_an_error(tmp_path):
    path = write_array(tmp_path / "a", make_counts())
    (tmp_path / "a" / "c" / "1" / "0" / "0" / "0").unlink()
    with pytest.raises(FormatError, match="c/1/0/0/0: cannot be read"):
        Shards(path)[3]


@given(st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_shards(tmp_path, data):
    path = write_array(tmp_path / "a", make_counts(n_frames=3))
    shard = tmp_path / "a" / "c" / "0" / "0" / "0" / "0"
    content = bytearray(shard.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    shard.write_bytes(content[:data.draw(st.integers(0, len(content)))])
    shards = Shards(path)
    for i in range(3):
        try:
            assert shards[i].shape == (2, 11, 13)
        except FormatError as error:
            assert "c/0/0/0/0" in str(error)  # noqa: PT017  other bytes may decode too


@pytest.mark.parametrize("change", [
    {"shape": [7, 2, 11]}, {"data_type": "string"}, {"shape": [1, 1 << 20, 1 << 20, 1 << 20]}, {"codecs": []},
    {"chunk_grid": 5},
])  # fmt: skip
def test_damaged_metadata(tmp_path, change):
    path = write_array(tmp_path / "a", make_counts())
    name = tmp_path / "a" / "zarr.json"
    name.write_text(json.dumps(json.loads(name.read_text()) | change))
    with pytest.raises(FormatError, match="not a sharded array"):
        Shards(path)
