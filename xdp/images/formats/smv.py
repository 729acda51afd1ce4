"""SMV images (``.img``): ADSC CCDs, simulated images that follow them, and the Timepix of Stockholm.

The header is lines of ``KEY=value;`` between braces in the first HEADER_BYTES bytes; raw 16-bit pixels follow.
"""

from __future__ import annotations

import calendar
import functools
import math
import os
import re
import time
from typing import ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.images.formats import timepix
from xdp.images.formats.base import Format, Models
from xdp.images.formats.files import read_bytes, read_head
from xdp.images.formats.limits import MAX_PIXELS
from xdp.images.names import parse_image_number

MAX_HEADER_SIZE = 1 << 20

_TYPES = {"unsigned_short": "u2", "short": "i2", "signed_short": "i2", "unsigned_long": "u4", "long": "i4",
          "unsigned_int": "u4", "signed_long": "i4", "int": "i4", "unsigned_char": "u1", "float": "f4"}
_DATE_FORMATS = ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %Z %Y")

# Models of ADSC detectors by their serial numbers.
_MODELS = {401: "Q4U", 402: "Q4", 414: "Q4", 423: "Q4R", 428: "Q4R", 429: "Q4", 441: "Q210", 442: "Q210", 443: "Q210",
           444: "Q210", 445: "Q210", 446: "Q210", 447: "Q210", 448: "Q210", 457: "Q210R", 471: "Q270", 472: "Q270",
           474: "Q270", 901: "Q210", 905: "Q315", 907: "Q315R", 913: "Q315", 917: "Q315R", 923: "Q315R", 925: "Q315",
           926: "Q315R", 928: "Q315R", 931: "Q315R", 933: "Q315R"}
# Model and whether it is binned, by pixels and pixel size (mm).
_LAYOUTS = {(2304, 0.0816): ("Q4", False), (4096, 0.0512): ("Q210", False), (2048, 0.1024): ("Q210", True),
            (6144, 0.0512): ("Q315", False), (3072, 0.1024): ("Q315", True), (4168, 0.0648): ("Q270", False),
            (2084, 0.0324): ("Q270", True)}
# Detectors whose beamline turned the other way, and those with an unrecorded pedestal and a beam centre of their own.
_REVERSED = {457, 915, 928}
_PEDESTAL_40 = {442, 445, 905}
_BEAM_KEYS = {442: ("DENZO_X_BEAM", "DENZO_Y_BEAM"), 445: ("DENZO_XBEAM", "DENZO_YBEAM"),
              905: ("DENZO_XBEAM", "DENZO_YBEAM"), 926: ("DENZO_X_BEAM", "DENZO_Y_BEAM"),
              907: ("DENZO_X_BEAM", "DENZO_Y_BEAM")}


class SMV(Format):
    """An SMV image file."""

    name: ClassVar[str] = "SMV"
    overload_is_trusted: ClassVar[bool] = False

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A header in braces that begins with its own size."""
        return re.match(rb"\{\s*HEADER_BYTES\s*=", head) is not None

    @functools.cached_property
    def _header(self) -> dict[str, str]:
        return parse_header(read_head(self.path, MAX_HEADER_SIZE), self.path)

    def _number(self, name: str, default: float | None = None) -> float:
        value = self._header.get(name)
        if value is None and default is not None:
            return default
        try:
            result = float((value or "").split()[0])
        except (ValueError, IndexError):
            result = math.nan
        if not math.isfinite(result):
            raise FormatError(f"{self.path}: header field {name} must be a finite number, got {value!r}")
        return result

    @functools.cached_property
    def _size(self) -> tuple[int, int]:
        """Pixels (fast, slow)."""
        sizes = [self._header.get(name, "") for name in ("SIZE1", "SIZE2")]
        if not all(size.isdecimal() and 0 < int(size) < 1 << 20 for size in sizes):
            raise FormatError(f"{self.path}: header fields SIZE1 and SIZE2 must be numbers of pixels, got {sizes}")
        fast, slow = (int(size) for size in sizes)
        if fast * slow > MAX_PIXELS:
            raise FormatError(f"{self.path}: {fast} x {slow} pixels are too many for an image")
        return fast, slow

    @property
    def _serial(self) -> int:
        value = self._header.get("DETECTOR_SN", "")
        return int(value) if value.isdecimal() and "DATE" in self._header else -1

    @property
    def _is_timepix(self) -> bool:
        return self._header.get("BEAMLINE", "").upper() == "TIMEPIX_SU"

    def models(self, index: int = 0) -> Models:
        """The models that the header states; none of them where it lacks a distance, beam centre or wavelength."""
        if self._is_timepix:
            return timepix.models(self._number, self._size, self._scan(self._number("OSC_RANGE", 0.0)))
        if any(name not in self._header for name in ("DISTANCE", "WAVELENGTH", "PIXEL_SIZE", "BEAM_CENTER_X")):
            return Models(scan=self._scan(self._number("OSC_RANGE", 0.0)) if "OSC_START" in self._header else None)
        wavelength = self._number("WAVELENGTH")
        if wavelength <= 0.0:
            raise FormatError(f"{self.path}: wavelength must be above 0 Å, got {wavelength}")
        width = self._number("OSC_RANGE", 0.0)
        if self._header.get("BEAMLINE") == "fake":
            return Models(Beam.along_z(wavelength), self._simulated_detector(), Goniometer(),
                          self._scan(width))
        turns_back = width <= 0.0 or self._serial in _REVERSED
        # Without a date the sign of the oscillation stays with the scan, in DIALS too.
        width = abs(width) if "DATE" in self._header else width
        return Models(Beam.along_z(wavelength), self._detector(),
                      Goniometer(rotation_axis=(-1.0, 0.0, 0.0) if turns_back else (1.0, 0.0, 0.0)), self._scan(width))

    def _scan(self, width: float) -> Scan:
        image = parse_image_number(self.path)
        exposure = self._number("TIME", 1.0) if self._header.get("BEAMLINE") != "fake" else 1.0
        return Scan((image, image), (self._number("OSC_START", 0.0), width), (exposure,), (self._epoch(),), image - 1)

    def _epoch(self) -> float:
        if "DATE" not in self._header:
            return float(int(os.stat(self.path).st_mtime))
        date = self._header["DATE"].replace("PST", "").replace("PDT", "").strip()
        for pattern in _DATE_FORMATS:
            try:
                return float(calendar.timegm(time.strptime(date, pattern)))
            except ValueError:
                continue
        return 0.0

    def _detector(self) -> Detector:
        """A CCD square to the beam, or on a 2theta arm where that is known."""
        pixel = self._number("PIXEL_SIZE")
        distance = self._number("DISTANCE")
        x_key, y_key = _BEAM_KEYS.get(self._serial, ("BEAM_CENTER_X", "BEAM_CENTER_Y"))
        if x_key not in self._header:
            x_key, y_key = "BEAM_CENTER_X", "BEAM_CENTER_Y"
        # ADSC's x is down and y across, as Mosflm has them.
        beam = [self._number(y_key), self._number(x_key)]
        pedestal = 40.0 if self._serial in _PEDESTAL_40 else self._number("IMAGE_PEDESTAL", 0.0)
        turn = np.eye(3)
        if self._serial in (926, 907):
            two_theta = self._number("TWOTHETA", 0.0)
            beam[0] += distance * math.tan(math.radians(two_theta))
            turn = axis_angle_matrix((1.0, 0.0, 0.0), two_theta)
        return Detector((self._panel(pixel, distance, (beam[0], beam[1]), (0.0 - pedestal, 65534.0 - pedestal), turn,
                                     type="SENSOR_CCD", gain=self._gain(pixel), pedestal=pedestal),))

    def _panel(self, pixel: float, distance: float, beam: tuple[float, float], trusted: tuple[float, float],
               turn: np.ndarray, **extra: object) -> Panel:
        if pixel <= 0.0:
            raise FormatError(f"{self.path}: pixel size must be above 0 mm, got {pixel}")
        fast, slow, origin = (tuple((turn @ np.asarray(v)).tolist()) for v in (
            (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-beam[0], beam[1], -distance)))
        return Panel(fast, slow, origin, self._size, (pixel, pixel), trusted, **extra)  # type: ignore[arg-type]

    def _simulated_detector(self) -> Detector:
        """The detector of a simulated image (MLFSOM, nanoBragg), whose beam centre follows ADXV."""
        pixel = self._number("PIXEL_SIZE")
        offset = self._number("ADC_OFFSET", 1.0)
        x = self._number("BEAM_CENTER_X") + pixel
        y = pixel * self._size[1] - self._number("BEAM_CENTER_Y") + pixel
        kind = "SENSOR_PAD" if pixel == 0.172 else "SENSOR_CCD"
        return Detector((self._panel(pixel, self._number("DISTANCE"), (x, y), (0.0, 65534.0 - offset), np.eye(3),
                                     type=kind, pedestal=offset),))

    def _gain(self, pixel: float) -> float:
        """Counts per photon, from the header or by the detector's model; to about 20 % after datasheets and use."""
        if "GAIN" in self._header:
            return self._number("GAIN")
        model, binned = _MODELS.get(self._serial), str(self._header.get("BIN")).upper() != "NONE"
        if model is None:
            fast, slow = self._size
            layout = _LAYOUTS.get((fast, pixel)) if fast == slow else None
            if layout is None:
                return 1.0
            model, binned = layout[0], layout[1] or binned
        if model.startswith("Q270"):
            return 2.8
        if model.startswith("Q4"):
            return 1.25
        is_hardware = binned and self._header.get("BIN_TYPE") == "HW"
        return 1.8 if is_hardware and model.endswith("R") else 2.4

    def _bytes_needed(self, data: bytes) -> int:
        announced = _fields(data[:512].decode("ascii", "ignore")).get("HEADER_BYTES", "")
        if announced.isdecimal() and len(data) < int(announced) <= MAX_HEADER_SIZE:
            return int(announced)
        header = parse_header(data[:MAX_HEADER_SIZE], self.path)
        sizes = [header.get(name, "") for name in ("HEADER_BYTES", "SIZE1", "SIZE2")]
        if not all(size.strip().isdecimal() for size in sizes):
            return 0  # whoever reads the image says what is wrong
        start, fast, slow = map(int, sizes)
        return start + 4 * fast * slow

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, of the file's own type; one array a panel."""
        data = read_bytes(self.path, self._bytes_needed)
        header = self.__dict__.setdefault("_header", parse_header(data[:MAX_HEADER_SIZE], self.path))
        code = _TYPES.get(header.get("TYPE", header.get("DATA_TYPE", "unsigned_short")).lower().replace(" ", "_"))
        if code is None:
            raise FormatError(f"{self.path}: pixels of type {header.get('TYPE')!r} are not known")
        dtype = np.dtype(code).newbyteorder(">" if "big" in header.get("BYTE_ORDER", "").lower() else "<")
        fast, slow = self._size
        start = int(header["HEADER_BYTES"])
        if len(data) - start < fast * slow * dtype.itemsize:
            raise FormatError(f"{self.path}: is truncated: its header promises {fast} x {slow} pixels of "
                              f"{dtype.itemsize} bytes, {max(len(data) - start, 0)} bytes follow")
        image = np.frombuffer(data, dtype, fast * slow, start).reshape(slow, fast)
        image = image.astype(dtype.newbyteorder("="), copy=not dtype.isnative)
        return timepix.panels(image) if self._is_timepix else [image]


def parse_header(head: bytes, path: str) -> dict[str, str]:
    """The fields of an SMV header; HEADER_BYTES is a number that lies within `head`."""
    size = _fields(head[:512].decode("ascii", "ignore")).get("HEADER_BYTES", "")
    if not size.isdecimal() or not 16 <= int(size) <= MAX_HEADER_SIZE:
        raise FormatError(f"{path}: HEADER_BYTES must be 16 to {MAX_HEADER_SIZE}, got {size!r}")
    if len(head) < int(size):
        raise FormatError(f"{path}: is truncated: its header promises {size} bytes of header, it has {len(head)}")
    return _fields(head[:int(size)].decode("ascii", "ignore").partition("\n}")[0])


def _fields(text: str) -> dict[str, str]:
    """The fields ``NAME=value;``, one a line."""
    lines = (line.replace("{", "").partition(";")[0].partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, equals, value in lines if equals}
