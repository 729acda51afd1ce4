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
def convert_hdf5_errors(path: str, what: str = "") -> Iterator[None]:
    """Turn what h5py raises over a damaged file into a FormatError with the file's name.

    Parameters
    ----------
    path : str
        The file.
    what : str
        What is said of it; "cannot be read as HDF5" by default.
    """
    try:
        yield
    except XdpError as error:
        # Ours is raised again as it is, if it names the file and stands on one line.
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

    Parameters
    ----------
    path : path
        The file.

    Yields
    ------
    h5py.File

    Raises
    ------
    FormatError
        If the file is missing, not HDF5, or truncated.
    """
    name = os.fspath(path)
    _check_beginning(name)
    with convert_hdf5_errors(name):
        # A lock may fail on network file systems, and would be in the way of a detector that still writes.
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


def decode_text(value: Any) -> str | None:
    """Decode a string of an attribute or data set.

    Parameters
    ----------
    value : object
        As h5py reads it: str, bytes or an array of one of them, by how it was written.

    Returns
    -------
    str or None
        None for anything else.

    Examples
    --------
    >>> import numpy as np
    >>> decode_text(np.array([b"NXmx"])), decode_text(1.0)
    ('NXmx', None)
    """
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return None
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else None


def read_text(group: h5py.Group, name: str) -> str | None:
    """Read the string in data set `name` of a group; None where there is none."""
    item = get_child(group, name)
    if not isinstance(item, h5py.Dataset) or item.size not in (None, 1) or item.size is None:
        return None
    return decode_text(item[()])


def read_number(group: h5py.Group, name: str) -> float | None:
    """Read a number.

    Parameters
    ----------
    group : h5py.Group
        Where it is.
    name : str
        Of the data set, or its path from the group.

    Returns
    -------
    float or None
        None where there is no such data set, or it is not one finite number.
    """
    item = get_child(group, name)
    if not isinstance(item, h5py.Dataset) or item.size != 1 or item.dtype.kind not in "iufb":
        return None
    value = float(np.asarray(item[()]).reshape(-1)[0])
    return value if np.isfinite(value) else None


def read_stated_number(group: h5py.Group, name: str) -> float | None:
    """Read a number that counts where it is stated: one that cannot be read is not as if it were absent.

    Parameters
    ----------
    group : h5py.Group
        Where it is.
    name : str
        Of the data set, or its path from the group. Text that is a number is one, and so are equal numbers.

    Returns
    -------
    float or None
        None where there is no such data set, or an empty one.

    Raises
    ------
    FormatError
        If there is one, and it is no finite number.
    """
    item = get_child(group, name)
    if not isinstance(item, h5py.Dataset) or not item.size:
        return None
    # a complex number is none: float() would take its real part, with a warning only
    is_readable = item.size <= MAX_TEXT and item.dtype.kind != "c"
    values = np.asarray(item[()]).reshape(-1) if is_readable else np.zeros(0)
    try:
        numbers = np.array([float(decode_text(v) or "") if isinstance(v, bytes | str) else float(v) for v in values])
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.size == 0 or not np.isfinite(numbers).all() or (numbers != numbers[0]).any():
        raise FormatError(f"{group.file.filename}: {item.name} must be one finite number, it is {_show(item)}")
    return float(numbers[0])


def _show(dataset: h5py.Dataset) -> str:
    """A data set in a message: its value if it is one, else type and shape."""
    if dataset.size == 1:
        value = np.asarray(dataset[()]).reshape(-1)[0]
        return repr(decode_text(value) if isinstance(value, bytes | str) else value.item())
    return f"{dataset.dtype} of shape {dataset.shape}"


def get_child(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """Get what a name leads to from a group.

    Parameters
    ----------
    group : h5py.Group
        Where to look.
    name : str
        Of a group or data set, or its path from the group.

    Returns
    -------
    h5py.Group, h5py.Dataset or None
        None where there is nothing, or a link leads nowhere.

    Raises
    ------
    FormatError
        If it is a data set that :func:`check_storage` refuses.
    """
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


def read_nx_class(item: Any) -> str | None:
    """Read the NeXus class of a group; None for anything else."""
    return decode_text(item.attrs.get("NX_class")) if isinstance(item, h5py.Group) else None


def list_children_of_class(group: h5py.Group, name: str) -> list[h5py.Group]:
    """List the groups of NeXus class `name` directly in a group, in the order of their names."""
    items = (get_child(group, key) for key in group)
    return [item for item in items if read_nx_class(item) == name]


def find_external_file(group: h5py.Group, name: str) -> str | None:
    """Find the file that an external link leads to; None where `name` is no external link."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.ExternalLink):
        return None
    return locate_data_file(group.file.filename, link.filename)


def locate_data_file(master: str, name: str) -> str:
    """Locate the file to which a link leads, as the HDF5 library looks for it.

    Parameters
    ----------
    master : str
        The file with the link, which may be a symbolic link itself.
    name : str
        As the link has it: relative to the folder of the master file, or absolute. A file that is not where an
        absolute name says may lie beside the master file.

    Returns
    -------
    str
        The first place where there is a file; without any, the first place at all.
    """
    folders = [os.path.dirname(master), os.path.dirname(os.path.realpath(master))]
    places = [os.path.join(folder, name) for folder in folders]
    if os.path.isabs(name):
        places += [os.path.join(folder, os.path.basename(name)) for folder in folders]
    return next((place for place in places if os.path.exists(place)), places[0])


def explain_missing(group: h5py.Group, name: str) -> str:
    """Explain why a data set cannot be reached.

    Parameters
    ----------
    group : h5py.Group
        Where it should be.
    name : str
        Of the data set.

    Returns
    -------
    str
        The message for a FormatError, without the name of the master file.
    """
    target = find_external_file(group, name)
    if target is None:
        return f"has no data set {group.name}/{name}"
    if not os.path.exists(target):
        return f"its data file {target} is missing ({group.name}/{name} leads there): put it beside the master file"
    return f"{group.name}/{name} cannot be found in its data file {target}"
