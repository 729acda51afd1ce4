"""Mini CBF: images of Pilatus and Eiger detectors with Dectris' header of comment lines.

References
----------
Dectris, "Pilatus CBF Header Specification", version 1.4 (2012).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.experiment.detector import flat_hierarchy
from xdp.experiment.goniometer import axis_angle_matrix, make_width_positive
from xdp.images.formats.base import ARM_AXIS, SMALLEST_TURN, Format, Models, describe_turn
from xdp.images.formats.cbf import p12m
from xdp.images.formats.cbf.header import (
    extract_header_text,
    find_pair_unit,
    is_pixel_unit,
    parse_comment_fields,
    parse_convention,
    parse_epoch,
    read_number_pair,
    read_quantity,
    read_quantity_pair,
    read_required_number,
)
from xdp.images.formats.cbf.sections import (
    START,
    build_section,
    count_cbf_bytes,
    decode_section,
    find_sections,
    parse_mime_fields,
)
from xdp.images.formats.cbf.sites import find_goniometer, read_leading_number
from xdp.images.formats.files import read_bytes, read_head, strip_compression
from xdp.images.formats.modules import EIGER, EIGER2, PILATUS, Rectangle, find_gaps
from xdp.images.formats.sensors import build_sensor_fields
from xdp.images.formats.units import find_unit_factor
from xdp.images.names import parse_image_number

# Header conventions whose files have Dectris' comment lines and no tables of axes.
MINI_CONVENTIONS = ("PILATUS", "SLS", "SSRL", "?", "XDS special", "GENERIC_MINI")

# What stands for a field that is missing and given by the user, whose value takes its place afterwards.
_PLACEHOLDERS = {
    "wavelength": {"Wavelength": "1 A"}, "distance": {"Detector_distance": "0.1 m"},
    "beam_centre": {"Beam_xy": "(0, 0)"},
    "pixel_size": {"Pixel_size": "1e-4 m x 1e-4 m"}, "trusted_range": {"Count_cutoff": "1"},
    "oscillation": {"Start_angle": "0", "Angle_increment": "0"},
}

_SENSORS = {"Silicon": "Si", "CdTe": "CdTe", "GaAs": "GaAs"}


class MiniCBF(Format):
    """A mini CBF file: one image of a detector that stands square to the beam."""

    name: ClassVar[str] = "mini CBF"

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A CBF of one of the mini conventions, without the tables of a full imgCIF."""
        text = extract_header_text(head)
        if "_diffrn.id" in text and "_diffrn_source" in text:
            return False
        if any(known in parse_convention(text) for known in MINI_CONVENTIONS):
            return True
        return any(line.startswith("# Detector") and "PILATUS" in line for line in text.splitlines())

    @functools.cached_property
    def _header(self) -> dict[str, str]:
        head = read_head(self.path)
        if START not in head:
            head = read_bytes(self.path, count_cbf_bytes)
        fields = self._parse_fields(head)
        self._check_complete(head.find(START) + len(START), fields)
        return self._fill_given(fields)

    def _fill_given(self, fields: dict[str, str]) -> dict[str, str]:
        """The fields with placeholders for those that are missing, or cannot be read, and are given by the user."""
        for quantity in self.given & _PLACEHOLDERS.keys():
            for name, text in _PLACEHOLDERS[quantity].items():
                if not re.search(r"\d", fields.get(name, "")):
                    fields[name] = text
        return fields

    def _check_complete(self, start: int, fields: Mapping[str, str]) -> None:
        """Refuse a file that ends before its data do.

        An import reads headers only, so it would not notice. The size of a compressed file says nothing.
        """
        promised = build_section(fields, start, self.path).size
        held = os.path.getsize(self.path) - start
        if strip_compression(self.path) == self.path and held < promised:
            raise FormatError(f"{self.path}: is truncated: its header promises {promised} bytes of image data, "
                              f"it holds {held}")

    def _parse_fields(self, head: bytes) -> dict[str, str]:
        """Parse all fields of the header: comments by their names, those of the binary section in lower case."""
        text = extract_header_text(head)
        fields = parse_comment_fields(text)
        start = head.find(START)
        if start < 0:
            raise FormatError(f"{self.path}: is truncated: it has no image data")
        fields |= parse_mime_fields(head[len(text):start].decode("ascii", "replace"))
        # The epoch is ours: a comment of that name must not be taken for it.
        fields.pop("epoch", None)
        if (epoch := parse_epoch(fields.get("timestamp", ""))) is not None:
            fields["epoch"] = repr(epoch)
        return fields

    def models(self, index: int = 0) -> Models:
        """The models that the header states."""
        header = self._header
        beam = build_beam(header, self.path)
        if p12m.is_p12m(header):
            read_required_number(header, "Detector_distance", self.path)
            detector = p12m.build_p12m_detector(header, beam.wavelength, by_module=bool(self.params.get("multi_panel")))
        else:
            detector = build_detector(header, beam.wavelength, self._image_size, self.path)
            detector = self._turn_by_arm(detector)
            if self.params.get("multi_panel"):
                detector = split_modules(detector)
        return Models(beam, detector, *make_width_positive(self._find_goniometer(), self._read_scan()))

    def _turn_by_arm(self, detector: Detector) -> Detector:
        """The detector, turned about the sample where it stands on a 2theta arm."""
        if read_leading_number(self._header, "Detector_2theta") == 0.0:
            return detector
        angle = read_quantity(self._header, "Detector_2theta", "angle", self.path)
        if abs(angle) < SMALLEST_TURN:
            return detector
        self.notes.append(describe_turn("Detector_2theta", angle))
        turn = axis_angle_matrix(ARM_AXIS, angle)
        panel = detector[0]
        frame: dict[str, Any] = {name: tuple((turn @ np.asarray(getattr(panel, name))).tolist())
                                 for name in ("fast_axis", "slow_axis", "origin")}
        return Detector((dataclasses.replace(panel, **frame),))

    @property
    def _image_size(self) -> tuple[int, int]:
        _, slow, fast = build_section(self._header, 0, self.path).shape
        return fast, slow

    def _find_goniometer(self) -> Goniometer:
        """Find the goniometer by the detector and the year of the image."""
        stamp = self._header.get("timestamp", "")
        try:
            return find_goniometer(self._header, int(stamp[:4]) if stamp[:4].isdecimal() else 0)
        except FormatError as error:
            raise FormatError(f"{self.path}: {error}") from error

    def _read_scan(self) -> Scan:
        """Read the scan of this image; its number is that of the file's name."""
        header = self._header
        image = parse_image_number(self.path)
        start = read_quantity(header, "Start_angle", "angle", self.path)
        width = read_quantity(header, "Angle_increment", "angle", self.path)
        if width < -180.0:  # some frames that end at 360 degrees are written as if they ended at 0
            width += 360.0
        exposure = self._read_exposure()
        return Scan((image, image), (start, width), (exposure,), (float(header.get("epoch", 0.0)),), image - 1)

    def _read_exposure(self) -> float:
        """Read the time from image to image in seconds; nothing needs it: 0 stands for one that is not known."""
        if "Exposure_period" not in self._header:
            return 0.0
        try:
            return read_quantity(self._header, "Exposure_period", "time", self.path)
        except FormatError as error:
            self.notes.append(f"exposure times are not known ({str(error).removeprefix(self.path + ': ')})")
            return 0.0

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, int32; one array a panel."""
        data = read_bytes(self.path, count_cbf_bytes)
        for section in find_sections(data, self.path):
            image = decode_section(data, section, self.path)
            if image.shape[0] != 1:
                raise FormatError(f"{self.path}: expected one image, got {image.shape[0]} sections")
            return self._cut_panels(image[0])
        raise FormatError(f"{self.path}: holds no image data")

    def _cut_panels(self, image: np.ndarray) -> list[np.ndarray]:
        """Cut the image into the panels that :meth:`models` has."""
        if image.shape == p12m.IMAGE_SHAPE:
            rectangles = p12m.list_panel_rectangles(by_module=bool(self.params.get("multi_panel")))
        elif self.params.get("multi_panel"):
            rectangles = list_module_rectangles((image.shape[1], image.shape[0]))
        else:
            return [image]
        return [np.ascontiguousarray(image[s0:s1, f0:f1]) for f0, s0, f1, s1 in rectangles]


def build_beam(header: Mapping[str, str], path: str) -> Beam:
    """Build the beam along -z.

    Parameters
    ----------
    header : mapping
        Fields of the header: wavelength (Å), flux (photons/s) and transmission.
    path : str
        Name of the file, for messages.

    Returns
    -------
    Beam

    Raises
    ------
    FormatError
        If there is no wavelength above 0.
    """
    wavelength = read_quantity(header, "Wavelength", "wavelength", path)
    if wavelength <= 0.0:
        raise FormatError(f"{path}: wavelength must be above 0 Å, got {wavelength}")
    flux, transmission = read_leading_number(header, "Flux"), read_leading_number(header, "Transmission", 1.0)
    return Beam.along_z(wavelength, flux=flux, transmission=transmission)


def build_detector(header: Mapping[str, str], wavelength: float, image_size: tuple[int, int], path: str) -> Detector:
    """Build the flat detector square to the beam that a mini CBF header describes.

    Parameters
    ----------
    header : mapping
        Fields of the header.
    wavelength : float
        In Å, for the sensor's attenuation coefficient.
    image_size : (int, int)
        Pixels (fast, slow).
    path : str
        Name of the file, for messages.

    Returns
    -------
    Detector
        Of one panel.

    Raises
    ------
    FormatError
        If distance, pixel size, beam centre or overload are missing.
    """
    distance = read_quantity(header, "Detector_distance", "length", path)
    if distance <= 0.0:
        raise FormatError(f"{path}: Detector_distance must be above 0, got {header['Detector_distance']!r}; "
                          "geometry.detector.distance gives it")
    pixels = read_quantity_pair(header, "Pixel_size", "length", path)
    x, y = _read_beam_centre(header, path)
    is_eiger = "eiger" in header.get("Detector", "").lower()
    kind, material, thickness = _read_sensor(header, is_eiger, path)
    panel = Panel(
        (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-x, y, -distance), image_size,
        pixels, (0.0, _read_overload(header, is_eiger, path)), type=kind,
        identifier=header.get("Detector", "Unknown Eiger") if is_eiger else "",
        mask=_find_panel_gaps(header, image_size, is_eiger), **build_sensor_fields(material, thickness, wavelength),
    )
    if min(panel.pixel_size) <= 0.0:
        raise FormatError(f"{path}: pixel size must be above 0 mm, got {pixels}")
    return Detector((panel,))


def _read_beam_centre(header: Mapping[str, str], path: str) -> tuple[float, float]:
    """Read where the beam meets the detector, mm (fast, slow); the header has it in pixels, or in units of length."""
    centre = read_quantity_pair(header, "Beam_xy", "pixel", path)
    if not is_pixel_unit(find_pair_unit(header["Beam_xy"])):
        return centre
    sizes = read_number_pair(header, "Pixel_size", path)
    factor = find_unit_factor(find_pair_unit(header["Pixel_size"]) or "m", "length", path)
    # In this order: the last bits of the products are those of earlier versions.
    return centre[0] * sizes[0] * factor, centre[1] * sizes[1] * factor


def _read_sensor(header: Mapping[str, str], is_eiger: bool, path: str) -> tuple[str, str, float]:
    """Read panel type, material and thickness (mm) of the sensor."""
    for word, material in _SENSORS.items():
        if word in header:
            stated = header[word].rpartition("thickness")[2].strip(" =:,")
            if "thickness" not in header[word] or not stated:
                return "SENSOR_PAD", material, 0.0
            return "SENSOR_PAD", material, read_quantity({word: stated}, word, "length", path)
    # Converters of Eiger data leave the sensor out; 0.45 mm of silicon is the usual one.
    if is_eiger:
        return "SENSOR_PAD", "Si", 0.45
    return "SENSOR_CCD" if "CCD" in header else "SENSOR_UNKNOWN", "", 0.0


def _read_overload(header: Mapping[str, str], is_eiger: bool, path: str) -> float:
    """The highest count that can be trusted."""
    # Converters of Eiger data leave it out; 1e8 then stands for no limit.
    if is_eiger and "Count_cutoff" not in header:
        return 1.0e8
    return read_required_number(header, "Count_cutoff", path)


def _find_panel_gaps(header: Mapping[str, str], image_size: tuple[int, int], is_eiger: bool) -> tuple[Rectangle, ...]:
    """The gaps between the modules of a detector that the header names."""
    if is_eiger:
        return find_gaps(image_size, (EIGER, EIGER2))
    # A detector without Dectris' name or convention may have any layout.
    return find_gaps(image_size, (PILATUS,)) if "PILATUS" in header.get("Detector", "").upper() else ()


def list_module_rectangles(image_size: tuple[int, int]) -> list[Rectangle]:
    """List where the modules of a Pilatus lie in its image.

    Parameters
    ----------
    image_size : (int, int)
        Pixels (fast, slow).

    Returns
    -------
    list of (fast0, slow0, fast1, slow1)
        In pixels, ends excluded, row by row; the whole image where it is no whole number of modules.
    """
    counts = PILATUS.count(image_size)
    if counts is None:
        return [(0, 0, *image_size)]
    (width, height), (gap_x, gap_y) = PILATUS.module, PILATUS.gap
    corners = [(i * (width + gap_x), j * (height + gap_y)) for j in range(counts[1]) for i in range(counts[0])]
    return [(x, y, x + width, y + height) for x, y in corners]


def split_modules(detector: Detector) -> Detector:
    """Make a panel of each module of a detector.

    Parameters
    ----------
    detector : Detector
        Of one panel.

    Returns
    -------
    Detector
        Its panels lie on the frame that the one panel had, so that refinement can move them together or each.
    """
    whole = detector[0]
    rectangles = list_module_rectangles((whole.image_size[0], whole.image_size[1]))
    panels = []
    for i, (f0, s0, f1, s1) in enumerate(rectangles):
        origin = (f0 * whole.pixel_size[0], s0 * whole.pixel_size[1], 0.0)
        panels.append(dataclasses.replace(
            whole, name=f"Panel{i}", fast_axis=(1.0, 0.0, 0.0), slow_axis=(0.0, 1.0, 0.0), origin=origin, mask=(),
            raw_image_offset=(f0, s0), image_size=(f1 - f0, s1 - s0)))
    frame = {name: list(getattr(whole, name)) for name in ("fast_axis", "slow_axis", "origin")}
    return Detector(tuple(panels), flat_hierarchy(len(panels)) | frame)
