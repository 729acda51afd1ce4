"""Raw counts of detectors that choose one of three gains in each pixel, such as Jungfrau.

References
----------
A. Mozzanica et al. (2016), J. Instrum. 11, C02047, doi 10.1088/1748-0221/11/02/C02047.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.files import convert_hdf5_errors, get_child, open_hdf5
from xdp.serial.calibration._kernels import convert_three_gains


def read_stages(path: str | os.PathLike, name: str) -> list[np.ndarray]:
    """Read the pedestals or gains of three stages.

    Parameters
    ----------
    path : path
        HDF5.
    name : str
        Data set: (gain, slow, fast) or (gain, panel, slow, fast).

    Returns
    -------
    list of (3, slow, fast) float64
        One a panel.

    Raises
    ------
    FormatError
        If there is no such data set, or it has not three gains.
    """
    file = os.fspath(path)
    with open_hdf5(file) as handle, convert_hdf5_errors(file, f"{name} is damaged"):
        item = get_child(handle, name)
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf" or item.ndim not in (3, 4) \
                or item.shape[0] != 3:
            raise FormatError(f"{file}: a data set {name} of three gains was expected: (3, panel, slow, fast)")
        values = np.asarray(item[()], np.float64)
    values = values.reshape(3, -1, *values.shape[-2:])
    return [np.ascontiguousarray(values[:, i]) for i in range(values.shape[1])]


def correct_three_gains(raw: Sequence[np.ndarray], pedestals: Sequence[np.ndarray],
                        gains: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Correct raw counts whose two highest bits say the gain.

    Parameters
    ----------
    raw : sequence of (slow, fast) array
        Raw counts of each panel, whole numbers of 16 bits.
    pedestals : sequence of (3, slow, fast) array
        Counts without light in each stage.
    gains : sequence of (3, slow, fast) array
        Counts per photon, or per keV; those of the lower gains are negative on a Jungfrau.

    Returns
    -------
    images : list of (slow, fast) float64
        Photons, or keV.
    valid : list of (slow, fast) bool
        False where the bits are those of no stage, or the gain is 0 or no number.

    Raises
    ------
    FormatError
        If the panels do not fit, or the counts are no whole numbers of 16 bits.
    """
    images, valids = [], []
    if len(raw) != len(pedestals) or len(raw) != len(gains):
        raise FormatError(f"pedestals and gains are of {len(pedestals)} and {len(gains)} panels, the shot has "
                          f"{len(raw)}: wrong shape")
    for panel, pedestal, gain in zip(raw, pedestals, gains, strict=True):
        if pedestal.shape[1:] != panel.shape or gain.shape[1:] != panel.shape:
            raise FormatError(f"pedestals {pedestal.shape[1:]} and gains {gain.shape[1:]} have not the shape of the "
                              f"panel, {panel.shape}: wrong shape")
        if panel.dtype.kind not in "iu" or (panel.size and not 0 <= int(panel.min()) <= int(panel.max()) < 1 << 16):
            raise FormatError(f"raw counts of three gains must be whole numbers of 16 bits, they are {panel.dtype}")
        out, valid = np.empty(panel.size), np.ones(panel.size, bool)
        convert_three_gains(np.ascontiguousarray(panel, np.uint16).reshape(-1), pedestal.reshape(3, -1),
                            gain.reshape(3, -1), out, valid)
        images.append(out.reshape(panel.shape))
        valids.append(valid.reshape(panel.shape))
    return images, valids
