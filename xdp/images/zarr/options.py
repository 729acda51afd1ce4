"""Parameters of :func:`xdp.images.zarr.convert.convert`."""

from __future__ import annotations

from typing import Literal

from xdp.options import AUTO, Auto, FilePath, Options, option


class ConvertOutput(Options):
    """Where the store goes."""

    store: FilePath = option("images.zarr", "The store, a folder; -o NAME is short for it", file="output")
    log: FilePath | None = option(
        "xdp.convert.log", "File for the messages that are also on the screen; None: no file.", file="output")


class Compression(Options):
    """How frames are compressed: Blosc with bit shuffling."""

    name: Literal["zstd", "lz4"] = option("zstd", "zstd makes small stores, lz4 fast ones")
    level: int = option(3, "1 (fast) to 9 (small)", ge=1, le=9)


class ConvertOptions(Options):
    """Parameters of xdp convert."""

    output: ConvertOutput = option(ConvertOutput(), "")
    frames_per_shard: int | Auto = option(
        AUTO, "Frames in one file of the store; Auto: what fits into 256 MiB of pixels, at most 100", ge=1)
    compression: Compression = option(Compression(), "")
    nproc: int = option(1, "Number of threads", ge=1)
