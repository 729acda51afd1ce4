"""NXmx: NeXus files of macromolecular crystallography, as Dectris' file writer, DLS and others write them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Scan
from xdp.experiment.detector import SIMPLE
from xdp.experiment.goniometer import make_width_positive
from xdp.images.formats.base import Format, Models
from xdp.images.formats.hdf5.data import DATA_FILE, open_frames, read_pixel_masks
from xdp.images.formats.hdf5.files import (
    convert_hdf5_errors,
    decode_text,
    get_child,
    list_children_of_class,
    open_hdf5,
    read_number,
    read_nx_class,
    read_text,
)
from xdp.images.formats.hdf5.frames import Frames
from xdp.images.formats.hdf5.nexus_axes import follow_chain, locate, read_values
from xdp.images.formats.hdf5.nexus_beam import build_nexus_beam, is_electron, read_wavelengths
from xdp.images.formats.hdf5.nexus_detector import (
    ELECTRON_MU,
    Module,
    build_nexus_detector,
    read_module,
    read_sensor,
)
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
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "is damaged"):
            entry = _find_entry(handle)
            instrument = _get_first(entry, "NXinstrument")
            self._read_models(entry, instrument)

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """An entry whose definition is NXmx."""
        try:
            with open_hdf5(path) as handle, convert_hdf5_errors(path):
                return any(_is_nxmx(get_child(handle, key)) for key in handle)
        except FormatError:
            return False

    @property
    def n_images(self) -> int:
        """Frames of the scan; of a stack of stills, of the data."""
        return self._scan.n_frames if self._scan is not None else len(self._frames)

    def models(self, index: int = 0) -> Models:
        """The models of one image, with its own wavelength where there is one for each."""
        # What the images share is not read again.
        scan = None if self._scan is None else select_image(self._scan, index)
        return dataclasses.replace(self.stack_models(), beam=self._build_beam(index), scan=scan)

    def stack_models(self) -> Models:
        """The models of the series; the beam is the first image's."""
        return Models(self._build_beam(0), self._detector, self._goniometer, self._scan)

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The panels of an image: the modules' parts of the frame."""
        # A detector of one module is as a rule the whole frame: then nothing is copied.
        frame = self._frames[index]
        whole = len(self._slices) == 1 and self._modules[0].size == frame.shape
        parts = [frame if whole else np.ascontiguousarray(frame[s]) for s in self._slices]
        return [convert_to_native(part.reshape(part.shape[-2:]), self._markers) for part in parts]

    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels whose ``pixel_mask`` (and ``pixel_mask_2``, ...) has no bit set."""
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "its pixel mask is damaged"):
            detector = _get_first(_get_first(_find_entry(handle), "NXinstrument"), "NXdetector")
            return read_pixel_masks(detector, self._frames.shape, self._slices)

    def _read_models(self, entry: h5py.Group, instrument: h5py.Group) -> None:
        """Read everything but pixels and mask; the file is closed afterwards."""
        detector = _get_first(instrument, "NXdetector")
        sample = next(iter(list_children_of_class(entry, "NXsample")), None)
        chain = [] if sample is None else follow_chain(sample, read_text(sample, "depends_on"))
        # One wavelength, or one for each image.
        self._wavelengths = read_wavelengths(_find_beam_group(instrument, sample))
        self._electrons = is_electron(entry)
        self._goniometer = read_goniometer(chain)
        scan = read_scan(chain, _read_frame_time(detector))
        self._frames = _open_frames(entry, None if scan is None else scan.n_frames)
        # A negative step about an axis is a positive one about the opposite axis.
        if scan is not None and self._goniometer is not None:
            self._goniometer, scan = make_width_positive(self._goniometer, scan)
        self._scan = self._check_scan(scan)
        self._modules = _read_modules(detector, self._frames.shape)
        self._slices = [module.slices for module in self._modules]
        self._detector = self._read_detector(detector, _read_gain(entry))
        highest = self._detector[0].trusted_range[1]
        self._markers = Markers.from_bit_depth(self._frames.dtype, _read_bit_depth(detector), highest)

    def _read_detector(self, detector: h5py.Group, gain: float) -> Detector:
        """Read the detector, with the sensor at the first image's wavelength."""
        # Dectris' writer counts from 0 and does not say so; nor did DLS.
        specific = get_child(detector, "detectorSpecific")
        is_dectris = isinstance(specific, h5py.Group) and "eiger_fw_version" in specific
        underload = 0.0 if is_dectris or _is_dls(detector.parent) else None
        sensor = read_sensor(detector, float(self._wavelengths[0]), underload, gain)
        if self._electrons:
            sensor = dataclasses.replace(sensor, px_mm_strategy=SIMPLE, mu=ELECTRON_MU)
        x, y = read_number(detector, "beam_center_x"), read_number(detector, "beam_center_y")
        return build_nexus_detector(self._modules, sensor, None if x is None or y is None else (x, y))

    def _check_scan(self, scan: Scan | None) -> Scan | None:
        """The scan, if the file has data for it; one setting for many frames is no scan: they are stills."""
        n_data = len(self._frames)
        if scan is None or (scan.n_frames == 1 and n_data > 1):
            return None
        if n_data < scan.n_frames:
            raise FormatError(f"{self.path}: its scan has {scan.n_frames} images, its data files have {n_data}")
        return scan

    def _build_beam(self, index: int) -> Beam:
        """The beam of one image; electrons are not polarised."""
        wavelength = self._wavelengths[index if self._wavelengths.size > index else 0]
        beam = build_nexus_beam(wavelength)
        if self._electrons:
            return dataclasses.replace(beam, polarization_fraction=0.5, probe="electron")
        return beam


def _is_nxmx(item: Any) -> bool:
    return read_nx_class(item) == "NXentry" and read_text(item, "definition") == "NXmx"


def _find_entry(handle: h5py.File) -> h5py.Group:
    """Find the first entry that follows NXmx."""
    for key in handle:
        if _is_nxmx(item := get_child(handle, key)):
            return item
    raise FormatError(f"{handle.filename}: has no entry whose definition is NXmx")


def _get_first(group: h5py.Group, kind: str) -> h5py.Group:
    """The first group of a NeXus class, which must be there."""
    found = list_children_of_class(group, kind)
    if not found:
        raise FormatError(f"{locate(group)}: has no {kind}")
    return found[0]


def _find_beam_group(instrument: h5py.Group, sample: h5py.Group | None) -> h5py.Group:
    """Find the beam: the standard has it in the instrument, older files have it in the sample."""
    for group in [instrument] if sample is None else [instrument, sample]:
        if found := list_children_of_class(group, "NXbeam"):
            return found[0]
    raise FormatError(f"{locate(instrument)}: has no NXbeam, so no wavelength")


def _read_frame_time(detector: h5py.Group) -> float | None:
    """Seconds from frame to frame, None where the file does not say."""
    dataset = get_child(detector, "frame_time")
    return float(read_values(dataset, "time")[0]) if isinstance(dataset, h5py.Dataset) and dataset.size else None


def _read_bit_depth(detector: h5py.Group) -> int | None:
    """Read the bits of a pixel as stored: Dectris says so in bit_depth_image, the standard has bit_depth_readout."""
    specific = get_child(detector, "detectorSpecific")
    is_dectris = isinstance(specific, h5py.Group) and "eiger_fw_version" in specific
    depth = read_number(detector, "bit_depth_image") if is_dectris else None
    depth = depth or read_number(detector, "bit_depth_readout")
    return int(depth) if depth else None


def _is_dls(instrument: h5py.Group) -> bool:
    """Whether the file is of Diamond, by any of the places where an instrument's name may stand."""
    item = get_child(instrument, "name")
    names = [decode_text(instrument.attrs.get("short_name")), read_text(instrument, "name")]
    if isinstance(item, h5py.Dataset):
        names.append(decode_text(item.attrs.get("short_name")))
    return any(n and n.upper().startswith(("DIAMOND BEAMLINE", "DLS")) for n in names)


def _read_gain(entry: h5py.Group) -> float:
    """Read counts per photon: the inverse of NXdata's scale factor, where it has one."""
    for group in list_children_of_class(entry, "NXdata"):
        scale = read_number(group, "data_scale_factor")
        if scale is not None and scale > 0.0:
            return 1.0 / scale
    return 1.0


def _open_frames(entry: h5py.Group, n_wanted: int | None) -> Frames:
    """Open the frames: the signal of NXdata, or data_000001 and its followers, or the first stack there is."""
    data = _get_first(entry, "NXdata")
    signal = decode_text(data.attrs.get("signal"))
    rows = sorted(key for key in data if DATA_FILE.fullmatch(key))
    if signal and signal in data.keys() and not DATA_FILE.fullmatch(signal):  # noqa: SIM118  broken links count too
        return open_frames(data, [signal], n_wanted)
    if rows:
        return open_frames(data, rows, n_wanted)
    # A file of another writer: anything with frames, or the first data set for the message.
    stacks = [key for key in data if isinstance(item := get_child(data, key), h5py.Dataset) and item.ndim >= 3]
    names = stacks[:1] or [key for key in data if not isinstance(get_child(data, key), h5py.Group)][:1]
    return open_frames(data, names, n_wanted)


def _read_modules(detector: h5py.Group, frame_shape: tuple[int, ...]) -> list[Module]:
    """Read the detector's modules, in the order of their names."""
    groups = list_children_of_class(detector, "NXdetector_module")
    if not groups:
        raise FormatError(f"{locate(detector)}: has no NXdetector_module")
    return [read_module(group, frame_shape) for group in groups]
