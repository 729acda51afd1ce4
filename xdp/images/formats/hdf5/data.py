"""What the HDF5 formats have in common: links to data files and pixel masks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.files import child, explain_missing
from xdp.images.formats.hdf5.frames import Frames

DATA_FILE = re.compile(r"data_\d{6}")
"""Names of the links to data files in Dectris' master files."""


def open_frames(data: h5py.Group, names: list[str], n_wanted: int | None) -> Frames:
    """Frames of the data sets that are there; links to files never written may follow those that hold the scan."""
    present: list[str] = []
    n_found = 0
    for name in names:
        item = child(data, name)
        if not isinstance(item, h5py.Dataset):
            if present and n_wanted is not None and n_found >= n_wanted:
                break
            raise FormatError(f"{data.file.filename}: {explain_missing(data, name)}")
        present.append(f"{data.name}/{name}")
        n_found += item.shape[0] if item.shape else 0
    return Frames(data.file.filename, present)


def read_pixel_masks(group: h5py.Group, shape: tuple[int, ...], slices: Sequence) -> list[np.ndarray] | None:
    """Pixels without a bit in ``pixel_mask`` (or ``pixel_mask_2``, ...) of a group; None where there is no mask.

    A mask whose shape is not that of a frame is left out, as DIALS does: some firmware wrote it turned.
    """
    names = [key for key in group if key == "pixel_mask" or key.startswith("pixel_mask_")]
    masked: np.ndarray | None = None
    for name in names:
        item = child(group, name)
        if not isinstance(item, h5py.Dataset) or item.shape != shape or item.dtype.kind not in "iub":
            continue
        bits = _mask_values(item) != 0
        masked = bits if masked is None else masked | bits
    if masked is None:
        return None
    return [np.ascontiguousarray(~masked[s].reshape(masked[s].shape[-2:])) for s in slices]


def _mask_values(dataset: h5py.Dataset) -> np.ndarray:
    """The mask, read by h5py; its compressors are loaded only for one that needs them."""
    properties = dataset.id.get_create_plist()
    if any(properties.get_filter(i)[0] >= 256 for i in range(properties.get_nfilters())):
        import hdf5plugin  # noqa: F401  registers them
    return dataset[()]
