"""Undoing HDF5's filter pipelines outside HDF5, so that many threads can: bit shuffling, LZ4, deflate, shuffle, zstd.

What :func:`find_pipeline` does not know is left to h5py, which holds one lock over all threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from xdp.images.buffers import take_buffer
from xdp.images.formats.hdf5 import _kernels as kernels

# Numbers of filters: HDF5's own, and those that the HDF Group has registered.
_DEFLATE, _SHUFFLE = 1, 2
_LZ4, _BITSHUFFLE, _ZSTD = 32004, 32008, 32015
# The compressor of bit shuffling, as its filter names it.
_BITSHUFFLE_LZ4 = 2
_PIXEL_SIZES = (1, 2, 4)
"""Bytes of the pixels whose bits can be unshuffled here."""


@dataclass(frozen=True)
class Pipeline:
    """The filters of a data set in the order they were applied; decodes its chunks.

    Attributes
    ----------
    filters : tuple of int
        HDF5's filter numbers.
    dtype : dtype
        Of the pixels, as stored.
    shape : tuple of int
        Of a chunk.
    """

    filters: tuple[int, ...]
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def is_deflated(self) -> bool:
        """Whether chunks are deflated, the slowest of the filters to undo."""
        return _DEFLATE in self.filters

    def decode(self, chunk: bytes, skipped: int = 0, out: np.ndarray | None = None) -> np.ndarray:
        """Decode a raw chunk.

        Parameters
        ----------
        chunk : bytes
            As it lies in the file.
        skipped : int, default 0
            Bit i says that filter i was left out when the chunk was written.
        out : array, optional
            Where it is decoded to: C-contiguous, of the shape and type of a chunk; by default a new array.

        Raises
        ------
        ValueError
            If the chunk is damaged, with what is wrong.
        """
        pixels = take_buffer(math.prod(self.shape), self.dtype).reshape(self.shape) if out is None else out
        flat = pixels.reshape(-1)
        # The filter that was applied last is undone first; shuffling, which can only have been the first, writes to
        # `flat` itself.
        todo = [f for i, f in enumerate(self.filters) if not skipped >> i & 1]
        data = np.frombuffer(chunk, np.uint8)
        while todo and todo != [_BITSHUFFLE] and todo != [_SHUFFLE]:
            data = _DECODERS[todo.pop()](data, flat.nbytes)
        if todo == [_BITSHUFFLE]:
            _undo_bitshuffle(data, flat)
        elif todo == [_SHUFFLE] and self.dtype.itemsize > 1:
            _check_size(data.size, flat.nbytes)
            _unshuffle_bytes(data, flat)
        else:
            _check_size(data.size, flat.nbytes)
            flat.view(np.uint8)[:] = data
        return pixels


def find_pipeline(dataset: h5py.Dataset, shape: Sequence[int]) -> Pipeline | None:
    """Find the pipeline of a data set whose chunks have some shape; None where h5py must decode filters or pixels."""
    if dataset.dtype.kind not in "iuf" or dataset.dtype.itemsize not in (1, 2, 4, 8):
        return None
    properties = dataset.id.get_create_plist()
    filters = []
    for i in range(properties.get_nfilters()):
        number, _, values, _ = properties.get_filter(i)
        if not _is_known(number, values, dataset.dtype.itemsize, i):
            return None
        filters.append(number)
    if _BITSHUFFLE in filters and len(filters) > 1:
        return None
    return Pipeline(tuple(filters), dataset.dtype, tuple(shape))


def _is_known(number: int, values: Sequence[int], itemsize: int, position: int) -> bool:
    """Whether a filter can be undone here: its number and values, bytes of a pixel, place in the pipeline."""
    if number == _BITSHUFFLE:
        # Values: version (two), element size, block size (0: default), compressor.
        return position == 0 and itemsize in _PIXEL_SIZES and len(values) >= 5 and values[4] == _BITSHUFFLE_LZ4
    if number == _SHUFFLE:
        return position == 0
    return number in _DECODERS


def _unsigned(dtype: np.dtype) -> np.dtype:
    """The unsigned type of the same width: kernels see bits only."""
    return np.dtype(f"u{dtype.itemsize}")


def _check_size(size: int, wanted: int) -> None:
    """Refuse data that decode to too many or too few bytes."""
    if size != wanted:
        raise ValueError(f"{wanted} bytes expected, {size} came")


def _unshuffle_bytes(data: np.ndarray, flat: np.ndarray) -> None:
    """Put together numbers whose first bytes come first, then all second bytes, ..."""
    if flat.itemsize == 8:
        flat.view(np.uint8).reshape(-1, 8)[...] = data.reshape(8, -1).T
    else:
        kernels.byte_unshuffle(data, flat.view(_unsigned(flat.dtype)))


def _read_header(data: np.ndarray, nbytes: int, what: str) -> int:
    """Read the 12 bytes that HDF5's LZ4 filters put first (total and block size, big endian); give the block size."""
    if data.size < 12:
        raise ValueError(f"its {what} chunk has {data.size} bytes, at least 12 wanted")
    total, block = int.from_bytes(data[:8].tobytes(), "big"), int.from_bytes(data[8:12].tobytes(), "big")
    if total != nbytes:
        raise ValueError(f"its {what} chunk claims {total} bytes, wanted {nbytes}")
    return block


def _undo_bitshuffle(data: np.ndarray, flat: np.ndarray) -> None:
    """Undo bit shuffling with LZ4, into `flat`."""
    block_bytes = _read_header(data, flat.nbytes, "bitshuffle")
    block = block_bytes // flat.itemsize
    # The kernel has memory for one block: a damaged file must not claim a larger one than a chunk (or 65536 pixels).
    if block < 8 or block % 8 or block > max(flat.size, 1 << 16):
        raise ValueError(f"its bitshuffle blocks have {block} pixels, a multiple of 8 wanted")
    status = kernels.bitshuffle_lz4(data, 12, block, flat.view(_unsigned(flat.dtype)))
    _check_status(status)


def _decode_lz4(data: np.ndarray, nbytes: int) -> np.ndarray:
    """Decode HDF5's LZ4 filter to `nbytes` bytes."""
    block = _read_header(data, nbytes, "LZ4")
    if block < 1:
        raise ValueError("its LZ4 blocks have no bytes")
    output = take_buffer(nbytes, np.uint8)
    _check_status(kernels.lz4_stream(data, 12, min(block, nbytes), output))
    return output


def _check_status(status: int) -> None:
    """Raise what a kernel's status says."""
    if status == kernels.BAD_LENGTH:
        raise ValueError("a compressed chunk ends early")
    if status != kernels.OK:
        raise ValueError("a compressed block is damaged")


def _make_decoder(name: str, fallback: str = "") -> Callable[[np.ndarray, int], np.ndarray]:
    """Make a decoder of imagecodecs, imported when it is needed; it writes no more than the bytes wanted.

    Where imagecodecs was built without it, that named `fallback` takes its place.
    """

    def decode(data: np.ndarray, nbytes: int) -> np.ndarray:
        import imagecodecs

        is_there = not fallback or getattr(imagecodecs, name.upper()).available
        output = take_buffer(nbytes, np.uint8)
        try:
            decoded = getattr(imagecodecs, f"{name if is_there else fallback}_decode")(data.tobytes(), out=output)
        except (RuntimeError, ValueError, TypeError) as error:
            raise ValueError(f"its {name} data are damaged: {error}") from error
        _check_size(np.frombuffer(decoded, np.uint8).size, nbytes)
        return output

    return decode


# By the filter's number: compressed bytes and the number of bytes wanted to the bytes.
_DECODERS: dict[int, Callable[[np.ndarray, int], np.ndarray]] = {
    _DEFLATE: _make_decoder("deflate", "zlib"),
    _LZ4: _decode_lz4,
    _ZSTD: _make_decoder("zstd"),
}
