"""Eiger HDF5 as Dectris' file writer made it before it wrote NXmx: a master file, and data files it links to."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Detector, Goniometer, Panel, Scan
from xdp.experiment.detector import PARALLAX
from xdp.images.formats.base import Format, Models
from xdp.images.formats.hdf5.data import DATA_FILE, open_frames, read_pixel_masks
from xdp.images.formats.hdf5.files import (
    convert_hdf5_errors,
    decode_text,
    get_child,
    open_hdf5,
    read_number,
    read_nx_class,
    read_stated_number,
    read_text,
)
from xdp.images.formats.hdf5.nexus_axes import TO_IMGCIF, follow_chain, locate, read_values, to_floats
from xdp.images.formats.hdf5.nexus_beam import build_nexus_beam, read_wavelengths
from xdp.images.formats.hdf5.nexus_detector import read_sensor
from xdp.images.formats.hdf5.nexus_scan import read_frame_angles, read_goniometer, read_scan
from xdp.images.formats.modules import EIGER, EIGER2, find_gaps
from xdp.images.formats.pixel_types import convert_to_native
from xdp.images.formats.units import find_unit_factor
from xdp.images.scans import select_image

# Rotation axes (NeXus' frame) that are not the usual one, by the detector's serial number: MAX IV turns about the
# vertical.
_AXES = {"E-32-0105": (0.0, 1.0, 0.0)}
# Of the corner of the detector's first pixel.
_DISTANCES = "geometry/translation/distances"


class EigerHDF5(Format):
    """An Eiger master file without NXmx's definition: one module, distances and orientation in ``geometry``."""

    name: ClassVar[str] = "Eiger HDF5"
    is_stack: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, params)
        self._angles: tuple[np.ndarray, np.ndarray] | None = None
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "is damaged"):
            entry = handle["entry"]
            detector = _get_group(entry, "instrument/detector")
            data = _get_group(entry, "data")
            names = sorted(key for key in data if DATA_FILE.fullmatch(key)) or sorted(data)
            self._n_announced = _read_n_images(detector)
            missing: list[str] | None = [] if "images" in self.given else None
            self._frames = open_frames(data, names, self._n_announced, missing)
            self.missing = " ".join(missing or ())
            wavelength = self._read_wavelength(entry)
            self._models = Models(build_nexus_beam(float(wavelength)), self._read_detector(detector, float(wavelength)),
                                  *self._read_rotation(entry, detector))

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """An entry without definition, with a detector described as a Dectris Eiger."""
        try:
            with open_hdf5(path) as handle, convert_hdf5_errors(path):
                entry = get_child(handle, "entry")
                if not isinstance(entry, h5py.Group) or read_nx_class(entry) != "NXentry" or "definition" in entry:
                    return False
                detector = get_child(entry, "instrument/detector")
                description = read_text(detector, "description") if isinstance(detector, h5py.Group) else None
                return "dectris eiger" in (description or "").lower()
        except FormatError:
            return False

    def frame_angles(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Start and width of each frame where the file has an axis that turns."""
        return self._angles

    @property
    def n_images(self) -> int:
        """Frames of all data files."""
        return len(self._frames)

    def models(self, index: int = 0) -> Models:
        """The models of one image; all but the scan are those of the series."""
        scan = self._models.scan
        return dataclasses.replace(self._models, scan=None if scan is None else select_image(scan, index))

    def stack_models(self) -> Models:
        """The models of the series."""
        return self._models

    def list_sources(self) -> frozenset[tuple[str, str]]:
        """Data files and their data sets."""
        return self._frames.sources

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The one panel of an image."""
        if index >= len(self._frames):
            raise FormatError(f"{self.path}: image {index + 1} is not there, its data files have {len(self._frames)}"
                              + (f" ({self.missing})" if self.missing else ""))
        return [convert_to_native(self._frames[index])]

    def _read_wavelength(self, entry: h5py.Group) -> float:
        """The wavelength, Å; where it is given, that of a header that lacks it does not matter."""
        try:
            return float(read_wavelengths(_get_group(entry, "instrument/beam"))[0])
        except FormatError:
            if "wavelength" not in self.given:
                raise
            return 1.0

    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels whose ``pixel_mask`` has no bit set."""
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "its pixel mask is damaged"):
            detector = _get_group(handle, "entry/instrument/detector")
            specific = get_child(detector, "detectorSpecific")
            for group in (detector, specific):
                if isinstance(group, h5py.Group):
                    mask = read_pixel_masks(group, self._frames.shape, [(slice(None), slice(None))])
                    if mask is not None:
                        return mask
        return None

    def _read_detector(self, detector: h5py.Group, wavelength: float) -> Detector:
        """The one panel, its modules' gaps masked."""
        if len(self._frames.shape) != 2:
            raise FormatError(f"{self.path}: frames must be (slow, fast), are {self._frames.shape}")
        sensor = read_sensor(detector, wavelength, underload=0.0, given=self.given)
        # Fast and slow direction of the pixels.
        orientation = _read_vectors(detector, "geometry/orientation/value", 2)
        fast, slow = (TO_IMGCIF @ vector for vector in orientation)
        sizes = [float(read_values(_get_dataset(detector, f"{name}_pixel_size"), "length")[0]) for name in "xy"]
        origin = TO_IMGCIF @ (_read_length_factor(detector) * _read_vectors(detector, _DISTANCES, 1)[0])
        if origin[0] == 0.0 and origin[1] == 0.0:
            # No shift: the beam centre says where the panel lies.
            centre = [read_number(detector, f"beam_center_{name}") or 0.0 for name in "xy"]
            origin = origin - centre[0] * sizes[0] * fast - centre[1] * sizes[1] * slow
        image_size = (int(self._frames.shape[1]), int(self._frames.shape[0]))
        panel = Panel(
            fast_axis=to_floats(fast), slow_axis=to_floats(slow), origin=to_floats(origin), image_size=image_size,
            pixel_size=(sizes[0], sizes[1]), name=detector.name,
            trusted_range=(0.0, _read_cutoff(detector, self.given)),
            type="SENSOR_PAD", thickness=sensor.thickness, material=sensor.material, mu=sensor.mu,
            mask=find_gaps(image_size, (EIGER, EIGER2)), px_mm_strategy=PARALLAX,
        )  # fmt: skip
        return Detector((panel,))

    def _read_rotation(self, entry: h5py.Group, detector: h5py.Group) -> tuple[Goniometer | None, Scan | None]:
        """Read goniometer and scan: of the axes where there are any, else about the usual axis from 0 degrees."""
        n_frames = len(self._frames)
        if self._n_announced is not None and self._n_announced > n_frames:
            if self.missing:  # import refuses it, or the user gives the range of those that are there
                n_frames = self._n_announced
            else:
                self.notes.append(f"its header announces {self._n_announced} images, its data files have {n_frames}")
        time = read_number(detector, "frame_time") or 0.0
        sample = get_child(entry, "sample")
        target = None
        if isinstance(sample, h5py.Group):
            omega = get_child(sample, "transformations/omega")
            has_omega = isinstance(omega, h5py.Dataset) and "vector" in omega.attrs
            target = read_text(sample, "depends_on") or ("transformations/omega" if has_omega else None)
        if target:
            chain = follow_chain(sample, target)
            scan = read_scan(chain, time)
            # A scan of more angles than there are images is not trusted.
            if scan is not None and scan.n_frames <= n_frames:
                if scan.n_frames > 1:
                    self._angles = read_frame_angles(chain)
                return read_goniometer(chain), scan
        number = read_number(sample, "goniometer/omega_range_average") if isinstance(sample, h5py.Group) else None
        # The file has float32: digits beyond the fifth are noise.
        width = round(number, 5) if number is not None else 0.0
        serial = (read_text(detector, "detector_number") or "").strip()
        axis = TO_IMGCIF @ np.asarray(_AXES.get(serial, (-1.0, 0.0, 0.0)))
        scan = Scan((1, n_frames), (0.0, width), exposure_time=(time,) * n_frames,
                    epochs=tuple(float(e) for e in np.arange(n_frames) * time))
        return Goniometer(rotation_axis=to_floats(axis)), scan


def _read_length_factor(detector: h5py.Group) -> float:
    """What turns the distances of Dectris' geometry into mm; without a unit they are in metres."""
    dataset = _get_dataset(detector, _DISTANCES)
    return find_unit_factor(decode_text(dataset.attrs.get("units")) or "m", "length", locate(dataset))


def _get_group(parent: h5py.Group, name: str) -> h5py.Group:
    """A group that must be there."""
    item = get_child(parent, name)
    if not isinstance(item, h5py.Group):
        raise FormatError(f"{locate(parent)}: has no group {name}")
    return item


def _get_dataset(parent: h5py.Group, name: str) -> h5py.Dataset:
    """A data set that must be there."""
    item = get_child(parent, name)
    if not isinstance(item, h5py.Dataset):
        raise FormatError(f"{locate(parent)}: has no data set {name}")
    return item


def _read_n_images(detector: h5py.Group) -> int | None:
    """Images of the series, None where the file does not say: images of a trigger, times triggers."""
    specific = get_child(detector, "detectorSpecific")
    if not isinstance(specific, h5py.Group):
        return None
    n_images, n_triggers = (read_stated_number(specific, name) for name in ("nimages", "ntrigger"))
    return None if n_images is None else int(n_images * (n_triggers or 1))


def _read_vectors(detector: h5py.Group, name: str, count: int) -> list[np.ndarray]:
    """Read `count` vectors of Dectris' geometry, with z turned to NeXus' way."""
    dataset = _get_dataset(detector, name)
    values = np.asarray(dataset[()], dtype=np.float64).reshape(-1) if dataset.size == 3 * count else np.zeros(0)
    if values.size != 3 * count or not np.isfinite(values).all():
        raise FormatError(f"{locate(dataset)}: wanted {3 * count} numbers, has shape {dataset.shape}")
    return [row * (1.0, 1.0, -1.0) for row in values.reshape(count, 3)]


def _read_cutoff(detector: h5py.Group, given: Collection[str]) -> float:
    """Read the highest count that can be trusted: where the count rate correction ends."""
    if "trusted_range" in given:
        return float(0x7FFFFFFF)
    for name in ("detectorSpecific/countrate_correction_count_cutoff",
                 "detectorSpecific/detectorModule_000/countrate_correction_count_cutoff"):
        value = read_stated_number(detector, name)
        if value is not None:
            return value
    # The highest count of an int32: no pixel is overloaded.
    return float(0x7FFFFFFF)


