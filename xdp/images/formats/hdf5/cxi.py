"""CXI stacks of the Coherent X-ray Imaging Data Bank: pixels, wavelengths, distance where it is stated, and masks.

The geometry of a CXI file of a serial experiment is kept elsewhere as a rule; what the file lacks (the beam centre
always) comes from parameters or a reference.

References
----------
F. R. N. C. Maia (2012), Nature Methods 9, 854, doi 10.1038/nmeth.2110; the format:
https://github.com/cxidb/CXI/raw/master/cxi_file_format.pdf
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Detector, Panel
from xdp.images.formats.base import Format, Models
from xdp.images.formats.hdf5.data import read_bad_pixels
from xdp.images.formats.hdf5.files import (
    convert_hdf5_errors,
    decode_text,
    explain_missing,
    get_child,
    open_hdf5,
    read_nx_class,
)
from xdp.images.formats.hdf5.frames import Frames
from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM, build_nexus_beam
from xdp.images.formats.pixel_types import convert_to_native
from xdp.images.formats.units import find_unit_factor

# The elementary charge, exact since 2019 (CODATA).
_JOULE_IN_EV = 1.0 / 1.602176634e-19
# The highest count of an int32: no pixel is overloaded.
_NO_LIMIT = float(0x7FFFFFFF)
# Where the standard puts them, and where writers of serial experiments do; the first that is there counts.
_DATA = ("entry_1/data_1/data", "entry_1/instrument_1/detector_1/data", "entry_1/image_1/data")
_MASKS = ("entry_1/data_1/mask", "entry_1/instrument_1/detector_1/mask", "entry_1/image_1/mask")
_DETECTOR = "entry_1/instrument_1/detector_1"
_ENERGIES = ("entry_1/instrument_1/source_1/energy", "entry_1/instrument_1/source_1/photon_energy")


class CXI(Format):
    """A CXI file: (frame, slow, fast), or (frame, panel, slow, fast)."""

    name: ClassVar[str] = "CXI"
    is_stack: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, params)
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "is damaged"):
            self._frames = Frames(self.path, [_find_data_set(handle)])
            self._wavelengths = _read_wavelengths(handle)
            self._detector = _read_detector(handle, self._frames, self.given)
            self._check_mask(handle)

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """CXI's groups, and no NeXus class at the entry."""
        try:
            with open_hdf5(path) as handle, convert_hdf5_errors(path):
                entry = get_child(handle, "entry_1")
                return isinstance(entry, h5py.Group) and ("cxi_version" in handle or read_nx_class(entry) is None)
        except FormatError:
            return False

    def _check_mask(self, handle: h5py.File) -> None:
        """Note masks of single frames, which are not static."""
        for name in _MASKS:
            item = get_child(handle, name)
            if isinstance(item, h5py.Dataset) and item.shape[1:] == self._frames.shape and item.shape[0] > 1:
                self.notes.append(f"its masks of single frames ({name}) are not used; lookup.mask gives one for all")

    @property
    def n_images(self) -> int:
        """Frames of the data."""
        return len(self._frames)

    def models(self, index: int = 0) -> Models:
        """The beam where the file has an energy, the detector where it has distance and pixel size; else None."""
        if self._wavelengths is None:
            return Models(None, self._detector)
        wavelength = self._wavelengths[index if self._wavelengths.size > index else 0]
        return Models(build_nexus_beam(float(wavelength)), self._detector)

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The panels of a frame."""
        frame = self._frames[index]
        return [convert_to_native(panel) for panel in frame.reshape(-1, *frame.shape[-2:])]

    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels without a bit in the one mask of all frames; masks of single frames are not static."""
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "its mask is damaged"):
            for name in _MASKS:
                item = get_child(handle, name)
                if not isinstance(item, h5py.Dataset):
                    continue
                if item.shape[1:] == self._frames.shape and item.shape[0] > 1:
                    continue
                if (bad := read_bad_pixels(item, self._frames.shape)) is not None:
                    return list(np.ascontiguousarray(~bad.reshape(-1, *bad.shape[-2:])))
        return None


    def frame_mask(self, index: int) -> list[np.ndarray] | None:
        """Pixels without a bit in the mask of this frame, where there is one for each."""
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "its masks are damaged"):
            for name in _MASKS:
                item = get_child(handle, name)
                if isinstance(item, h5py.Dataset) and item.shape[1:] == self._frames.shape and item.shape[0] > 1:
                    if index >= item.shape[0]:
                        raise FormatError(f"{self.path}: {name} has {item.shape[0]} masks, frame {index} has none")
                    valid = np.asarray(item[index]) == 0
                    return list(np.ascontiguousarray(valid.reshape(-1, *valid.shape[-2:])))
        return None


def _find_data_set(handle: h5py.File) -> str:
    """Find the data set of the frames."""
    for name in _DATA:
        if isinstance(get_child(handle, name), h5py.Dataset):
            return name
    # A link to a data file that is missing: its name is more help than a list of data sets.
    group, _, last = _DATA[0].rpartition("/")
    parent = get_child(handle, group)
    if isinstance(parent, h5py.Group):
        raise FormatError(f"{handle.filename}: {explain_missing(parent, last)}")
    raise FormatError(f"{handle.filename}: has none of the data sets {', '.join(_DATA)}")


def _read_positive(handle: h5py.File, name: str) -> np.ndarray | None:
    """Read finite numbers above zero; None where the file has none."""
    item = get_child(handle, name)
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf" or not item.size or item.size > 1 << 26:
        return None
    values = np.asarray(item[()], np.float64).reshape(-1)
    return values if np.isfinite(values).all() and (values > 0.0).all() else None


def _read_wavelengths(handle: h5py.File) -> np.ndarray | None:
    """Read wavelengths in Å from the source's energy, which is in joules (some writers: eV)."""
    for name in _ENERGIES:
        energies = _read_positive(handle, name)
        if energies is not None:
            unit = decode_text(handle[name].attrs.get("units")) or ""
            return EV_ANGSTROM / convert_to_electronvolts(energies, unit, f"{handle.filename}: {name}")
    return None


def convert_to_electronvolts(energies: np.ndarray, unit: str, where: str) -> np.ndarray:
    """Convert photon energies to eV.

    Parameters
    ----------
    energies : array
        In `unit`.
    unit : str
        As the file has it; without one, or with joules, numbers that can only be eV are eV.
    where : str
        What a message begins with.

    Returns
    -------
    array
        eV.

    Raises
    ------
    FormatError
        If the unit is not known.

    Examples
    --------
    >>> import numpy as np
    >>> convert_to_electronvolts(np.array([9500.0, 1.602176634e-15]), "", "source")
    array([ 9500., 10000.])
    """
    if (unit := unit.strip()) and unit.lower() not in ("j", "joule", "joules"):
        return energies * find_unit_factor(unit, "energy", where)
    # No photon has an energy of 1e-6 eV, and none of X-rays one of 1e-6 J.
    is_joule = energies < 1e-6
    return np.where(is_joule, np.where(is_joule, energies, 0.0) * _JOULE_IN_EV, energies)


def _read_lengths(handle: h5py.File, name: str, placeholder: float | None) -> float | None:
    """Read a length of the detector, mm: the standard has metres; where there is none, `placeholder`."""
    values = _read_positive(handle, f"{_DETECTOR}/{name}")
    if values is None:
        return placeholder
    item = handle[f"{_DETECTOR}/{name}"]
    return float(values[0]) * find_unit_factor(decode_text(item.attrs.get("units")) or "m", "length",
                                               f"{handle.filename}: {item.name}")


def _read_detector(handle: h5py.File, frames: Frames, given: Collection[str]) -> Detector | None:
    """Read a flat detector across the beam, centred on it, if the file has distance and pixel size and one panel."""
    # What the user gives takes the place of these afterwards.
    stand_in = 0.1 if "pixel_size" in given else None
    distance = _read_lengths(handle, "distance", 100.0 if "distance" in given else None)
    pixel = [_read_lengths(handle, name, stand_in) for name in ("x_pixel_size", "y_pixel_size")]
    if len(frames.shape) != 2 or distance is None or pixel[0] is None or pixel[1] is None:
        return None
    # The beam centre is not in the file: it is put into the middle of the panel, for the user to move.
    n_slow, n_fast = frames.shape
    origin = (-0.5 * n_fast * pixel[0], 0.5 * n_slow * pixel[1], -distance)
    low = 0.0 if frames.dtype.kind == "u" else -_NO_LIMIT
    return Detector((Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), origin, (n_fast, n_slow), (pixel[0], pixel[1]),
                           trusted_range=(low, _NO_LIMIT), name="/" + _DETECTOR, type="SENSOR_PAD"),))
