"""How arrays of the output are compressed: gzip chunks are made by the tasks themselves, the rest goes through HDF5."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.errors import OptionError

#: Level of deflate: masks and labels are mostly zeros, on which higher levels gain little.
GZIP_LEVEL = 1

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
    """The bytes of a gzip chunk that holds `array`; the array itself for other compressions."""
    if compression != "gzip":
        return array
    import imagecodecs

    return bytes(imagecodecs.deflate_encode(array.tobytes(), level=GZIP_LEVEL, raw=False))


def store(data, index: int, encoded: bytes | np.ndarray) -> None:
    """Put the result of `encode` into slice `index` of a dataset chunked by its first axis."""
    if isinstance(encoded, np.ndarray):
        data[index] = encoded
    else:
        data.id.write_direct_chunk((index, *[0] * (data.ndim - 1)), encoded)
