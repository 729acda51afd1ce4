"""The other files that an HDF5 file takes its data from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import h5py

from xdp.errors import XdpError
from xdp.files import open_input
from xdp.images.formats.hdf5.files import SIGNATURE, locate_data_file, open_hdf5

# What h5py raises over a damaged file.
_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)


def list_linked_files(path: str) -> list[str]:
    """List the files that an HDF5 file takes its data from.

    Parameters
    ----------
    path : str
        The file. One of another kind has no such files, nor has one that is damaged.

    Returns
    -------
    list of str
        Files to which its external links, virtual data sets and external storage lead, and theirs in turn.
    """
    # Files may link to each other: each is looked at once.
    found: dict[str, None] = {}
    waiting = [path]
    while waiting:
        for file in _list_links(waiting.pop()):
            if file not in found and os.path.isfile(file):
                found[file] = None
                waiting.append(file)
    return list(found)


def _list_links(path: str) -> list[str]:
    """Where the links of one file lead, whether or not something is there."""
    try:
        with open_input(path) as stream:
            if stream.read(len(SIGNATURE)) != SIGNATURE:
                return []
        with open_hdf5(path) as file:
            return [_spell_as_given(path, name) for name in _iterate_names(file)]
    except (*_ERRORS, XdpError):
        return []


def _spell_as_given(path: str, name: str) -> str:
    """Where a link leads, spelled as the user spelled the master file: messages name it so."""
    beside = os.path.join(os.path.dirname(path), name)
    return beside if os.path.exists(beside) else locate_data_file(path, name)


def _iterate_names(group: h5py.Group) -> Iterator[str]:
    """Names of other files in a group and all that is below it, as they stand in the file."""
    for name in group:
        with contextlib.suppress(*_ERRORS):
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield link.filename
            elif isinstance(link, h5py.HardLink):
                item = group[name]
                yield from _iterate_names(item) if isinstance(item, h5py.Group) else _iterate_storage(item)


def _iterate_storage(item: h5py.Dataset) -> Iterator[str]:
    """Files in which a data set's values lie."""
    if not isinstance(item, h5py.Dataset):
        return
    if item.is_virtual:
        yield from (source.file_name for source in item.virtual_sources() if source.file_name != ".")
    yield from (name for name, _, _ in item.external or ())
