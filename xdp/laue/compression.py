"""How arrays are compressed: gzip chunks are made and undone by the tasks themselves, the rest goes through HDF5."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from xdp.errors import OptionError

#: Level of deflate for masks and labels: on long runs of zeros zlib-ng's level 2 is six times as fast as zlib's 1.
GZIP_LEVEL = 2

# names of the filters in hdf5plugin
_PLUGINS = {"zstd": "Zstd", "lz4": "LZ4", "bitshuffle": "Bitshuffle"}


def dataset_options(compression: str) -> dict[str, Any]:
    """Arguments of ``h5py.Group.create_dataset`` for one of the compressions by name.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    if compression == "none":
        return {}
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": GZIP_LEVEL}
    if compression == "lzf":
        return {"compression": "lzf"}
    if compression in _PLUGINS:
        import hdf5plugin

        return dict(getattr(hdf5plugin, _PLUGINS[compression])())
    raise OptionError(f"compression must be gzip, lzf, none or one of {', '.join(_PLUGINS)}, got {compression!r}")


def encode(array: np.ndarray, compression: str) -> bytes | np.ndarray:
    """Encode a chunk as it will be stored.

    Parameters
    ----------
    array : ndarray
        Mostly zeros.
    compression : str

    Returns
    -------
    bytes or ndarray
        A zlib stream for ``gzip``; the array itself for other compressions, which h5py applies.
    """
    if compression != "gzip":
        return array
    return deflate(array.tobytes())


def store_rows(data, values: np.ndarray, compression: str, begin: int = 0) -> None:
    """Write rows to a dataset chunked by its first axis.

    gzip chunks are made here, by libdeflate where imagecodecs has it: on noise (unlike long runs) it is two to three
    times as fast as zlib and packs as well.

    Parameters
    ----------
    data : h5py.Dataset
    values : ndarray
    compression : str
    begin : int
        First row to be written; a chunk must begin there.
    """
    if compression != "gzip":
        data[begin:begin + len(values)] = values
        return
    step = data.chunks[0]
    for row in range(0, len(values), step):
        chunk = np.zeros(data.chunks, data.dtype)
        chunk[:len(values) - row] = values[row:row + step]
        data.id.write_direct_chunk((begin + row, *[0] * (data.ndim - 1)), _deflate_noise(chunk))


def _deflate_noise(values: np.ndarray) -> bytes:
    import imagecodecs

    if not imagecodecs.DEFLATE.available:
        return zlib.compress(values.tobytes(), GZIP_LEVEL)
    level = 1 if values.dtype.kind == "f" else 2  # 2 packs fractions no better, lists of pixels twice as well
    return bytes(imagecodecs.deflate_encode(values.tobytes(), level=level, raw=False))


def deflate(data: bytes) -> bytes:
    """A zlib stream of mostly zeros, by zlib-ng where imagecodecs has it."""
    import imagecodecs

    if imagecodecs.ZLIBNG.available:
        return bytes(imagecodecs.zlibng_encode(data, level=GZIP_LEVEL))
    return zlib.compress(data, GZIP_LEVEL)


def store(data, index: int, encoded: bytes | np.ndarray) -> None:
    """Put the result of `encode` into slice `index` of a dataset chunked by its first axis."""
    if isinstance(encoded, np.ndarray):
        data[index] = encoded
    else:
        data.id.write_direct_chunk((index, *[0] * (data.ndim - 1)), encoded)
