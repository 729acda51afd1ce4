"""NXmx: NeXus files of macromolecular crystallography, as Dectris' file writer, DLS and others write them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam
from xdp.experiment.detector import SIMPLE
from xdp.experiment.goniometer import make_width_positive
from xdp.images.formats.base import Format, Models
from xdp.images.formats.hdf5.data import open_frames, read_pixel_masks
from xdp.images.formats.hdf5.files import (
    convert_hdf5_errors,
    decode_text,
    get_child,
    list_children_of_class,
    open_hdf5,
    read_stated_number,
    read_text,
)
from xdp.images.formats.hdf5.nexus_axes import NexusAxis, follow_chain, locate, read_values
from xdp.images.formats.hdf5.nexus_beam import build_nexus_beam, is_electron, read_wavelengths
from xdp.images.formats.hdf5.nexus_detector import (
    ELECTRON_MU,
    Module,
    build_nexus_detector,
    read_distance_axis,
    read_module,
    read_nexus_beam_centre,
    read_sensor,
)
from xdp.images.formats.hdf5.nexus_groups import (
    find_data,
    find_detector,
    find_entry,
    find_first,
    is_nxmx,
    list_signals,
)
from xdp.images.formats.hdf5.nexus_scan import read_frame_angles, read_goniometer, read_n_settings, read_scan
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
        self._n_detectors = 1
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "is damaged"):
            entry = find_entry(handle)
            self._read_models(entry, find_first(entry, "NXinstrument"))

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """An entry whose definition is NXmx."""
        try:
            with open_hdf5(path) as handle, convert_hdf5_errors(path):
                return any(is_nxmx(get_child(handle, key)) for key in handle)
        except FormatError:
            return False

    @property
    def n_images(self) -> int:
        """Frames of the data files that are there; the scan may be of more, or of fewer."""
        return len(self._frames)

    def models(self, index: int = 0) -> Models:
        """The models of one image, with its own wavelength where there is one for each."""
        # What the images share is not read again.
        scan = None if self._scan is None else select_image(self._scan, index)
        return dataclasses.replace(self.stack_models(), beam=self._build_beam(index), scan=scan)

    def stack_models(self) -> Models:
        """The models of the series; the beam is the first image's."""
        return Models(self._build_beam(0), self._detector, self._goniometer, self._scan)

    def frame_angles(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Start and width of each frame by the axis that turns."""
        return self._angles

    def list_sources(self) -> frozenset[tuple[str, str]]:
        """Data files and their data sets."""
        return self._frames.sources

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The panels of an image: the modules' parts of the frame."""
        # A detector of one module is as a rule the whole frame: then nothing is copied.
        if index >= len(self._frames):
            raise FormatError(f"{self.path}: image {index + 1} is not there: {self._explain_short()}")
        frame = self._frames[index]
        whole = len(self._slices) == 1 and self._modules[0].size == frame.shape
        parts = [frame if whole else np.ascontiguousarray(frame[s]) for s in self._slices]
        return [convert_to_native(part.reshape(part.shape[-2:]), self._markers) for part in parts]

    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels whose ``pixel_mask`` (and ``pixel_mask_2``, ...) has no bit set."""
        with open_hdf5(self.path) as handle, convert_hdf5_errors(self.path, "its pixel mask is damaged"):
            detector = handle[self._detector_path]
            return read_pixel_masks(detector, self._frames.shape, self._slices)

    def _read_models(self, entry: h5py.Group, instrument: h5py.Group) -> None:
        """Read everything but pixels and mask; the file is closed afterwards."""
        sample = next(iter(list_children_of_class(entry, "NXsample")), None)
        chain = [] if sample is None else follow_chain(sample, read_text(sample, "depends_on"))
        self._note_others(entry, instrument)
        data = find_data(entry)
        missing: list[str] | None = [] if "images" in self.given and chain else None
        # One setting is that of any number of stills.
        n_settings = read_n_settings(chain) or 0
        self._frames = open_frames(data, list_signals(data), n_settings if n_settings > 1 else None, missing)
        self.missing = " ".join(missing or ())
        images = get_child(data, (list_signals(data) or [""])[0])
        detector = find_detector(instrument, images, self._frames.shape)
        self._detector_path = detector.name
        if self._n_detectors > 1:
            self.notes.append(f"of its {self._n_detectors} detectors {detector.name} is read, with the images of "
                              f"{data.name}")
        # One wavelength, or one for each image.
        self._wavelengths = self._read_wavelengths(instrument, sample)
        self._electrons = is_electron(entry)
        self._read_rotation(chain, self._read_frame_time(detector))
        self._modules = _read_modules(detector, self._frames.shape, "distance" in self.given)
        self._slices = [module.slices for module in self._modules]
        self._read_detector(detector, _read_gain(entry))

    def _note_others(self, entry: h5py.Group, instrument: h5py.Group) -> None:
        """Note what the file has more than one of: only one is read."""
        others = [key for key in entry.file if is_nxmx(item := get_child(entry.file, key)) and item != entry]
        if others:
            self.notes.append(f"entries that are not read: {', '.join(others)} ({entry.name.strip('/')} is)")
        detectors = [group for group in list_children_of_class(instrument, "NXdetector")
                     if list_children_of_class(group, "NXdetector_module")]
        if len(detectors) > 1:
            self._n_detectors = len(detectors)

    def _read_rotation(self, chain: Sequence[tuple[NexusAxis, h5py.Dataset]], frame_time: float | None) -> None:
        """Read goniometer and scan."""
        n_held = len(self._frames)
        self._goniometer = read_goniometer(chain)
        scan = read_scan(chain, frame_time, n_held)
        self._angles = read_frame_angles(chain, n_held)
        n_settings = read_n_settings(chain) or 0
        if scan is not None and 1 < scan.n_frames < n_settings:
            self.notes.append(f"the scan has {n_settings} angles for {n_held} images; the last one is taken as the end "
                              "of the last image")
        # A negative step about an axis is a positive one about the opposite axis.
        if scan is not None and self._goniometer is not None:
            self._goniometer, forward = make_width_positive(self._goniometer, scan)
            if forward is not scan and self._angles is not None:
                self._angles = -self._angles[0], -self._angles[1]
            scan = forward
        # One setting for many frames is no scan: they are stills.
        self._scan = None if scan is None or (scan.n_frames == 1 and n_held > 1) else scan
        if self._scan is None and self.missing:
            self.notes.append(f"of its stills {n_held} are read, others are not there: {self.missing}")
        if self._scan is not None and n_held < self._scan.n_frames and "images" not in self.given:
            raise FormatError(f"{self.path}: {self._explain_short()}")

    def _explain_short(self) -> str:
        """What to say of images that the scan has and the data files have not."""
        n_images = 0 if self._scan is None else self._scan.n_frames
        why = f" ({self.missing})" if self.missing else ""
        return f"its scan has {n_images} images, its data files have {len(self._frames)}{why}"

    def _read_wavelengths(self, instrument: h5py.Group, sample: h5py.Group | None) -> np.ndarray:
        """Read the wavelengths, Å; where they are given, those of a header that lacks them do not matter."""
        try:
            return read_wavelengths(_find_beam_group(instrument, sample))
        except FormatError:
            if "wavelength" not in self.given:
                raise
            return np.ones(1)

    def _read_frame_time(self, detector: h5py.Group) -> float | None:
        """Seconds from frame to frame, None where the file does not say; nothing but times depends on it."""
        dataset = get_child(detector, "frame_time")
        if not isinstance(dataset, h5py.Dataset) or not dataset.size:
            return None
        try:
            return float(read_values(dataset, "time")[0])
        except FormatError as error:
            self.notes.append(f"exposure times are not known ({str(error).removeprefix(self.path + ': ')})")
            return None

    def _read_detector(self, detector: h5py.Group, gain: float) -> None:
        """Read the detector, with the sensor at the first image's wavelength, and the marks of its pixels."""
        # Dectris' writer counts from 0 and does not say so; nor did DLS. Unsigned counts of known depth are not below
        # 0 either: what is negative in them are marks.
        specific = get_child(detector, "detectorSpecific")
        is_dectris = isinstance(specific, h5py.Group) and "eiger_fw_version" in specific
        depth = _read_bit_depth(detector, is_dectris) if "trusted_range" not in self.given else None
        is_unsigned = self._frames.dtype.kind == "u"
        is_from_zero = is_dectris or (is_unsigned and depth is not None) or _is_dls(detector.parent)
        underload = 0.0 if is_from_zero else None
        sensor = read_sensor(detector, float(self._wavelengths[0]), underload, gain, self.given)
        if self._electrons:
            sensor = dataclasses.replace(sensor, px_mm_strategy=SIMPLE, mu=ELECTRON_MU)
        low, high = sensor.trusted_range
        self._markers = Markers.from_bit_depth(self._frames.dtype, depth, high)
        if self._markers is not None and not is_unsigned:
            # Numbers below 0 are counts there: marked pixels stay what they are, beyond the trusted range.
            high, self._markers = min(high, self._markers.top - 3.0), None
        sensor = dataclasses.replace(sensor, trusted_range=(low, high))
        centre = None if "beam_centre" in self.given else read_nexus_beam_centre(detector, self._modules[0])
        self._detector = build_nexus_detector(self._modules, sensor, centre)

    def _build_beam(self, index: int) -> Beam:
        """The beam of one image; electrons are not polarised."""
        wavelength = self._wavelengths[index if self._wavelengths.size > index else 0]
        beam = build_nexus_beam(wavelength)
        if self._electrons:
            return dataclasses.replace(beam, polarization_fraction=0.5, probe="electron")
        return beam


def _find_beam_group(instrument: h5py.Group, sample: h5py.Group | None) -> h5py.Group:
    """Find the beam: the standard has it in the instrument, older files have it in the sample."""
    for group in [instrument] if sample is None else [instrument, sample]:
        if found := list_children_of_class(group, "NXbeam"):
            return found[0]
    raise FormatError(f"{locate(instrument)}: has no NXbeam, so no wavelength")


def _read_bit_depth(detector: h5py.Group, is_dectris: bool) -> int | None:
    """Read the bits of a pixel as stored: Dectris says so in bit_depth_image, the standard has bit_depth_readout."""
    depth = read_stated_number(detector, "bit_depth_image") if is_dectris else None
    depth = depth or read_stated_number(detector, "bit_depth_readout")
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
        scale = read_stated_number(group, "data_scale_factor")
        if scale is not None and scale > 0.0:
            return 1.0 / scale
    return 1.0


def _read_modules(detector: h5py.Group, frame_shape: tuple[int, ...], is_given: bool) -> list[Module]:
    """Read the detector's modules, in the order of their names, at its distance where nothing says more of their place.

    Whether the distance is given by somebody else is `is_given`.
    """
    groups = list_children_of_class(detector, "NXdetector_module")
    if not groups:
        raise FormatError(f"{locate(detector)}: has no NXdetector_module")
    modules = [read_module(group, frame_shape) for group in groups]
    if any(module.chain for module in modules):
        return modules
    return [dataclasses.replace(module, chain=[read_distance_axis(detector, is_given)]) for module in modules]
