"""Frames of a sharded zarr 3 array, read and written without zarr: one read for a shard's index, one for each frame.

A shard holds its inner chunks one after the other and, at its end, an index of offset and length of each (uint64,
little endian) with a CRC-32C behind it.

References
----------
Zarr v3 specification, sharding codec, https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.files import open_input
from xdp.images.formats.limits import MAX_FRAME_BYTES

# Offset and length of a chunk that was never written, by zarr's specification.
_MISSING = (1 << 64) - 1
# Compressors that are undone here: ours, and the default of zarr.
_DECODERS = ("blosc", "zstd")
# Indices of shards that are kept: some KB each; a stack rarely has more shards. A choice.
_MAX_KEPT = 256


class Shards:
    """The frames of a sharded array whose inner chunks are single frames, by number from 0.

    Parameters
    ----------
    path : str
        Folder of the array.

    Attributes
    ----------
    shape : tuple of int
        Of the array: (frame, panel, slow, fast).
    dtype : dtype
        Of the pixels.

    Raises
    ------
    FormatError
        If the array is stored in any other way, or its description is damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            with open_input(os.path.join(path, "zarr.json")) as stream:
                self._parse_metadata(json.load(stream))
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise FormatError(f"{path}: is not a sharded array of frames as xdp convert writes it: {error}") from error
        self._indices: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frame: int) -> np.ndarray:
        """Read a frame.

        Parameters
        ----------
        frame : int
            From 0.

        Returns
        -------
        (panel, slow, fast) array
            A new one.

        Raises
        ------
        FormatError
            If its shard is missing, truncated or damaged.
        """
        # Which shard, and which frame of it.
        number, local = divmod(frame, self._frames_per_shard)
        name = build_shard_name(self.path, number, len(self.shape))
        try:
            descriptor = os.open(name, os.O_RDONLY)
        except OSError as error:
            raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error
        try:
            return self._read_frame(descriptor, name, number, local)
        finally:
            os.close(descriptor)

    def _parse_metadata(self, metadata: dict) -> None:
        """Read how the array is stored, and refuse what is not sharded as ours is."""
        sharding, = metadata["codecs"]
        settings = sharding["configuration"]
        inner = tuple(settings["chunk_shape"])
        outer = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
        self.shape = tuple(int(n) for n in metadata["shape"])
        self.dtype = np.dtype(metadata["data_type"])
        self._fill = self.dtype.type(metadata["fill_value"])
        self._frames_per_shard = int(outer[0])
        to_bytes, *compressors = settings["codecs"]
        self._codecs = [codec["name"] for codec in compressors]
        is_ours = (
            sharding["name"] == "sharding_indexed" and settings.get("index_location", "end") == "end"
            and [codec["name"] for codec in settings["index_codecs"]] == ["bytes", "crc32c"]
            and inner == (1, *self.shape[1:]) == (1, *outer[1:]) and self._frames_per_shard > 0
            and to_bytes["name"] == "bytes" and set(self._codecs) <= set(_DECODERS)
            and to_bytes.get("configuration", {}).get("endian", "little") == "little"
            and metadata["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
            and self.dtype.kind in "iuf" and min(self.shape) > 0
        )  # fmt: skip
        self._frame_bytes = int(np.prod(self.shape[1:], dtype=object)) * self.dtype.itemsize
        if not is_ours or self._frame_bytes > MAX_FRAME_BYTES:
            raise ValueError(f"shape {self.shape}, chunks {inner} in {outer}, codecs {self._codecs}")

    def _read_frame(self, descriptor: int, name: str, number: int, local: int) -> np.ndarray:
        """Read frame `local` of shard `number`, whose open file is `descriptor`."""
        offset, size = (int(n) for n in self._read_index(descriptor, name, number)[local])
        if offset == size == _MISSING:
            return np.full(self.shape[1:], self._fill, self.dtype)
        # pread allocates what it is asked for.
        if offset + size > os.fstat(descriptor).st_size:
            raise FormatError(f"{name}: is damaged: its frame {local} should lie at {offset} to {offset + size}")
        data = os.pread(descriptor, size, offset)
        frame = np.empty(self.shape[1:], self.dtype)
        try:
            _decode(data, self._codecs, frame)
        except (RuntimeError, ValueError, TypeError) as error:
            raise FormatError(f"{name}: its frame {local} is damaged: {error}") from error
        return frame

    def _read_index(self, descriptor: int, name: str, number: int) -> np.ndarray:
        """Read offset and length of each frame of a shard, shape (n, 2); kept for the frames to come."""
        with self._lock:
            index = self._indices.get(number)
        if index is not None:
            return index
        # Two numbers of eight bytes for each frame, then the checksum.
        length = 16 * self._frames_per_shard + 4
        end = os.fstat(descriptor).st_size
        data = os.pread(descriptor, length, end - length) if end >= length else b""
        if len(data) != length or _crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise FormatError(f"{name}: is truncated or damaged: its index does not fit its checksum")
        index = np.frombuffer(data[:-4], "<u8").reshape(-1, 2)
        with self._lock:
            # Frames are read in order as a rule: those of old shards are not asked for again.
            if len(self._indices) >= _MAX_KEPT:
                self._indices.clear()
            self._indices[number] = index
        return index


def _decode(data: bytes, codecs: list[str], frame: np.ndarray) -> None:
    """Undo the one compressor, straight into `frame`; the sizes that the data state are checked first."""
    flat = frame.reshape(-1).view(np.uint8)
    if not codecs:
        if len(data) != flat.size:
            raise ValueError(f"has {len(data)} bytes, wanted {flat.size}")
        flat[:] = np.frombuffer(data, np.uint8)
        return
    if len(codecs) > 1:
        raise ValueError(f"codecs {codecs}: one is wanted")
    import imagecodecs

    if codecs == ["blosc"]:
        # Blosc's header states the sizes: bytes 4 to 8 decoded, 12 to 16 encoded.
        stated = int.from_bytes(data[4:8], "little"), int.from_bytes(data[12:16], "little")
        if stated != (flat.size, len(data)):
            raise ValueError(f"sizes {stated} stated, wanted {(flat.size, len(data))}")
        imagecodecs.blosc_decode(data, out=flat, numthreads=1)  # type: ignore[arg-type]
        return
    decoded = imagecodecs.zstd_decode(data, out=flat)  # type: ignore[arg-type]
    if len(decoded) != flat.size:
        raise ValueError(f"decodes to {len(decoded)} bytes, wanted {flat.size}")


def build_shard_name(path: str, number: int, n_dimensions: int = 4) -> str:
    """Build the name of a shard's file.

    Parameters
    ----------
    path : str
        Folder of the array.
    number : int
        Of the shard.
    n_dimensions : int
        Of the array, 4 by default; shards are cut along the first.

    Returns
    -------
    str

    Examples
    --------
    >>> build_shard_name("images.zarr/counts", 3)
    'images.zarr/counts/c/3/0/0/0'
    """
    return os.path.join(path, "c", str(number), *["0"] * (n_dimensions - 1))


def write_shard(name: str, frames: Iterable[np.ndarray], codec: Compressor, frames_per_shard: int) -> None:
    """Write a shard of frames, one after the other; it appears whole or not at all.

    Parameters
    ----------
    name : str
        Of the file; its folder is made.
    frames : iterable of ndarray
        At most `frames_per_shard`; each is encoded before the next is asked for.
    codec : Compressor
        How they are compressed.
    frames_per_shard : int
        Places in the index.
    """
    from xdp.files import atomic_output

    os.makedirs(os.path.dirname(name), exist_ok=True)
    # Frames that the last shard has no place for stay marked as missing.
    index = np.full((frames_per_shard, 2), _MISSING, np.uint64)
    at = 0
    with atomic_output(name) as part, open(part, "wb") as stream:
        for i, frame in enumerate(frames):
            data = codec.encode(frame)
            stream.write(data)
            index[i] = at, len(data)
            at += len(data)
        raw = index.astype("<u8").tobytes()
        stream.write(raw + _crc32c(raw).to_bytes(4, "little"))


@dataclass(frozen=True)
class Compressor:
    """Blosc with bit shuffling, the compressor of our stores.

    Attributes
    ----------
    name : str
        ``zstd`` (smallest) or ``lz4`` (fastest).
    level : int
        1 to 9.
    """

    name: str = "zstd"
    level: int = 3

    def encode(self, frame: np.ndarray) -> bytes:
        """Compress a frame, in one thread: frames are compressed by many threads at once."""
        import imagecodecs

        # High bits of counts are zero in most pixels; shuffled together they compress to nearly nothing.
        shuffle = imagecodecs.BLOSC.SHUFFLE.BITSHUFFLE
        pixels: Any = np.ascontiguousarray(frame)
        return bytes(imagecodecs.blosc_encode(pixels, level=self.level, compressor=self.name, shuffle=shuffle,
                                              typesize=frame.dtype.itemsize, numthreads=1))

    def describe(self, dtype: np.dtype) -> dict:
        """Describe the codec as zarr's metadata has it, for pixels of a type."""
        settings = {"typesize": dtype.itemsize, "cname": self.name, "clevel": self.level, "shuffle": "bitshuffle",
                    "blocksize": 0}
        return {"name": "blosc", "configuration": settings}


def build_array_metadata(shape: tuple[int, ...], dtype: np.dtype, frames_per_shard: int, codec: Compressor) -> dict:
    """Build the ``zarr.json`` of a sharded array of frames.

    Parameters
    ----------
    shape : tuple of int
        Of the array: (frame, panel, slow, fast).
    dtype : dtype
        Of the pixels.
    frames_per_shard : int
        Frames in one file.
    codec : Compressor
        How a frame is compressed.

    Returns
    -------
    dict
        To be written as JSON.
    """
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    sharding = {
        "chunk_shape": [1, *shape[1:]],
        "codecs": [little, codec.describe(dtype)],
        "index_codecs": [little, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [frames_per_shard, *shape[1:]]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0, "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {}, "dimension_names": ["frame", "panel", "slow", "fast"], "storage_transformers": [],
    }  # fmt: skip


def _crc32c(data: bytes) -> int:
    """The checksum CRC-32C."""
    from google_crc32c import value

    return int(value(data))
