"""Numbers of each shot in an HDF5 file: photon energy, distance, time, pulse energy, and what the user names.

The places are those of LCLS and Cheetah, of CXI and of the European XFEL's and SwissFEL's converters; others are named
by the user (:class:`~xdp.serial.events.options.EventValues`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from xdp.errors import FormatError, OptionError
from xdp.images.formats.hdf5.cxi import convert_to_electronvolts
from xdp.images.formats.hdf5.files import convert_hdf5_errors, decode_text, get_child, open_hdf5
from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM
from xdp.serial.events.options import EventValues
from xdp.serial.events.shot import PeakList
from xdp.serial.events.times import make_time, parse_time

_ENERGIES = ("LCLS/photon_energy_eV", "LCLS/photon_energy", "entry_1/instrument_1/source_1/energy",
             "entry_1/instrument_1/source_1/photon_energy")
_WAVELENGTHS = ("LCLS/photon_wavelength_A",)
_ENCODERS = ("LCLS/detector_1/EncoderValue", "LCLS/detector0-EncoderValue", "LCLS/detector_1-EncoderValue",
             "entry_1/instrument_1/detector_1/EncoderValue")
_SECONDS = (("LCLS/machineTime", "LCLS/machineTimeNanoSeconds"), ("LCLS/timestamp/seconds", "LCLS/timestamp/nanos"))
_TIMES = ("LCLS/eventTimeString", "entry_1/data_1/timestamp", "entry_1/timestamp")
_PULSES = ("LCLS/f_11_ENRC", "LCLS/f_12_ENRC", "LCLS/f_21_ENRC", "LCLS/f_22_ENRC")
_PEAKS = ("entry_1/result_1", "entry/result_1", "result_1")
# More values than any run has shots are no values of shots.
_MOST = 1 << 26


@dataclass
class ShotValues:
    """Numbers of all shots of one file; each None where the file has none.

    Attributes
    ----------
    energies : array or None
        eV.
    encoders, distances : array or None
        mm.
    times : list or None
        Numbers (seconds since 1970, or pairs of seconds and nanoseconds) or texts.
    pulse_energies : array or None
        mJ.
    scalars : dict of str to array
        By the user's names.
    peaks : str or None
        Group of the lists of peaks.
    """

    energies: np.ndarray | None = None
    encoders: np.ndarray | None = None
    distances: np.ndarray | None = None
    times: Any = None
    pulse_energies: np.ndarray | None = None
    scalars: dict[str, np.ndarray] = field(default_factory=dict)
    peaks: str | None = None

    def get_time(self, index: int) -> int | None:
        """Get the time of a shot.

        Parameters
        ----------
        index : int
            In the file.

        Returns
        -------
        int or None
            Nanoseconds since 1970; None where the file has none, or one that makes no sense.
        """
        if self.times is None or not len(self.times):
            return None
        value = self.times[index if len(self.times) > 1 else 0] if index < len(self.times) or len(
            self.times) == 1 else None
        try:
            if value is None:
                return None
            if isinstance(value, str):
                return parse_time(value)
            seconds, nanoseconds = value if isinstance(value, tuple) else (value, 0)
            return make_time(seconds, nanoseconds) or None
        except FormatError:
            return None


def get_value(values: np.ndarray | None, index: int) -> float | None:
    """Get the value of a shot.

    Parameters
    ----------
    values : (1,) or (n_shots,) array, or None
        One value for all, or one each.
    index : int
        Of the shot.

    Returns
    -------
    float or None
        None where there is none; NaN stays.
    """
    if values is None or not values.size:
        return None
    if values.size == 1:
        return float(values[0])
    return float(values[index]) if index < values.size else None


def read_shot_values(path: str, where: EventValues) -> ShotValues:
    """Read the numbers of all shots of an HDF5 file.

    Parameters
    ----------
    path : str
        The file.
    where : EventValues
        Data sets that the user names.

    Returns
    -------
    ShotValues

    Raises
    ------
    FormatError
        If the file cannot be read, or has not a data set that the user names.
    OptionError
        If a ``scalar`` is not NAME=PATH.
    """
    with open_hdf5(path) as handle, convert_hdf5_errors(path, "the values of its shots are damaged"):
        energies = _read_named(handle, where.energy)
        return ShotValues(
            energies=energies if energies is not None else _read_energies(handle),
            encoders=_read_first(handle, (where.encoder,) if where.encoder else _ENCODERS, bool(where.encoder)),
            distances=_read_named(handle, where.distance),
            times=_read_times(handle, where.time),
            pulse_energies=_read_named(handle, where.pulse_energy) if where.pulse_energy else _read_pulses(handle),
            scalars={name: _read_required(handle, place) for name, place in _split_scalars(where.scalar)},
            peaks=next((name for name in _PEAKS if _has_peaks(handle, name)), None))


def _split_scalars(entries: tuple[str, ...]) -> list[tuple[str, str]]:
    """Names and paths of the user's scalars."""
    pairs = []
    for entry in entries:
        name, equals, path = entry.partition("=")
        if not equals or not name.strip() or not path.strip():
            raise OptionError(f"value.scalar must be NAME=PATH of a data set, got {entry!r}")
        pairs.append((name.strip(), path.strip()))
    return pairs


def _read_numbers(handle: h5py.File, name: str) -> np.ndarray | None:
    """Numbers along the first axis of a data set; None where it is none of numbers."""
    item = get_child(handle, name)
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iufb" or not item.size or item.size > _MOST:
        return None
    values = np.asarray(item[()], np.float64)
    # (n, 1) is one number a shot; other columns belong to something else.
    return values.reshape(len(values), -1)[:, 0] if values.ndim > 1 else values.reshape(-1)


def _read_required(handle: h5py.File, name: str) -> np.ndarray:
    """Numbers of a data set that the user names."""
    values = _read_numbers(handle, name)
    if values is None:
        raise FormatError(f"{handle.filename}: has no data set {name} of numbers, which was named for its shots")
    return values


def _read_named(handle: h5py.File, name: str | None) -> np.ndarray | None:
    """Numbers of a data set that the user may have named."""
    return None if name is None else _read_required(handle, name)


def _read_first(handle: h5py.File, names: tuple[str, ...], must: bool = False) -> np.ndarray | None:
    """Numbers of the first data set that is there."""
    if must:
        return _read_required(handle, names[0])
    return next((values for name in names if (values := _read_numbers(handle, name)) is not None), None)


def _read_energies(handle: h5py.File) -> np.ndarray | None:
    """Photon energies, eV; one that is 0 or no number stays so: it is the shot's, not the file's."""
    for name in _ENERGIES:
        values = _read_numbers(handle, name)
        if values is not None:
            unit = decode_text(handle[name].attrs.get("units")) or ""
            return convert_to_electronvolts(values, unit, f"{handle.filename}: {name}")
    wavelengths = _read_first(handle, _WAVELENGTHS)
    if wavelengths is None:
        return None
    with np.errstate(divide="ignore"):
        return np.where(wavelengths > 0.0, EV_ANGSTROM / wavelengths, np.nan)


def _read_pulses(handle: h5py.File) -> np.ndarray | None:
    """Mean of the gas detectors that the file has, mJ."""
    found = [values for name in _PULSES if (values := _read_numbers(handle, name)) is not None]
    if not found or len({len(values) for values in found}) > 1:
        return None
    return np.mean(found, axis=0)


def _read_times(handle: h5py.File, named: str | None) -> Any:
    """Times: texts, numbers, or pairs of seconds and nanoseconds."""
    if named is None:
        for seconds, nanoseconds in _SECONDS:
            both = _read_integers(handle, seconds), _read_integers(handle, nanoseconds)
            if both[0] is not None and both[1] is not None and len(both[0]) == len(both[1]):
                return list(zip(*(values.tolist() for values in both if values is not None), strict=True))
    for name in (named,) if named else _TIMES:
        item = get_child(handle, name)
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "SO" and item.size and item.size <= _MOST:
            return [decode_text(value) for value in np.asarray(item[()]).reshape(-1)]
        if (numbers := _read_numbers(handle, name)) is not None:
            return numbers.tolist()
    if named:
        raise FormatError(f"{handle.filename}: has no data set {named}, which was named for the times of its shots")
    return None


def _read_integers(handle: h5py.File, name: str) -> np.ndarray | None:
    """Whole numbers, exact: seconds and nanoseconds do not fit into a float together."""
    item = get_child(handle, name)
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iu" or not item.size or item.size > _MOST:
        return None
    return np.asarray(item[()]).reshape(-1)


def _has_peaks(handle: h5py.File, name: str) -> bool:
    """Whether a group has Cheetah's lists of peaks."""
    group = get_child(handle, name)
    return isinstance(group, h5py.Group) and all(
        isinstance(get_child(group, key), h5py.Dataset) for key in ("nPeaks", "peakXPosRaw", "peakYPosRaw"))


def read_peaks(path: str, group_name: str, index: int) -> PeakList:
    """Read the peaks of a shot as Cheetah writes them.

    Parameters
    ----------
    path : str
        The HDF5 file.
    group_name : str
        Of the lists.
    index : int
        Of the shot.

    Returns
    -------
    PeakList

    Raises
    ------
    FormatError
        If the lists are damaged.
    """
    with open_hdf5(path) as handle, convert_hdf5_errors(path, "its lists of peaks are damaged"):
        group = handle[group_name]
        n_peaks = int(group["nPeaks"][index])
        fast, slow = (np.asarray(group[key][index], np.float64) for key in ("peakXPosRaw", "peakYPosRaw"))
        if not 0 <= n_peaks <= min(len(fast), len(slow)):
            raise FormatError(f"{path}: shot {index} has {n_peaks} peaks in a list of {len(fast)}")
        total = get_child(group, "peakTotalIntensity")
        intensity = np.asarray(total[index], np.float64) if isinstance(total, h5py.Dataset) else np.zeros(len(fast))
        return PeakList(fast[:n_peaks], slow[:n_peaks], intensity[:n_peaks])
