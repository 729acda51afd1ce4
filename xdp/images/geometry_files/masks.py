"""Masks that a CrystFEL geometry file names, in the images' file or in one of their own."""

from __future__ import annotations

import functools
import os
import threading
from typing import NamedTuple

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.files import convert_hdf5_errors, get_child, open_hdf5
from xdp.images.formats.hdf5.slabs import ImageEvent, cut_panel, fill_path, read_slab
from xdp.images.geometry_files.crystfel import PLACEHOLDER, GeometryPanel, PanelMask


class OwnMask(NamedTuple):
    """A mask of one image, whole.

    Attributes
    ----------
    event : ImageEvent
        Whose it is.
    stored : bytes or None
        As the file has it, compressed; None where it is not stored in one piece.
    values : array
        As the file means it.
    good : bool array
        True where a pixel is good.
    """

    event: ImageEvent
    stored: bytes | None
    values: np.ndarray
    good: np.ndarray


class OwnMasks:
    """Masks of single images of a file: each is read once for all panels, and unpacked only where it changes.

    Many files repeat one mask for each image: the same arrays are given for it again. Threads may share this.
    """

    def __init__(self) -> None:
        self._own = threading.local()

    def has_events(self, file: str, data: str, panel: GeometryPanel) -> bool:
        """Whether a mask has the dimensions of the events, too; looked up once.

        Parameters
        ----------
        file, data : str
            Of the mask, and its data set.
        panel : GeometryPanel
            Whose dimensions are compared.
        """
        known = self._own.__dict__.setdefault("kinds", {})
        key = file, data, panel.dims
        if key not in known:
            known[key] = _has_events(file, data, panel)
        return known[key]

    def read_good(self, file: str, panel: GeometryPanel, mask: PanelMask, event: ImageEvent) -> np.ndarray:
        """Which pixels of the whole data set are good in an image.

        Parameters
        ----------
        file : str
            Of the mask.
        panel : GeometryPanel
            Whose dimensions the mask has.
        mask : PanelMask
            Data set and bits.
        event : ImageEvent
            Whose mask is wanted.

        Returns
        -------
        bool array
            With the panel's dimensions that are no placeholders; the same object for equal masks.
        """
        known = self._own.__dict__.setdefault("last", {})
        key = file, mask.data, panel.dims, mask.good, mask.bad
        last: OwnMask | None = known.get(key)
        if last is not None and last.event == event:
            return last.good
        with open_hdf5(file) as handle, convert_hdf5_errors(file, f"{mask.data} is damaged"):
            path = fill_path(mask.data, event.parts)
            stored = _read_stored(handle, path, panel, event)
            if last is not None and stored is not None and stored == last.stored:
                known[key] = last._replace(event=event)
                return last.good
            values = read_slab(handle, path, panel, event)
        is_same = last is not None and np.array_equal(values, last.values)
        good = last.good if last is not None and is_same else _is_good(values, mask)
        known[key] = OwnMask(event, stored, values, good)
        return good


def _read_stored(handle: h5py.File, path: str, panel: GeometryPanel, event: ImageEvent) -> bytes | None:
    """The mask of an image as it is stored; None where it is not one chunk."""
    item = handle.get(path)
    if not isinstance(item, h5py.Dataset) or item.chunks is None or item.ndim != len(panel.dims):
        return None
    places = iter(event.indices)
    offset = [next(places) if dim == PLACEHOLDER else 0 for dim in panel.dims]
    wanted = [1 if dim == PLACEHOLDER else n for dim, n in zip(panel.dims, item.shape, strict=True)]
    if list(item.chunks) != wanted:
        return None
    try:
        return item.id.read_direct_chunk(tuple(offset))[1]
    except (OSError, RuntimeError, ValueError):
        # what was never written is no chunk: the values are filled in
        return None


def read_panel_mask(image_file: str, geometry_file: str, panel: GeometryPanel, mask: PanelMask,
                    event: ImageEvent | None, own: OwnMasks | None = None) -> np.ndarray | None:
    """Read which pixels of a panel a mask calls good.

    Parameters
    ----------
    image_file : str
        Where the mask is if it has no file of its own.
    geometry_file : str
        Names of mask files are relative to its folder.
    panel : GeometryPanel
        Its place in the data set is that in the mask.
    mask : PanelMask
        Data set and bits.
    event : ImageEvent or None
        Whose own mask is wanted; None: the one of all images.
    own : OwnMasks, optional
        What was read for other panels and images.

    Returns
    -------
    (slow, fast) bool, or None
        True where the pixel is good; None where the mask is of the other kind.

    Raises
    ------
    FormatError
        If there is no such data set, or it has not the panel's dimensions.
    """
    file = image_file if mask.file is None else os.path.join(os.path.dirname(geometry_file), mask.file)
    own = own or OwnMasks()
    is_own = PLACEHOLDER in mask.data or own.has_events(file, mask.data, panel)
    if is_own != (event is not None):
        return None
    if event is None:
        # Panels share the data set: it is read once for all of them.
        values = _read_static(file, mask.data, *_stamp(file))
        return _is_good(cut_panel(values, panel, f"{file}: {mask.data}"), mask)
    return cut_panel(own.read_good(file, panel, mask, event), panel, f"{file}: {fill_path(mask.data, event.parts)}")


def _stamp(file: str) -> tuple[int, int]:
    """Time and size of a file, which tell whether it changed."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise FormatError(f"{file}: the mask cannot be read: {error.strerror}") from error
    return status.st_mtime_ns, status.st_size


def _has_events(file: str, data: str, panel: GeometryPanel) -> bool:
    """Whether a mask has the dimensions of the events, too."""
    with open_hdf5(file) as handle, convert_hdf5_errors(file):
        item = get_child(handle, data)
        if not isinstance(item, h5py.Dataset):
            raise FormatError(f"{file}: has no mask {data}, which the geometry file names")
        n_events = panel.dims.count(PLACEHOLDER)
        if item.ndim == len(panel.dims) - n_events:
            return False
        if item.ndim != len(panel.dims):
            raise FormatError(f"{file}: the mask {data} has shape {item.shape}, wanted {len(panel.dims)} dimensions, "
                              f"or those without the {n_events} of the events")
        return n_events > 0


@functools.lru_cache(maxsize=8)
def _read_static(file: str, data: str, mtime: int, size: int) -> np.ndarray:
    """The mask of all images; time and size of the file are the key."""
    import hdf5plugin  # noqa: F401  registers compressors

    with open_hdf5(file) as handle, convert_hdf5_errors(file, f"{data} is damaged"):
        values = np.asarray(handle[data][()])
    if values.dtype.kind not in "iubf":
        raise FormatError(f"{file}: the mask {data} must hold numbers, it holds {values.dtype}")
    values.setflags(write=False)
    return values


def _is_good(values: np.ndarray, mask: PanelMask) -> np.ndarray:
    """Whether each value has all good bits and no bad one."""
    bits = values.astype(np.uint64) if values.dtype.kind != "f" else np.abs(values).astype(np.uint64)
    good, bad = np.uint64(mask.good), np.uint64(mask.bad)
    return ((bits & good) == good) & ((bits & bad) == 0)
