"""Zarr stores: ours, against zarr itself, and plain arrays of others."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.zarr.shards import Compressor, Shards, array_metadata, shard_name, write_shard
from xdp.images.zarr.store import ZarrStore


def write_array(path, counts, frames_per_shard=3, codec=Compressor()):  # noqa: B008  frozen
    path.mkdir(parents=True, exist_ok=True)
    metadata = array_metadata(counts.shape, counts.dtype, frames_per_shard, codec)
    (path / "zarr.json").write_text(json.dumps(metadata))
    for number in range(-(-len(counts) // frames_per_shard)):
        part = counts[number * frames_per_shard:(number + 1) * frames_per_shard]
        write_shard(shard_name(str(path), number), part, codec, frames_per_shard)
    return str(path)


def example(dtype=np.int32, n_frames=7):
    return np.random.default_rng(1).poisson(3.0, (n_frames, 2, 11, 13)).astype(dtype)


@pytest.mark.parametrize("codec", [Compressor(), Compressor("lz4", 1), Compressor("zstd", 9)])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_zarr_reads_what_we_write_and_so_do_we(tmp_path, codec, dtype):
    counts = example(dtype)
    path = write_array(tmp_path / "a", counts, codec=codec)
    array = zarr.open_array(path, mode="r")
    assert (array.chunks, array.shards) == ((1, 2, 11, 13), (3, 2, 11, 13))
    np.testing.assert_array_equal(array[:], counts)
    shards = Shards(path)
    assert len(shards) == 7
    np.testing.assert_array_equal(np.stack([shards[i] for i in range(7)]), counts)


@pytest.mark.parametrize("compressor", ["auto", None])
def test_we_read_what_zarr_writes(tmp_path, compressor):
    counts = example()
    array = zarr.create_array(tmp_path / "a", shape=counts.shape, dtype=counts.dtype, chunks=(1, *counts.shape[1:]),
                              shards=(3, *counts.shape[1:]), compressors=compressor)
    array[:] = counts
    shards = Shards(str(tmp_path / "a"))
    np.testing.assert_array_equal(shards[5], counts[5])


def test_missing_shard_is_an_error(tmp_path):
    path = write_array(tmp_path / "a", example())
    (tmp_path / "a" / "c" / "1" / "0" / "0" / "0").unlink()
    with pytest.raises(FormatError, match="c/1/0/0/0: cannot be read"):
        Shards(path)[3]


@given(st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_shards(tmp_path, data):
    path = write_array(tmp_path / "a", example(n_frames=3))
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
    path = write_array(tmp_path / "a", example())
    name = tmp_path / "a" / "zarr.json"
    name.write_text(json.dumps(json.loads(name.read_text()) | change))
    with pytest.raises(FormatError, match="not a sharded array"):
        Shards(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_arrays(tmp_path, zarr_format):
    counts = example(np.uint16)[:, 0]
    array = zarr.create_array(tmp_path / "a.zarr", shape=counts.shape, dtype=counts.dtype, chunks=(1, 11, 13),
                              zarr_format=zarr_format)
    array[:] = counts
    opened = find_format(tmp_path / "a.zarr")
    assert isinstance(opened, ZarrStore)
    assert opened.n_images == 7
    np.testing.assert_array_equal(opened.raw(6)[0], counts[6])
    assert opened.stack_models().detector is None
    assert opened.static_mask() is None


def test_plain_array_of_words_is_refused(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(3,), dtype="i4")
    with pytest.raises(FormatError, match="must be an array of numbers with 2 to 4 dimensions"):
        find_format(tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"attributes": 3}', '{"attributes": {"xdp": {"version": 99}}}',
                                  '{"attributes": {"xdp": {"version": 1, "experiments": {}}}}',
                                  '{"zarr_format": 3, "node_type": "group", "attributes": {}}'])
def test_damaged_store(tmp_path, text):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(text)
    with pytest.raises(FormatError, match=r"a\.zarr"):
        find_format(tmp_path / "a.zarr")
