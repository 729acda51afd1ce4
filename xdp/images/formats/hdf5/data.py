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


def open_frames(data: h5py.Group, names: list[str], n_wanted: int | None,
                missing: list[str] | None = None) -> Frames:
    """Open the frames of several data sets.

    Parameters
    ----------
    data : h5py.Group
        Where they are, or links to them.
    names : list of str
        Of the data sets, in order.
    n_wanted : int or None
        Frames of the scan. Links to data files that were never written may follow those that hold them.
    missing : list of str, optional
        Where it is given, frames from the first missing data file on are left out, and what is missing is added to it.

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
            if not present or missing is None:
                raise FormatError(f"{data.file.filename}: {explain_missing(data, name)}")
            missing.append(explain_missing(data, name))
            break
        present.append(f"{data.name}/{name}")
        n_found += item.shape[0] if item.shape else 0
    return Frames(data.file.filename, present, missing)


def read_pixel_masks(group: h5py.Group, shape: tuple[int, ...], slices: Sequence) -> list[np.ndarray] | None:
    """Read the pixel masks of a detector.

    Parameters
    ----------
    group : h5py.Group
        With ``pixel_mask`` (and ``pixel_mask_2``, ...), whose bits say what is wrong with a pixel.
    shape : tuple of int
        Of a frame. A mask may have axes of length one besides, or one mask for each frame: then a pixel is masked
        that is masked in any of them.
    slices : sequence
        The part of a frame that each panel is.

    Returns
    -------
    list of (slow, fast) bool, or None
        One a panel, True where no bit is set in any mask; None where there is no mask.

    Raises
    ------
    FormatError
        If a mask holds no numbers, or has another shape and masks anything.
    """
    names = [key for key in group if key == "pixel_mask" or key.startswith("pixel_mask_")]
    # A pixel is good only if no mask has a bit for it.
    masked: np.ndarray | None = None
    for name in names:
        item = get_child(group, name)
        if item is None:
            raise FormatError(f"{group.file.filename}: {explain_missing(group, name)}")
        # Some writers say with other entries of that name whether the mask was applied.
        if isinstance(item, h5py.Dataset) and (item.ndim >= 2 or name == "pixel_mask"):
            bits = read_bad_pixels(item, shape)
            masked = masked if bits is None else bits if masked is None else masked | bits
    if masked is None:
        return None
    return [np.ascontiguousarray(~masked[s].reshape(masked[s].shape[-2:])) for s in slices]


def read_bad_pixels(dataset: h5py.Dataset, shape: tuple[int, ...]) -> np.ndarray | None:
    """Read which pixels a mask masks.

    Parameters
    ----------
    dataset : h5py.Dataset
        Zero where a pixel is good: integers, truth values or floating-point numbers.
    shape : tuple of int
        Of a frame.

    Returns
    -------
    bool array of `shape`, or None
        None for a mask of another shape that masks nothing.

    Raises
    ------
    FormatError
        If it holds no numbers, or has another shape and masks anything: how it lies on the frame is not known.
    """
    where = f"{dataset.file.filename}: {dataset.name}"
    advice = "give a mask of your own with lookup.mask to import"
    if dataset.dtype.kind not in "iubf" or not dataset.shape:
        raise FormatError(f"{where} must be an array of numbers, it is {dataset.dtype} of shape {dataset.shape}; "
                          f"{advice}")
    own = dataset.shape
    if _drop_ones(own) == _drop_ones(shape):
        return (_read_mask_values(dataset) != 0).reshape(shape)
    if own[1:] == shape:
        # One frame at a time: masks of a whole series may not fit in memory.
        masked = np.zeros(shape, bool)
        for frame in range(own[0]):
            masked |= _read_mask_values(dataset, frame) != 0
        return masked
    if (_read_mask_values(dataset) != 0).any():
        raise FormatError(f"{where} has shape {own}, frames have {shape}: it cannot be used; {advice}")
    return None


def _drop_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without axes of length one."""
    return tuple(n for n in shape if n != 1)


def _read_mask_values(dataset: h5py.Dataset, frame: int | None = None) -> np.ndarray:
    """Read a mask, or that of one frame, by h5py; its compressors are loaded only for one that needs them."""
    properties = dataset.id.get_create_plist()
    # HDF5's own filters have numbers below 256.
    if any(properties.get_filter(i)[0] >= 256 for i in range(properties.get_nfilters())):
        import hdf5plugin  # noqa: F401  registers them
    return dataset[()] if frame is None else dataset[frame]
