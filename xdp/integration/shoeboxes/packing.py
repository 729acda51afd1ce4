"""Pixels in few bytes, for the files of the work folder: most counts are small whole numbers, most pixels are good.

What does not fit is kept beside the rest, so nothing is lost. Boxes of a counting detector take a fifth of the space
of float32 and a byte of mask.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xdp.integration.shoeboxes._kernels_packing import shorten

MOST_STRAYS = 0.125
"""Where a larger share of the numbers does not fit, all are kept as they are. A choice: one in eight, each with four
bytes of index and four of number beside its one, costs as much as two bytes for all."""


def pack_counts(values: np.ndarray, prefix: str) -> dict[str, np.ndarray]:
    """Counts as named arrays: as uint8 or uint16, and those that do not fit.

    Parameters
    ----------
    values : array
        Of any shape and type of number.
    prefix : str
        Begins the names.

    Examples
    --------
    >>> packed = pack_counts(np.array([3.0] * 8 + [700.0], np.float32), "data.")
    >>> packed["data.short"].dtype.name, packed["data.strays"].tolist()
    ('uint8', [700.0])
    >>> unpack_counts(packed, "data.", 7, 9).tolist()
    [3.0, 700.0]
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    for kind in (np.uint8, np.uint16):
        short = np.empty(len(flat), kind)
        escape = np.iinfo(kind).max  # stands for numbers that do not fit, and so does not fit itself
        shorten(flat, kind(escape), short)
        at = np.flatnonzero(short == escape)
        if len(at) <= MOST_STRAYS * len(flat):
            return {f"{prefix}short": short.reshape(values.shape), f"{prefix}at": _shorten_index(at, flat),
                    f"{prefix}strays": flat[at]}
    return {f"{prefix}as_is": _copy_part(values)}


def unpack_counts(arrays: Mapping[str, np.ndarray], prefix: str, first: int = 0, last: int | None = None) -> np.ndarray:
    """The inverse of :func:`pack_counts`; -0.0 comes back as 0.0.

    Parameters
    ----------
    arrays, prefix
        As :func:`pack_counts` gave and took them.
    first, last : int
        Only these of flat counts, `last` not among them; all if not given.
    """
    if f"{prefix}as_is" in arrays:
        return arrays[f"{prefix}as_is"][first:last]
    strays = arrays[f"{prefix}strays"]
    values = arrays[f"{prefix}short"][first:last].astype(strays.dtype)
    _put_back(values.reshape(-1), arrays, prefix, first, last)
    return values


def _put_back(values: np.ndarray, arrays: Mapping[str, np.ndarray], prefix: str, first: int, last: int | None) -> None:
    """Put what did not fit where it was."""
    at = arrays[f"{prefix}at"]
    start, stop = (0, len(at)) if last is None else np.searchsorted(at, np.array([first, last], at.dtype)).tolist()
    values[at[start:stop] - at.dtype.type(first)] = arrays[f"{prefix}strays"][start:stop]


def pack_mask(mask: np.ndarray, usual: int, prefix: str) -> dict[str, np.ndarray]:
    """A mask as named arrays: where it is not `usual`, and what it is there.

    Parameters
    ----------
    mask : (n,) uint8
    usual : int
        The code that most pixels have.
    prefix : str
        Begins the names.

    Examples
    --------
    >>> packed = pack_mask(np.array([1, 1, 1, 1, 1, 1, 1, 1, 0], np.uint8), 1, "mask.")
    >>> packed["mask.at"].tolist(), unpack_mask(packed, "mask.", 6).tolist()
    ([8], [1, 1, 0])
    """
    at = np.flatnonzero(mask != usual)
    if len(at) > MOST_STRAYS * len(mask):
        return {f"{prefix}as_is": _copy_part(mask)}
    return {f"{prefix}size": np.array([len(mask), usual]), f"{prefix}at": _shorten_index(at, mask),
            f"{prefix}strays": mask[at]}


def unpack_mask(arrays: Mapping[str, np.ndarray], prefix: str, first: int = 0, last: int | None = None) -> np.ndarray:
    """The inverse of :func:`pack_mask`.

    Parameters
    ----------
    arrays, prefix
        As :func:`pack_mask` gave and took them.
    first, last : int
        Only these pixels, `last` not among them; all if not given.

    Returns
    -------
    (n,) uint8
    """
    if f"{prefix}as_is" in arrays:
        return arrays[f"{prefix}as_is"][first:last]
    size, usual = arrays[f"{prefix}size"].tolist()
    mask = np.full((size if last is None else last) - first, usual, arrays[f"{prefix}strays"].dtype)
    _put_back(mask, arrays, prefix, first, last)
    return mask


def _copy_part(values: np.ndarray) -> np.ndarray:
    """An array that keeps no larger one in memory of which it is a part."""
    return values if values.base is None else values.copy()


def _shorten_index(at: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Places in an array, in the fewest bytes that hold them."""
    return at.astype(np.uint32) if len(whole) < 1 << 32 else at
