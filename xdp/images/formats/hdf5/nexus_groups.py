"""Which groups of a NeXus file are meant: entry, data and detector, where there are several.

References
----------
NeXus manual, "Find the plottable data", https://manual.nexusformat.org/datarules.html; application definition NXmx,
https://manual.nexusformat.org/classes/applications/NXmx.html.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.data import DATA_FILE
from xdp.images.formats.hdf5.files import decode_text, get_child, list_children_of_class, read_nx_class, read_text
from xdp.images.formats.hdf5.nexus_axes import locate


def is_nxmx(item: Any) -> bool:
    """Whether something is an entry whose definition is NXmx."""
    return read_nx_class(item) == "NXentry" and read_text(item, "definition") == "NXmx"


def find_entry(handle: h5py.File) -> h5py.Group:
    """Find the entry that follows NXmx: the file's default, if that does, else the first.

    Raises
    ------
    FormatError
        If there is none.
    """
    for key in _put_default_first(handle, list(handle)):
        if is_nxmx(item := get_child(handle, key)):
            return item
    raise FormatError(f"{handle.filename}: has no entry whose definition is NXmx")


def find_first(group: h5py.Group, kind: str) -> h5py.Group:
    """Find the first group of a NeXus class, which must be there."""
    found = list_children_of_class(group, kind)
    if not found:
        raise FormatError(f"{locate(group)}: has no {kind}")
    return found[0]


def find_data(entry: h5py.Group) -> h5py.Group:
    """Find the NXdata with the images.

    Parameters
    ----------
    entry : h5py.Group
        Its attribute ``default`` names the group where there are several.

    Returns
    -------
    h5py.Group
        The default if it has images, else the first with a stack of them, else with one image, else the first.

    Raises
    ------
    FormatError
        If there is no NXdata.
    """
    find_first(entry, "NXdata")
    groups = _list_with_default_first(entry, "NXdata")
    default = decode_text(entry.attrs.get("default"))
    sizes = [_count_dimensions(group) for group in groups]
    if default and groups[0].name.rpartition("/")[2] == default and sizes[0] >= 2:
        return groups[0]
    for wanted in (3, 2):
        for group, n_dimensions in zip(groups, sizes, strict=True):
            if n_dimensions >= wanted:
                return group
    return groups[0]


def _list_with_default_first(group: h5py.Group, kind: str) -> list[h5py.Group]:
    """Groups of a NeXus class in a group, the one first that the group's attribute ``default`` names."""
    default = decode_text(group.attrs.get("default"))
    return sorted(list_children_of_class(group, kind), key=lambda item: item.name.rpartition("/")[2] != default)


def _put_default_first(group: h5py.Group, names: list[str]) -> list[str]:
    """Names with the one first that the group's attribute ``default`` gives."""
    default = decode_text(group.attrs.get("default"))
    return sorted(names, key=lambda name: name != default)


def _count_dimensions(data: h5py.Group) -> int:
    """Dimensions of the images of an NXdata; 3 for links to data files, which may be missing."""
    names = list_signals(data)
    if not names:
        return 0
    item = get_child(data, names[0])
    if isinstance(item, h5py.Dataset):
        return item.ndim
    return 3 if isinstance(data.get(names[0], getlink=True), h5py.ExternalLink) else 0


def list_signals(data: h5py.Group) -> list[str]:
    """List the data sets of an NXdata that hold its images, in their order.

    Parameters
    ----------
    data : h5py.Group
        An NXdata.

    Returns
    -------
    list of str
        The signal that the group names; else ``data_000001`` and its followers; else the data set that calls itself
        the signal, as older files have it; else ``data``, or the first that has images and is not the errors of
        others. Empty where there is no data set.
    """
    signal = decode_text(data.attrs.get("signal"))
    rows = sorted(key for key in data if DATA_FILE.fullmatch(key))
    if signal and signal in data.keys() and not DATA_FILE.fullmatch(signal):  # noqa: SIM118  broken links count too
        return [signal]
    if rows:
        return rows
    items = {key: item for key in data if isinstance(item := get_child(data, key), h5py.Dataset)}
    marked = [key for key, item in items.items() if _is_signal(item)]
    for wanted in (3, 2):
        stacks = [key for key, item in items.items() if item.ndim >= wanted]
        stacks.sort(key=lambda key: (key != "data", "error" in key.lower()))
        if chosen := [key for key in marked if key in stacks] or stacks:
            return chosen[:1]
    # Of another writer: the first that is no group, for the message.
    return [key for key in data if not isinstance(get_child(data, key), h5py.Group)][:1]


def _is_signal(dataset: h5py.Dataset) -> bool:
    """Whether a data set has the attribute ``signal`` with the value 1."""
    value = dataset.attrs.get("signal")
    return value is not None and (decode_text(value) == "1" or np.array_equal(np.ravel(value), [1]))


def find_detector(instrument: h5py.Group, images: h5py.Dataset | None, frame_shape: tuple[int, ...]) -> h5py.Group:
    """Find the NXdetector that took the images; diodes and cameras may stand beside it.

    Parameters
    ----------
    instrument : h5py.Group
        An NXinstrument, whose attribute ``default`` may name it.
    images : h5py.Dataset or None
        The images, which may be the detector's own data set.
    frame_shape : tuple of int
        Of an image.

    Returns
    -------
    h5py.Group
        One with modules, if there is one: the default, else that which holds the images, else the first whose modules
        reach as far as the frame.

    Raises
    ------
    FormatError
        If there is no detector.
    """
    find_first(instrument, "NXdetector")
    found = _list_with_default_first(instrument, "NXdetector")
    usable = [group for group in found if list_children_of_class(group, "NXdetector_module")]
    if len(usable) < 2:
        return (usable or found)[0]
    default = decode_text(instrument.attrs.get("default"))
    if default == usable[0].name.rpartition("/")[2]:
        return usable[0]
    owners = [group for group in usable if images is not None and _holds(group, images)]
    fitting = [group for group in usable if _find_extent(group) in (frame_shape, frame_shape[::-1])]
    return (owners or fitting or usable)[0]


def _holds(detector: h5py.Group, images: h5py.Dataset) -> bool:
    """Whether a data set is one of a detector's own."""
    return any(get_child(detector, key) == images for key in detector)


def _find_extent(detector: h5py.Group) -> tuple[int, ...]:
    """How far a detector's modules reach along each axis of a frame; empty where they do not say."""
    ends = []
    for module in list_children_of_class(detector, "NXdetector_module"):
        items = [get_child(module, name) for name in ("data_origin", "data_size")]
        if not all(isinstance(item, h5py.Dataset) and item.dtype.kind in "iu" for item in items):
            return ()
        origin, size = (np.ravel(item[()]) for item in items)  # type: ignore[index]
        if origin.shape != size.shape:
            return ()
        ends.append(origin + size)
    if len({len(end) for end in ends}) != 1:
        return ()
    return tuple(int(n) for n in np.max(ends, axis=0))
