"""NXmx: NeXus files of macromolecular crystallography, as Dectris' file writer, DLS and others write them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Detector, Scan
from xdp.experiment.goniometer import forwards
from xdp.images.formats.base import Format, Models
from xdp.images.formats.hdf5.data import DATA_FILE, open_frames, read_pixel_masks
from xdp.images.formats.hdf5.files import (
    child,
    children_of_class,
    hdf5_errors,
    number_of,
    nx_class,
    open_hdf5,
    text,
    text_of,
)
from xdp.images.formats.hdf5.frames import Frames
from xdp.images.formats.hdf5.nexus_axes import chain_from, values_of, where_of
from xdp.images.formats.hdf5.nexus_beam import is_electron, make_beam, read_wavelengths
from xdp.images.formats.hdf5.nexus_detector import ELECTRON_SENSOR, Module, make_detector, read_module, read_sensor
from xdp.images.formats.hdf5.nexus_scan import read_goniometer, read_scan
from xdp.images.formats.pixel_types import Markers, convert_to_native
from xdp.images.scans import select_image


class NXmx(Format):
    """An NXmx file: a series or a stack of stills.

    The detector's modules become panels. Pixels that the detector marked (the two highest values of its bit depth)
    are -1 and -2 where the trusted range would let them pass.
    """

    name: ClassVar[str] = "NXmx"
    is_stack: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, params)
        with open_hdf5(self.path) as handle, hdf5_errors(self.path, "is damaged"):
            entry = _entry(handle)
            instrument = _only(entry, "NXinstrument")
            self._read_models(entry, instrument)

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """An entry whose definition is NXmx."""
        try:
            with open_hdf5(path) as handle, hdf5_errors(path):
                return any(_is_nxmx(child(handle, key)) for key in handle)
        except FormatError:
            return False

    @property
    def n_images(self) -> int:
        """Frames of the scan; of a stack of stills, of the data."""
        return self._scan.n_frames if self._scan is not None else len(self._frames)

    def models(self, index: int = 0) -> Models:
        """The models of one image: its own wavelength where there is one for each."""
        scan = None if self._scan is None else select_image(self._scan, index)
        return dataclasses.replace(self.stack_models(), beam=self._beam(index), scan=scan)

    def stack_models(self) -> Models:
        """The models of the series; the beam is the first image's."""
        return Models(self._beam(0), self._detector, self._goniometer, self._scan)

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The panels of an image: the modules' parts of the frame."""
        frame = self._frames[index]
        whole = len(self._slices) == 1 and self._modules[0].size == frame.shape
        parts = [frame if whole else np.ascontiguousarray(frame[s]) for s in self._slices]
        return [convert_to_native(part.reshape(part.shape[-2:]), self._markers) for part in parts]

    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels whose ``pixel_mask`` (and ``pixel_mask_2``, ...) has no bit set."""
        with open_hdf5(self.path) as handle, hdf5_errors(self.path, "its pixel mask is damaged"):
            detector = _only(_only(_entry(handle), "NXinstrument"), "NXdetector")
            return read_pixel_masks(detector, self._frames.shape, self._slices)

    # Reading ---------------------------------------------------------------------------------------------------------

    def _read_models(self, entry: h5py.Group, instrument: h5py.Group) -> None:
        detector = _only(instrument, "NXdetector")
        sample = next(iter(children_of_class(entry, "NXsample")), None)
        chain = [] if sample is None else chain_from(sample, text_of(sample, "depends_on"))
        self._wavelengths = read_wavelengths(_beam_group(instrument, sample))
        self._electrons = is_electron(entry)
        self._goniometer = read_goniometer(chain)
        scan = read_scan(chain, _frame_time(detector))
        self._frames = _frames_of(entry, None if scan is None else scan.n_frames)
        if scan is not None and self._goniometer is not None:
            self._goniometer, scan = forwards(self._goniometer, scan)
        self._scan = self._checked(scan)
        self._modules = _modules(detector, self._frames.shape)
        self._slices = [module.slices for module in self._modules]
        self._detector = self._make_detector(detector, _gain(entry))
        highest = self._detector[0].trusted_range[1]
        self._markers = Markers.from_bit_depth(self._frames.dtype, _bit_depth(detector), highest)

    def _make_detector(self, detector: h5py.Group, gain: float) -> Detector:
        # Dectris' writer counts from 0 and does not say so; nor did DLS.
        specific = child(detector, "detectorSpecific")
        is_dectris = isinstance(specific, h5py.Group) and "eiger_fw_version" in specific
        underload = 0.0 if is_dectris or _is_dls(detector.parent) else None
        sensor = read_sensor(detector, float(self._wavelengths[0]), underload, gain)
        if self._electrons:
            sensor = dataclasses.replace(sensor, **ELECTRON_SENSOR)  # type: ignore[arg-type]
        centre = number_of(detector, "beam_center_x"), number_of(detector, "beam_center_y")
        return make_detector(self._modules, sensor, None if None in centre else centre)  # type: ignore[arg-type]

    def _checked(self, scan: Scan | None) -> Scan | None:
        """The scan, if the file has data for it; one setting for many frames is no scan: they are stills."""
        n_data = len(self._frames)
        if scan is None or (scan.n_frames == 1 and n_data > 1):
            return None
        if n_data < scan.n_frames:
            raise FormatError(f"{self.path}: its scan has {scan.n_frames} images, its data files have {n_data}")
        return scan

    def _beam(self, index: int):
        wavelength = self._wavelengths[index if self._wavelengths.size > index else 0]
        beam = make_beam(wavelength)
        if self._electrons:
            return dataclasses.replace(beam, polarization_fraction=0.5, probe="electron")
        return beam


def _is_nxmx(item: Any) -> bool:
    return nx_class(item) == "NXentry" and text_of(item, "definition") == "NXmx"


def _entry(handle: h5py.File) -> h5py.Group:
    for key in handle:
        if _is_nxmx(item := child(handle, key)):
            return item
    raise FormatError(f"{handle.filename}: has no entry whose definition is NXmx")


def _only(group: h5py.Group, kind: str) -> h5py.Group:
    """The first group of a NeXus class."""
    found = children_of_class(group, kind)
    if not found:
        raise FormatError(f"{where_of(group)}: has no {kind}")
    return found[0]


def _beam_group(instrument: h5py.Group, sample: h5py.Group | None) -> h5py.Group:
    found = children_of_class(instrument, "NXbeam") or ([] if sample is None else children_of_class(sample, "NXbeam"))
    if not found:
        raise FormatError(f"{where_of(instrument)}: has no NXbeam, so no wavelength")
    return found[0]


def _frame_time(detector: h5py.Group) -> float | None:
    dataset = child(detector, "frame_time")
    return float(values_of(dataset, "time")[0]) if isinstance(dataset, h5py.Dataset) and dataset.size else None


def _bit_depth(detector: h5py.Group) -> int | None:
    """Bits of a pixel as stored: Dectris says so in bit_depth_image, the standard has bit_depth_readout."""
    specific = child(detector, "detectorSpecific")
    is_dectris = isinstance(specific, h5py.Group) and "eiger_fw_version" in specific
    depth = (number_of(detector, "bit_depth_image") if is_dectris else None) or number_of(detector, "bit_depth_readout")
    return int(depth) if depth else None


def _is_dls(instrument: h5py.Group) -> bool:
    item = child(instrument, "name")
    names = [text(instrument.attrs.get("short_name")), text_of(instrument, "name")]
    if isinstance(item, h5py.Dataset):
        names.append(text(item.attrs.get("short_name")))
    return any(n and n.upper().startswith(("DIAMOND BEAMLINE", "DLS")) for n in names)


def _gain(entry: h5py.Group) -> float:
    """Counts per photon: the inverse of NXdata's scale factor, where it has one."""
    for group in children_of_class(entry, "NXdata"):
        scale = number_of(group, "data_scale_factor")
        if scale is not None and scale > 0.0:
            return 1.0 / scale
    return 1.0


def _frames_of(entry: h5py.Group, n_wanted: int | None) -> Frames:
    """The frames: the signal of NXdata, or data_000001 and its followers, or the first stack there is."""
    data = _only(entry, "NXdata")
    signal = text(data.attrs.get("signal"))
    rows = sorted(key for key in data if DATA_FILE.fullmatch(key))
    if signal and signal in data.keys() and not DATA_FILE.fullmatch(signal):  # noqa: SIM118  broken links count too
        return open_frames(data, [signal], n_wanted)
    if rows:
        return open_frames(data, rows, n_wanted)
    stacks = [key for key in data if isinstance(item := child(data, key), h5py.Dataset) and item.ndim >= 3]
    names = stacks[:1] or [key for key in data if not isinstance(child(data, key), h5py.Group)][:1]
    return open_frames(data, names, n_wanted)


def _modules(detector: h5py.Group, frame_shape: tuple[int, ...]) -> list[Module]:
    groups = children_of_class(detector, "NXdetector_module")
    if not groups:
        raise FormatError(f"{where_of(detector)}: has no NXdetector_module")
    return [read_module(group, frame_shape) for group in groups]
