"""HDF5 files, opened and asked with care: every failure becomes a FormatError that names the file.

libhdf5 itself trusts a file's own structure, so what can be checked before it is asked is checked: the signature, and
that the file is not shorter than its superblock says.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.files import open_input

#: Environment variable by which users let data sets take their values from plain files.
EXTERNAL_VARIABLE = "XDP_HDF5_EXTERNAL"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_TEXT = 1 << 16
"""Longest attribute that is read, in bytes; HDF5 itself keeps attributes below 64 KiB."""


@contextlib.contextmanager
def hdf5_errors(path: str, what: str = "") -> Iterator[None]:
    """Turn what h5py raises over a damaged file into a FormatError with the file's name."""
    try:
        yield
    except XdpError as error:
        message = " ".join(str(error).split())
        if path in message and message == str(error):
            raise
        raise FormatError(message if path in message else f"{path}: {message}") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, UnicodeError, OverflowError,
            AttributeError, IndexError, NotImplementedError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"{path}: {what or 'cannot be read as HDF5'}: {reason}") from error


@contextlib.contextmanager
def open_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without locking it: a detector may still be writing beside us.

    Raises
    ------
    FormatError
        If the file is missing, not HDF5, or truncated.
    """
    name = os.fspath(path)
    _check_beginning(name)
    with hdf5_errors(name):
        handle = h5py.File(name, "r", locking=False)
    try:
        yield handle
    finally:
        handle.close()


def _check_beginning(name: str) -> None:
    """The signature stands at byte 0 (detectors write no user block); h5py's own message for it is cryptic."""
    try:
        with open_input(name) as stream:
            head = stream.read(len(SIGNATURE))
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error
    if head != SIGNATURE:
        raise FormatError(f"{name}: not an HDF5 file: begins with {head!r}, wanted {SIGNATURE!r}")


def text(value: Any) -> str | None:
    """A string attribute or data set's value as str, whatever way it was written; None for anything else."""
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return None
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else None


def text_of(group: h5py.Group, name: str) -> str | None:
    """The string in data set `name` of a group, None where there is none."""
    item = child(group, name)
    if not isinstance(item, h5py.Dataset) or item.size not in (None, 1) or item.size is None:
        return None
    return text(item[()])


def number_of(group: h5py.Group, name: str) -> float | None:
    """The one number in data set `name` of a group, None where there is none or it is no finite number."""
    item = child(group, name)
    if not isinstance(item, h5py.Dataset) or item.size != 1 or item.dtype.kind not in "iufb":
        return None
    value = float(np.asarray(item[()]).reshape(-1)[0])
    return value if np.isfinite(value) else None


def child(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What `name` leads to from a group, None where there is nothing or its link leads nowhere; see `check_storage`."""
    try:
        item = group.get(name)
    except (KeyError, OSError, RuntimeError, ValueError):
        return None
    if isinstance(item, h5py.Dataset):
        check_storage(item)
    return item


def check_storage(dataset: h5py.Dataset) -> None:
    """Refuse a data set whose values lie in a plain file outside of HDF5, which may be any file of the user.

    Links to other HDF5 files, as master files have them, are followed: what they lead to was made to be read as HDF5.

    Raises
    ------
    FormatError
        Unless the environment variable :data:`EXTERNAL_VARIABLE` is ``allow``.
    """
    if dataset.external and os.environ.get(EXTERNAL_VARIABLE) != "allow":
        raise FormatError(f"{dataset.file.filename}: the values of {dataset.name} lie in the plain file "
                          f"{dataset.external[0][0]} (external storage), which could be any file of yours; if that is "
                          f"meant, set the environment variable {EXTERNAL_VARIABLE}=allow")


def nx_class(item: Any) -> str | None:
    """The NeXus class of a group."""
    return text(item.attrs.get("NX_class")) if isinstance(item, h5py.Group) else None


def children_of_class(group: h5py.Group, name: str) -> list[h5py.Group]:
    """The groups of NeXus class `name` directly in a group, in the order of their names."""
    items = (child(group, key) for key in group)
    return [item for item in items if nx_class(item) == name]


def external_file(group: h5py.Group, name: str) -> str | None:
    """The file that an external link leads to, None where `name` is no external link."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.ExternalLink):
        return None
    folder = os.path.dirname(os.path.abspath(group.file.filename))
    return os.path.join(folder, link.filename)


def explain_missing(group: h5py.Group, name: str) -> str:
    """Why a data set cannot be reached: the message, without the master file's name, for a FormatError."""
    target = external_file(group, name)
    if target is None:
        return f"has no data set {group.name}/{name}"
    if not os.path.exists(target):
        return f"its data file {target} is missing ({group.name}/{name} leads there): put it beside the master file"
    return f"{group.name}/{name} cannot be found in its data file {target}"
