"""What a data set of several images has of one, and panels cut out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.files import get_child
from xdp.images.formats.limits import MAX_FRAME_BYTES
from xdp.images.geometry_files.crystfel import PLACEHOLDER, GeometryPanel


class ImageEvent(NamedTuple):
    """One image of a file.

    Attributes
    ----------
    parts : tuple of str
        What the placeholders of the path stand for.
    indices : tuple of int
        Along the dimensions that are placeholders.
    """

    parts: tuple[str, ...]
    indices: tuple[int, ...]

    @property
    def name(self) -> str:
        """As CrystFEL writes it behind the name of the file: ``a/b//3``."""
        return "/".join(self.parts) + "//" + "/".join(map(str, self.indices))


def fill_path(path: str, parts: Sequence[str]) -> str:
    """Put what an event has into the placeholders of a path.

    Parameters
    ----------
    path : str
        With or without placeholders.
    parts : sequence of str
        In order; a path without placeholders takes none.

    Returns
    -------
    str

    Examples
    --------
    >>> fill_path("/data/%/array", ["ev_1"])
    '/data/ev_1/array'
    """
    pieces = path.split(PLACEHOLDER)
    filled = pieces[0]
    for i, piece in enumerate(pieces[1:]):
        filled += (parts[i] if i < len(parts) else PLACEHOLDER) + piece
    return filled


def read_slab(handle: h5py.File, path: str, panel: GeometryPanel, event: ImageEvent) -> np.ndarray:
    """Read what a data set has of an event, by h5py.

    Parameters
    ----------
    handle : h5py.File
        Open.
    path : str
        Of the data set, without placeholders.
    panel : GeometryPanel
        Whose dimensions it has.
    event : ImageEvent
        Which index each placeholder has.

    Returns
    -------
    array
        With the dimensions that are no placeholders, in their order.

    Raises
    ------
    FormatError
        If there is no such data set, or the event is not in it.
    """
    import hdf5plugin  # noqa: F401  registers compressors

    item = get_child(handle, path)
    if not isinstance(item, h5py.Dataset):
        raise FormatError(f"{handle.filename}: has no data set {path}")
    if item.ndim != len(panel.dims) or item.dtype.kind not in "iuf":
        raise FormatError(f"{handle.filename}: {path} has shape {item.shape} of {item.dtype}, wanted numbers in "
                          f"{len(panel.dims)} dimensions")
    places = iter(event.indices)
    key = tuple(next(places) if dim == PLACEHOLDER else slice(None) for dim in panel.dims)
    if any(isinstance(k, int) and k >= n for k, n in zip(key, item.shape, strict=True)):
        raise FormatError(f"{handle.filename}: {path} has shape {item.shape}, event {event.name} is not in it")
    n_bytes = int(np.prod([int(n) for n, k in zip(item.shape, key, strict=True) if not isinstance(k, int)],
                          dtype=object)) * item.dtype.itemsize
    if n_bytes > MAX_FRAME_BYTES:
        raise FormatError(f"{handle.filename}: {path} claims {n_bytes} bytes an image, wanted at most "
                          f"{MAX_FRAME_BYTES}")
    return np.asarray(item[key])


def cut_panel(slab: np.ndarray, panel: GeometryPanel, where: str) -> np.ndarray:
    """Cut a panel out of what a data set has of an event.

    Parameters
    ----------
    slab : array
        With the panel's dimensions that are no placeholders.
    panel : GeometryPanel
        Where it lies.
    where : str
        What a message begins with.

    Returns
    -------
    (slow, fast) array

    Raises
    ------
    FormatError
        If the slab is too small, or has other dimensions.
    """
    dims = [dim for dim in panel.dims if dim != PLACEHOLDER]
    # An image that is not HDF5 has rows and columns, whatever the file says of other dimensions.
    if slab.ndim == 2 and len(dims) != 2:
        dims = ["ss", "fs"]
    ranges = {"fs": slice(panel.min_fs, panel.max_fs + 1), "ss": slice(panel.min_ss, panel.max_ss + 1)}
    limits = {"fs": panel.max_fs, "ss": panel.max_ss}
    if slab.ndim != len(dims) or any(
            (dim if isinstance(dim, int) else limits[dim]) >= n for dim, n in zip(dims, slab.shape, strict=True)):
        raise FormatError(f"{where}: an image has shape {slab.shape}, in which panel {panel.name} does not lie "
                          f"(fs to {panel.max_fs}, ss to {panel.max_ss}): wrong shape")
    cut = slab[tuple(dim if isinstance(dim, int) else ranges[dim] for dim in dims)]
    return cut.T if dims.index("ss") > dims.index("fs") else cut
