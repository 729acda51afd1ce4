"""Mini CBF: images of Pilatus and Eiger detectors with Dectris' header of comment lines.

References
----------
Dectris, "Pilatus CBF Header Specification", version 1.4 (2012).
"""

from __future__ import annotations

import calendar
import dataclasses
import datetime
import functools
import math
import os
import re
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.experiment.detector import flat_hierarchy
from xdp.experiment.goniometer import forwards
from xdp.images.formats.base import Format, Models
from xdp.images.formats.cbf import p12m
from xdp.images.formats.cbf.sections import (
    BOUNDARY,
    START,
    bytes_needed,
    decode_section,
    find_sections,
    mime_fields,
    read_section,
)
from xdp.images.formats.cbf.sites import goniometer_of, number
from xdp.images.formats.files import read_bytes, read_head, strip_compression
from xdp.images.formats.modules import EIGER, EIGER2, PILATUS, gaps_of
from xdp.images.formats.sensors import sensor
from xdp.images.names import parse_image_number

MINI_CONVENTIONS = ("PILATUS", "SLS", "SSRL", "?", "XDS special", "GENERIC_MINI")

_SENSORS = {"Silicon": "Si", "CdTe": "CdTe", "GaAs": "GaAs"}
_TIME = re.compile(r"(\d{4})[-/]([A-Za-z]{3}|\d{2})[-/](\d{2})[T ](\d{2}):(\d{2}):(\d{2})(\.\d+)?")
_CONVENTION = re.compile(r'_array_data\.header_convention\s+"?([^"\r\n]*)')


def header_text(data: bytes) -> str:
    """The text before the first binary section."""
    end = data.find(BOUNDARY)
    return (data if end < 0 else data[:end]).decode("ascii", "ignore")


def convention(text: str) -> str:
    """The header convention that a CBF states, such as ``PILATUS_1.2``; empty where it states none."""
    match = _CONVENTION.search(text)
    return match[1].strip() if match else ""


def comment_fields(text: str) -> dict[str, str]:
    """Name and value of Dectris' comment lines (``# Wavelength 0.97950 A``); the time stamp is ``timestamp``."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            continue
        words = line[1:].replace("=", " ").split()
        if len(words) <= 2 and line.count(":") == 2 and _TIME.search(line):
            fields["timestamp"] = " ".join(words)
        elif words:
            fields.setdefault(words[0].rstrip(":"), " ".join(words[1:]))
    return fields


def epoch_of(stamp: str) -> float | None:
    """Seconds since 1970 of a header's time stamp, taken as UTC as DIALS does; None where there is none."""
    match = _TIME.search(stamp)
    if match is None:
        return None
    year, month, day, hour, minute, second = match.groups()[:6]
    try:
        number_of_month = int(month) if month.isdecimal() else list(calendar.month_abbr).index(month.title())
        time = datetime.datetime(int(year), number_of_month, int(day), int(hour), int(minute), int(second))
    except ValueError:
        return None
    return calendar.timegm(time.timetuple()) + float("0" + (match[7] or ""))


class MiniCBF(Format):
    """A mini CBF file: one image of a detector that stands square to the beam."""

    name: ClassVar[str] = "mini CBF"

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A CBF of one of the mini conventions, without the tables of a full imgCIF."""
        text = header_text(head)
        if "_diffrn.id" in text and "_diffrn_source" in text:
            return False
        if any(known in convention(text) for known in MINI_CONVENTIONS):
            return True
        return any(line.startswith("# Detector") and "PILATUS" in line for line in text.splitlines())

    @functools.cached_property
    def _header(self) -> dict[str, str]:
        head = read_head(self.path)
        if START not in head:
            head = read_bytes(self.path, bytes_needed)
        fields = self._fields(head)
        self._check_complete(head.find(START) + len(START), fields)
        return fields

    def _check_complete(self, start: int, fields: Mapping[str, str]) -> None:
        """A file that ends before its data do is told already at its import; of a compressed one, when it is read."""
        promised = read_section(fields, start, self.path).size
        held = os.path.getsize(self.path) - start
        if strip_compression(self.path) == self.path and held < promised:
            raise FormatError(f"{self.path}: is truncated: its header promises {promised} bytes of image data, "
                              f"it holds {held}")

    def _fields(self, head: bytes) -> dict[str, str]:
        """All fields of the header: comments by their names, those of the binary section in lower case."""
        text = header_text(head)
        fields = comment_fields(text)
        start = head.find(START)
        if start < 0:
            raise FormatError(f"{self.path}: is truncated: it has no image data")
        fields |= mime_fields(head[len(text):start].decode("ascii", "replace"))
        fields.pop("epoch", None)
        if (epoch := epoch_of(fields.get("timestamp", ""))) is not None:
            fields["epoch"] = repr(epoch)
        return fields

    def models(self, index: int = 0) -> Models:
        """The models that the header states."""
        header = self._header
        beam = beam_of(header, self.path)
        if p12m.is_p12m(header):
            required(header, "Detector_distance", self.path)
            detector = p12m.detector(header, beam.wavelength, by_module=bool(self.params.get("multi_panel")))
        else:
            detector = detector_of(header, beam.wavelength, self._image_size, self.path)
            if self.params.get("multi_panel"):
                detector = split_modules(detector)
        return Models(beam, detector, *forwards(self._goniometer(), self._scan()))

    @property
    def _image_size(self) -> tuple[int, int]:
        _, slow, fast = read_section(self._header, 0, self.path).shape
        return fast, slow

    def _goniometer(self) -> Goniometer:
        stamp = self._header.get("timestamp", "")
        return goniometer_of(self._header, int(stamp[:4]) if stamp[:4].isdecimal() else 0)

    def _scan(self) -> Scan:
        header = self._header
        image = parse_image_number(self.path)
        exposure = required(header, "Exposure_period", self.path)
        start, width = required(header, "Start_angle", self.path), required(header, "Angle_increment", self.path)
        if width < -180.0:  # written as if the end were 0, which is at 360
            width += 360.0
        return Scan((image, image), (start, width), (exposure,), (float(header.get("epoch", 0.0)),), image - 1)

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, int32; one array a panel."""
        data = read_bytes(self.path, bytes_needed)
        for section in find_sections(data, self.path):
            image = decode_section(data, section, self.path)
            if image.shape[0] != 1:
                raise FormatError(f"{self.path}: expected one image, got {image.shape[0]} sections")
            return self._panels(image[0])
        raise FormatError(f"{self.path}: holds no image data")

    def _panels(self, image: np.ndarray) -> list[np.ndarray]:
        if image.shape == p12m.IMAGE_SHAPE:
            rectangles = p12m.rectangles(by_module=bool(self.params.get("multi_panel")))
        elif self.params.get("multi_panel"):
            rectangles = module_rectangles((image.shape[1], image.shape[0]))
        else:
            return [image]
        return [np.ascontiguousarray(image[s0:s1, f0:f1]) for f0, s0, f1, s1 in rectangles]


def required(header: Mapping[str, str], name: str, path: str) -> float:
    """The number that a header field begins with, which must be there and finite."""
    value = number(header, name, math.nan)
    if not math.isfinite(value):
        raise FormatError(f"{path}: header field {name} must be a finite number, got {header.get(name, 'none')!r}")
    return value


def beam_of(header: Mapping[str, str], path: str) -> Beam:
    """The beam along -z, with wavelength (Å) and flux as the header has them."""
    wavelength = required(header, "Wavelength", path)
    if wavelength <= 0.0:
        raise FormatError(f"{path}: wavelength must be above 0 Å, got {wavelength}")
    flux, transmission = number(header, "Flux"), number(header, "Transmission", 1.0)
    return Beam.along_z(wavelength, flux=flux, transmission=transmission)


def detector_of(header: Mapping[str, str], wavelength: float, image_size: tuple[int, int], path: str) -> Detector:
    """The flat detector square to the beam that a mini CBF header describes."""
    distance = required(header, "Detector_distance", path) * 1000.0
    pixels = pair(header, "Pixel_size", path)
    centre = pair(header, "Beam_xy", path)
    x, y = (c * p * 1000.0 for c, p in zip(centre, pixels, strict=True))
    is_eiger = "eiger" in header.get("Detector", "").lower()
    kind, material, thickness = _sensor(header, is_eiger)
    panel = Panel(
        (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-x, y, -distance), image_size,
        (1000.0 * pixels[0], 1000.0 * pixels[1]), (0.0, _overload(header, is_eiger, path)), type=kind,
        identifier=header.get("Detector", "Unknown Eiger") if is_eiger else "",
        mask=_gaps(header, image_size, is_eiger), **sensor(material, thickness, wavelength),
    )
    if min(panel.pixel_size) <= 0.0:
        raise FormatError(f"{path}: pixel size must be above 0 m, got {pixels}")
    return Detector((panel,))


def pair(header: Mapping[str, str], name: str, path: str) -> tuple[float, float]:
    """Two numbers of a header field, between whatever units and brackets."""
    words = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", header.get(name, ""))
    if len(words) < 2 or not all(math.isfinite(float(word)) for word in words[:2]):
        raise FormatError(f"{path}: header field {name} must be two finite numbers, got {header.get(name, 'none')!r}")
    return float(words[0]), float(words[1])


def _sensor(header: Mapping[str, str], is_eiger: bool) -> tuple[str, str, float]:
    """Panel type, material and thickness (mm) of the sensor."""
    for word, material in _SENSORS.items():
        if word in header:
            return "SENSOR_PAD", material, number({word: header[word].rpartition("thickness")[2]}, word) * 1000.0
    if is_eiger:
        return "SENSOR_PAD", "Si", 0.45
    return "SENSOR_CCD" if "CCD" in header else "SENSOR_UNKNOWN", "", 0.0


def _overload(header: Mapping[str, str], is_eiger: bool, path: str) -> float:
    # Converters of Eiger data leave it out.
    if is_eiger and "Count_cutoff" not in header:
        return 1.0e8
    return required(header, "Count_cutoff", path)


def _gaps(header: Mapping[str, str], image_size: tuple[int, int], is_eiger: bool) -> tuple[tuple[int, ...], ...]:
    if is_eiger:
        return gaps_of(image_size, (EIGER, EIGER2))
    # A detector without Dectris' name or convention may have any layout.
    return gaps_of(image_size, (PILATUS,)) if "PILATUS" in header.get("Detector", "").upper() else ()


def module_rectangles(image_size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """The modules of a Pilatus image as (fast0, slow0, fast1, slow1), row by row; the image where it has none."""
    counts = PILATUS.count(image_size)
    if counts is None:
        return [(0, 0, *image_size)]
    (width, height), (gap_x, gap_y) = PILATUS.module, PILATUS.gap
    corners = [(i * (width + gap_x), j * (height + gap_y)) for j in range(counts[1]) for i in range(counts[0])]
    return [(x, y, x + width, y + height) for x, y in corners]


def split_modules(detector: Detector) -> Detector:
    """A detector of one panel as one of its modules, each a panel on the frame that the whole had."""
    whole = detector[0]
    rectangles = module_rectangles((whole.image_size[0], whole.image_size[1]))
    panels = []
    for i, (f0, s0, f1, s1) in enumerate(rectangles):
        origin = (f0 * whole.pixel_size[0], s0 * whole.pixel_size[1], 0.0)
        panels.append(dataclasses.replace(
            whole, name=f"Panel{i}", fast_axis=(1.0, 0.0, 0.0), slow_axis=(0.0, 1.0, 0.0), origin=origin, mask=(),
            raw_image_offset=(f0, s0), image_size=(f1 - f0, s1 - s0)))
    frame = {name: list(getattr(whole, name)) for name in ("fast_axis", "slow_axis", "origin")}
    return Detector(tuple(panels), flat_hierarchy(len(panels)) | frame)
