"""What the HDF5 formats have in common: links to data files and pixel masks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.files import explain_missing, get_child
from xdp.images.formats.hdf5.frames import Frames

DATA_FILE = re.compile(r"data_\d{6}")
"""Names of the links to data files in Dectris' master files."""


def open_frames(data: h5py.Group, names: list[str], n_wanted: int | None) -> Frames:
    """Open the frames of several data sets.

    Parameters
    ----------
    data : h5py.Group
        Where they are, or links to them.
    names : list of str
        Of the data sets, in order.
    n_wanted : int or None
        Frames of the scan. Links to data files that were never written may follow those that hold them.

    Returns
    -------
    Frames

    Raises
    ------
    FormatError
        If a data set is missing before there are as many frames.
    """
    present: list[str] = []
    n_found = 0
    for name in names:
        item = get_child(data, name)
        if not isinstance(item, h5py.Dataset):
            if present and n_wanted is not None and n_found >= n_wanted:
                break
            raise FormatError(f"{data.file.filename}: {explain_missing(data, name)}")
        present.append(f"{data.name}/{name}")
        n_found += item.shape[0] if item.shape else 0
    return Frames(data.file.filename, present)


def read_pixel_masks(group: h5py.Group, shape: tuple[int, ...], slices: Sequence) -> list[np.ndarray] | None:
    """Read the pixel masks of a detector.

    Parameters
    ----------
    group : h5py.Group
        With ``pixel_mask`` (and ``pixel_mask_2``, ...), whose bits say what is wrong with a pixel.
    shape : tuple of int
        Of a frame. A mask of another shape is left out, as DIALS does: some firmware wrote it turned.
    slices : sequence
        The part of a frame that each panel is.

    Returns
    -------
    list of (slow, fast) bool, or None
        One a panel, True where no bit is set in any mask; None where there is no mask.
    """
    names = [key for key in group if key == "pixel_mask" or key.startswith("pixel_mask_")]
    # A pixel is good only if no mask has a bit for it.
    masked: np.ndarray | None = None
    for name in names:
        item = get_child(group, name)
        if not isinstance(item, h5py.Dataset) or item.shape != shape or item.dtype.kind not in "iub":
            continue
        bits = _read_mask_values(item) != 0
        masked = bits if masked is None else masked | bits
    if masked is None:
        return None
    return [np.ascontiguousarray(~masked[s].reshape(masked[s].shape[-2:])) for s in slices]


def _read_mask_values(dataset: h5py.Dataset) -> np.ndarray:
    """Read a mask by h5py; its compressors are loaded only for one that needs them."""
    properties = dataset.id.get_create_plist()
    # HDF5's own filters have numbers below 256.
    if any(properties.get_filter(i)[0] >= 256 for i in range(properties.get_nfilters())):
        import hdf5plugin  # noqa: F401  registers them
    return dataset[()]
