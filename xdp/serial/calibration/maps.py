"""Maps of a number a pixel (darks, gains, masks), from files of any kind that is known."""

from __future__ import annotations

import os
from collections.abc import Sequence

import h5py
import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.images.formats.base import EVERYTHING, GIVEN
from xdp.images.formats.find import find_format
from xdp.images.formats.hdf5.files import convert_hdf5_errors, get_child, open_hdf5
from xdp.images.formats.limits import MAX_FRAME_BYTES
from xdp.images.masks.pickles import read_maps
from xdp.serial.events.image_sources import is_hdf5

# Pixels with these values are not used: the marks of cctbx.xfel in masks, and in corrected images.
BAD_MARKS = (-2, -100000)


def read_map(path: str | os.PathLike, name: str = "data") -> list[np.ndarray]:
    """Read a map.

    Parameters
    ----------
    path : path
        HDF5 of ``xdp average``, an image of any known format, a pickle of cctbx or DIALS, or NumPy's. Nothing in a
        pickle is executed; what holds anything but arrays and numbers is refused.
    name : str, default "data"
        Data set of an HDF5 file, with or without an axis of panels.

    Returns
    -------
    list of (slow, fast) array
        One a panel.

    Raises
    ------
    FormatError
        If it cannot be read, or has no such data set.
    """
    file = os.fspath(path)
    if is_hdf5(file) and (panels := read_data_set(file, name)) is not None:
        return panels
    try:
        return list(read_maps(file))
    except XdpError as refused:
        try:
            opened = find_format(file, {GIVEN: EVERYTHING})
        except FormatError:
            raise refused from None
        if opened.n_images < 1:
            raise FormatError(f"{file}: it has no image, and a map is the first one") from None
        return opened.raw(0)


def read_data_set(file: str, name: str) -> list[np.ndarray] | None:
    """Read a data set of one image.

    Parameters
    ----------
    file : str
        HDF5.
    name : str
        Of the data set: (slow, fast) or (panel, slow, fast), or a group of such arrays by numbers.

    Returns
    -------
    list of (slow, fast) array, or None
        None where there is no such data set.

    Raises
    ------
    FormatError
        If it is damaged, or has other dimensions.
    """
    with open_hdf5(file) as handle, convert_hdf5_errors(file, f"{name} is damaged"):
        item = get_child(handle, name)
        if isinstance(item, h5py.Group):
            # Panels of different sizes: one data set each.
            return [np.asarray(item[key][()]) for key in sorted(item, key=lambda key: (len(key), key))]
        if not isinstance(item, h5py.Dataset):
            return None
        if item.dtype.kind not in "iubf" or item.ndim not in (2, 3):
            raise FormatError(f"{file}: {name} must be one image of numbers, it is {item.dtype} of shape {item.shape}")
        if item.size * item.dtype.itemsize > MAX_FRAME_BYTES:
            raise FormatError(f"{file}: {name} claims {item.size} pixels, more than an image has")
        values = np.asarray(item[()])
    return list(values.reshape(-1, *values.shape[-2:]))


def fit_map(panels: Sequence[np.ndarray], shapes: Sequence[tuple[int, ...]], where: str) -> list[np.ndarray]:
    """Cut a map into the panels of a detector.

    Parameters
    ----------
    panels : sequence of (slow, fast) array
        As the file has them: the detector's panels, or one array with these one below the other.
    shapes : sequence of (slow, fast)
        Of the detector's panels.
    where : str
        What a message begins with.

    Returns
    -------
    list of (slow, fast) array

    Raises
    ------
    FormatError
        If it fits in neither way.

    Examples
    --------
    >>> import numpy as np
    >>> [part.shape for part in fit_map([np.zeros((6, 4))], [(2, 4)] * 3, "dark")]
    [(2, 4), (2, 4), (2, 4)]
    """
    found = [tuple(panel.shape) for panel in panels]
    wanted = [tuple(shape) for shape in shapes]
    if found == wanted:
        return list(panels)
    if len(panels) == 1 and len(wanted) > 1:
        n_rows = sum(shape[0] for shape in wanted)
        if found[0][0] == n_rows and {shape[1] for shape in wanted} == {found[0][1]}:
            ends = np.cumsum([shape[0] for shape in wanted])[:-1]
            return list(np.split(panels[0], ends, axis=0))
    raise FormatError(f"{where}: has {len(found)} panels of {found[0] if found else ()} (slow, fast) pixels, the shots "
                      f"have {len(wanted)} of {wanted[0] if wanted else ()}: wrong shape; is it of this detector?")


def read_bad_mask(path: str | os.PathLike) -> list[np.ndarray]:
    """Read a mask of pixels that are not used.

    Parameters
    ----------
    path : path
        An image with the marks -2 or -100000, or a mask of DIALS (False where a pixel is not used).

    Returns
    -------
    list of (slow, fast) bool
        True where the pixel may be used.
    """
    return [panel if panel.dtype == np.bool_ else ~np.isin(np.round(panel), BAD_MARKS) for panel in read_map(path)]
