"""Masks and maps of pixels in files: pickles of DIALS and cctbx, read without unpickling, and NumPy files.

DIALS keeps a mask as a pickled tuple of flex.bool (one a panel), a gain map or pedestal as flex.double, and cctbx a
dark image as a dict with its pixels under ``DATA``.
"""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.files import atomic_output, open_input
from xdp.images.formats.limits import MAX_INFLATED_BYTES

MAX_FILE_BYTES = 4 * 2**30
"""Files beyond this size (bytes) are refused: a mask of a 16M detector takes 16 MB, a map of doubles up to 180 MB."""


# A double takes at most 11: a byte of length and 7 digits (53 bits), a byte of length and 2 of the exponent.
_MAX_DOUBLE_BYTES = 14


def read_flex_pickle(path: str | os.PathLike) -> Any:
    """Read a pickle of flex arrays, or a NumPy file; nothing in it is executed.

    Parameters
    ----------
    path : path
        Pickle, ``.npy`` or ``.npz``, told apart by their first bytes.

    Returns
    -------
    object
        NumPy arrays (slow, fast) in the tuples, lists and dicts of a pickle. A ``.npy`` file gives an array (2-D) or a
        tuple of them (3-D: panel, slow, fast), an ``.npz`` file a tuple of its arrays in their order.

    Raises
    ------
    FormatError
        If it is damaged, or holds anything but arrays, numbers, text, tuples, lists and dicts.
    XdpError
        If it cannot be read.
    """
    path = Path(path)
    try:
        with open_input(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise FormatError(f"{path}: a mask or map of at most {MAX_FILE_BYTES >> 30} GiB expected")
            head = file.read(6)
        if head.startswith((b"\x93NUMPY", b"PK\x03\x04")):
            return _read_numpy(path)
        from xdp.images.masks.flexpickle import load_flex

        return load_flex(path.read_bytes(), str(path))
    except OSError as error:
        raise XdpError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_maps(path: str | os.PathLike) -> tuple[np.ndarray, ...]:
    """Read the arrays of a mask, map or dark file.

    Parameters
    ----------
    path : path
        A file that :func:`read_flex_pickle` reads.

    Returns
    -------
    tuple of (slow, fast) array
        One a panel.

    Raises
    ------
    FormatError
        If it is damaged, or holds anything but one two-dimensional array a panel.
    XdpError
        If it cannot be read.
    """
    value = read_flex_pickle(path)
    # A dark image of cctbx: its pixels stand beside the experiment's distance, wavelength and such.
    if isinstance(value, dict):
        value = value.get("DATA", value)
    panels = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not panels or not all(isinstance(panel, np.ndarray) and panel.ndim == 2 for panel in panels):
        raise FormatError(f"{path}: one two-dimensional array a panel expected, got {_describe(panels)}")
    return panels


def write_mask_pickle(path: str | os.PathLike, masks: Sequence[np.ndarray]) -> None:
    """Write masks as the tuple of flex.bool that DIALS reads.

    Parameters
    ----------
    path : path
        The file.
    masks : sequence of (slow, fast) bool
        One a panel, True where the pixel is good.

    Raises
    ------
    ValueError
        If an array is not bool or not two-dimensional.
    XdpError
        If the file cannot be written.
    """
    for mask in masks:
        if np.asarray(mask).dtype != np.bool_:
            raise ValueError(f"a mask must be of true and false, got {np.asarray(mask).dtype}")
    _write(path, _encode_tuple([_encode_array("bool", mask) for mask in masks]))


def write_map_pickle(path: str | os.PathLike, maps: Sequence[np.ndarray]) -> None:
    """Write maps (gain, pedestal) as the tuple of flex.double that DIALS reads.

    Parameters
    ----------
    path : path
        The file.
    maps : sequence of (slow, fast) array
        One a panel.

    Raises
    ------
    ValueError
        If an array is not two-dimensional, or not finite throughout.
    XdpError
        If the file cannot be written.
    """
    _write(path, _encode_tuple(_encode_double_arrays("map", maps)))


def write_background_pickle(path: str | os.PathLike, images: Sequence[np.ndarray]) -> None:
    """Write a background as the ``StaticBackgroundModel`` that DIALS reads.

    Parameters
    ----------
    path : path
        The file.
    images : sequence of (slow, fast) array
        Counts of the background, one array a panel.

    Raises
    ------
    ValueError
        If an array is not two-dimensional, or not finite throughout.
    XdpError
        If the file cannot be written.
    """
    from xdp.images.masks.flexpickle import BACKGROUND_MODEL

    # The model's type called without arguments, then BUILD with its state: a tuple of one list of images.
    empty = b"c" + "\n".join(BACKGROUND_MODEL).encode() + b"\n)R"
    panels = b"(" + b"".join(_encode_double_arrays("background", images)) + b"l"
    _write(path, empty + _encode_tuple([panels]) + b"b")


def write_dictionary_pickle(path: str | os.PathLike, values: Mapping[str, Any]) -> None:
    """Write a dictionary of numbers, texts and arrays as cctbx reads it, such as an image with its header.

    Parameters
    ----------
    path : path
        The file.
    values : mapping of str to value
        None, whole numbers, floats, text, and arrays: whole numbers become flex.int, others flex.double.

    Raises
    ------
    ValueError
        If a value is of another kind, or an array is not finite or beyond 32 bits.
    XdpError
        If the file cannot be written.
    """
    items = b"".join(_encode_value(key) + _encode_value(value) for key, value in values.items())
    _write(path, b"}(" + items + b"u")


def _encode_value(value: Any) -> bytes:
    """Opcodes that build a value."""
    if value is None:
        return b"N"
    if isinstance(value, np.ndarray):
        return _encode_flex(value)
    if isinstance(value, bool | np.bool_):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int | np.integer):
        digits = int(value).to_bytes((int(value).bit_length() + 8) // 8, "little", signed=True)
        return b"\x8a" + bytes([len(digits)]) + digits
    if isinstance(value, float | np.floating):
        return b"G" + struct.pack(">d", float(value))
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return b"X" + struct.pack("<I", len(text)) + text
    raise ValueError(f"a number, text or array was expected, got {type(value).__name__}")


def _encode_flex(values: np.ndarray) -> bytes:
    """Opcodes that build a flex array of any number of dimensions: whole numbers, or floating ones."""
    if values.dtype.kind in "iu":
        if values.size and (values.min() < -(2**31) or values.max() >= 2**31):
            raise ValueError("whole numbers must fit into 32 bits")
        kind, numbers = "int", _encode_integers(values)
    else:
        if not np.isfinite(values).all():
            raise ValueError("an array must be finite throughout")
        kind, numbers = "double", _encode_doubles(values)
    numbers = _encode_count(values.size) + numbers
    head = b"B" + struct.pack("<I", len(numbers)) if len(numbers) < 2**32 else b"\x8e" + struct.pack("<Q", len(numbers))
    return _encode_call(kind, b")") + _encode_tuple([_encode_grid(values.shape), head + numbers]) + b"b"


def _encode_integers(values: np.ndarray) -> bytes:
    """Whole numbers as flex pickles have them: 1 + m (plus 128 if negative), then m bytes of magnitude."""
    flat = np.ascontiguousarray(values).reshape(-1).astype(np.int64)
    magnitude = np.abs(flat)
    n_bytes = np.sum([magnitude >= 1 << (8 * k) for k in range(4)], axis=0)
    table = np.empty((flat.size, 5), np.uint8)
    table[:, 0] = np.where(flat == 0, 0, 1 + n_bytes) + np.where(flat < 0, 128, 0)
    for k in range(4):
        table[:, 1 + k] = (magnitude >> (8 * k)) & 255
    # Each row as far as its number goes.
    return table[np.arange(5)[None, :] <= n_bytes[:, None]].tobytes()


def _read_numpy(path: Path) -> np.ndarray | tuple[np.ndarray, ...]:
    """Read the arrays of a .npy or .npz file; NumPy is told to read no pickled objects."""
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r")
        if isinstance(loaded, np.ndarray):
            # Mapped first: the size that the header announces is compared with the file's before memory is taken.
            array = np.array(loaded)
            return tuple(array) if array.ndim == 3 else array
        with loaded:
            # Members are compressed: a small file could hold more than fits into memory.
            if sum(member.file_size for member in loaded.zip.infolist()) > MAX_INFLATED_BYTES:
                raise ValueError(f"its arrays take more than {MAX_INFLATED_BYTES >> 30} GiB")
            arrays = tuple(loaded[key] for key in loaded.files)
            if not all(isinstance(array, np.ndarray) for array in arrays):
                raise ValueError("it holds something that is no array")
            return arrays
    except (ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, SyntaxError,
            tokenize.TokenError) as error:
        raise FormatError(f"{path}: not a sound NumPy file: {error}") from error


def _describe(panels: tuple) -> str:
    """What came instead of arrays, for the message."""
    kinds = [f"{p.dtype} {p.shape}" if isinstance(p, np.ndarray) else type(p).__name__ for p in panels[:3]]
    return ", ".join(kinds) or "nothing"


def _write(path: str | os.PathLike, pickled: bytes) -> None:
    """One pickle of protocol 3 (any Python 3 reads it, and it stores bytes as such)."""
    with atomic_output(path) as part:
        part.write_bytes(b"\x80\x03" + pickled + b".")


def _encode_array(kind: str, values: np.ndarray) -> bytes:
    """Opcodes that build a flex array: its type called, then BUILD with (grid, numbers)."""
    values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(f"one two-dimensional array a panel is needed, got shape {values.shape}")
    numbers = _encode_count(values.size) + (_encode_truths(values) if kind == "bool" else _encode_doubles(values))
    # BINBYTES has 32 bits for the length, BINBYTES8 64.
    head = b"B" + struct.pack("<I", len(numbers)) if len(numbers) < 2**32 else b"\x8e" + struct.pack("<Q", len(numbers))
    return _encode_call(kind, b")") + _encode_tuple([_encode_grid(values.shape), head + numbers]) + b"b"


def _encode_double_arrays(what: str, images: Sequence[np.ndarray]) -> list[bytes]:
    """Opcodes that build a flex array of each image, which must be finite."""
    if not all(np.isfinite(values).all() for values in images):
        raise ValueError(f"a {what} must be finite throughout")
    return [_encode_array("double", values) for values in images]


def _encode_call(name: str, arguments: bytes) -> bytes:
    """GLOBAL, arguments, REDUCE."""
    return b"cscitbx_array_family_flex_ext\n" + name.encode() + b"\n" + arguments + b"R"


def _encode_grid(shape: tuple[int, ...]) -> bytes:
    """A grid from 0 to `shape` (open), its focus the same."""
    last = _encode_tuple([b"J" + struct.pack("<i", extent) for extent in shape])
    first = _encode_tuple([b"K\x00"] * len(shape))
    return _encode_call("grid", _encode_tuple([first, last, b"\x88"])) + last + b"b"


def _encode_tuple(items: Sequence[bytes]) -> bytes:
    """MARK, items, TUPLE."""
    return b"(" + b"".join(items) + b"t"


def _encode_count(number: int) -> bytes:
    """A whole number as flex pickles have it: 1 + m, then m bytes."""
    digits = number.to_bytes((number.bit_length() + 7) // 8, "little")
    return bytes([len(digits) + 1 if digits else 0]) + digits


def _encode_truths(values: np.ndarray) -> bytes:
    """Truth values as the characters 1 and 0."""
    return np.where(values, np.uint8(ord("1")), np.uint8(ord("0"))).tobytes()


def _encode_doubles(values: np.ndarray) -> bytes:
    """Floating numbers in base 256."""
    from xdp.images.masks._kernels import encode_floats

    flat = np.ascontiguousarray(values, np.float64).reshape(-1)
    out = np.empty(_MAX_DOUBLE_BYTES * len(flat), np.uint8)
    return out[: encode_floats(flat, out)].tobytes()
