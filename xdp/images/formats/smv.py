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
from typing import Any, ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.images.formats import timepix
from xdp.images.formats.base import ARM_AXIS, SMALLEST_TURN, Format, Models, describe_turn
from xdp.images.formats.files import read_bytes, read_head
from xdp.images.formats.limits import MAX_PIXELS
from xdp.images.names import parse_image_number

MAX_HEADER_SIZE = 1 << 20
"""Longest header, in bytes: those of ADSC have 512 or 1024; the value is a choice."""

# NumPy's types by the field TYPE, in lower case; long and int have 32 bits.
_TYPES = {"unsigned_short": "u2", "short": "i2", "signed_short": "i2", "unsigned_long": "u4", "long": "i4",
          "unsigned_int": "u4", "signed_long": "i4", "int": "i4", "unsigned_char": "u1", "float": "f4"}
# As ctime writes them, with or without a time zone.
_DATE_FORMATS = ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %Z %Y")

# Models of ADSC detectors by their serial numbers, which dxtbx collects; an R in the name is the faster read-out.
_MODELS = {401: "Q4U", 402: "Q4", 414: "Q4", 423: "Q4R", 428: "Q4R", 429: "Q4", 441: "Q210", 442: "Q210", 443: "Q210",
           444: "Q210", 445: "Q210", 446: "Q210", 447: "Q210", 448: "Q210", 457: "Q210R", 471: "Q270", 472: "Q270",
           474: "Q270", 901: "Q210", 905: "Q315", 907: "Q315R", 913: "Q315", 917: "Q315R", 923: "Q315R", 925: "Q315",
           926: "Q315R", 928: "Q315R", 931: "Q315R", 933: "Q315R"}
# Model and whether it is binned, by pixels and pixel size (mm); from dxtbx (FormatSMVADSC), as the gains below are.
_LAYOUTS = {(2304, 0.0816): ("Q4", False), (4096, 0.0512): ("Q210", False), (2048, 0.1024): ("Q210", True),
            (6144, 0.0512): ("Q315", False), (3072, 0.1024): ("Q315", True), (4168, 0.0648): ("Q270", False),
            (2084, 0.0324): ("Q270", True)}
# Facts of beamlines by serial number, from dxtbx: whose scans turn the other way, which add 40 counts without saying
# so, which keep the beam centre in fields of their own, and which stand on a 2theta arm.
_REVERSED = {457, 915, 928}
_PEDESTAL_40 = {442, 445, 905}
_BEAM_KEYS = {442: ("DENZO_X_BEAM", "DENZO_Y_BEAM"), 445: ("DENZO_XBEAM", "DENZO_YBEAM"),
              905: ("DENZO_XBEAM", "DENZO_YBEAM"), 926: ("DENZO_X_BEAM", "DENZO_Y_BEAM"),
              907: ("DENZO_X_BEAM", "DENZO_Y_BEAM")}


_ON_ARM = {907, 926}

# What stands for a field that is missing and given by the user, whose value takes its place afterwards.
_PLACEHOLDERS = {"wavelength": {"WAVELENGTH": "1"}, "distance": {"DISTANCE": "100"},
                 "pixel_size": {"PIXEL_SIZE": "0.1"}, "beam_centre": {"BEAM_CENTER_X": "0", "BEAM_CENTER_Y": "0"}}


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
        header = parse_smv_header(read_head(self.path, MAX_HEADER_SIZE), self.path)
        for quantity in self.given & _PLACEHOLDERS.keys():
            for name, text in _PLACEHOLDERS[quantity].items():
                # A distance of 0 is none.
                if name not in header or (name == "DISTANCE" and not header[name].strip("0. ")):
                    header[name] = text
        return header

    def _read_number(self, name: str, default: float | None = None) -> float:
        """The number that a header field begins with, `default` where the field is missing."""
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
        """Serial number of the detector; -1 where there is none, or no date: such headers are not ADSC's."""
        value = self._header.get("DETECTOR_SN", "")
        return int(value) if value.isdecimal() and "DATE" in self._header else -1

    @property
    def _is_timepix(self) -> bool:
        """Whether the image is of the Timepix of Stockholm."""
        return self._header.get("BEAMLINE", "").upper() == "TIMEPIX_SU"

    def models(self, index: int = 0) -> Models:
        """The models that the header states; none of them where it lacks a distance, beam centre or wavelength."""
        if self._is_timepix:
            size = self._size
            scan = self._read_scan(self._read_number("OSC_RANGE", 0.0))
            return timepix.build_timepix_models(self._read_number, size, scan)
        if any(name not in self._header for name in ("DISTANCE", "WAVELENGTH", "PIXEL_SIZE", "BEAM_CENTER_X")):
            if "OSC_START" not in self._header:
                return Models()
            return Models(scan=self._read_scan(self._read_number("OSC_RANGE", 0.0)))
        wavelength = self._read_number("WAVELENGTH")
        if wavelength <= 0.0:
            raise FormatError(f"{self.path}: wavelength must be above 0 Å, got {wavelength}")
        width = self._read_number("OSC_RANGE", 0.0)
        # Programs that simulate images name their beamline so.
        if self._header.get("BEAMLINE") == "fake":
            return Models(Beam.along_z(wavelength), self._read_simulated_detector(), Goniometer(),
                          self._read_scan(width))
        turns_back = width <= 0.0 or self._serial in _REVERSED
        # Without a date the sign of the oscillation stays with the scan, in DIALS too.
        width = abs(width) if "DATE" in self._header else width
        goniometer = Goniometer(rotation_axis=(-1.0, 0.0, 0.0) if turns_back else (1.0, 0.0, 0.0))
        return Models(Beam.along_z(wavelength), self._read_detector(), goniometer, self._read_scan(width))

    def _read_scan(self, width: float) -> Scan:
        """The scan of this image, `width` degrees wide; its number is that of the file's name."""
        image = parse_image_number(self.path)
        exposure = self._read_number("TIME", 1.0) if self._header.get("BEAMLINE") != "fake" else 1.0
        start = self._read_number("OSC_START", 0.0)
        return Scan((image, image), (start, width), (exposure,), (self._read_epoch(),), image - 1)

    def _read_epoch(self) -> float:
        """Seconds since 1970 of the header's date, taken as UTC; of the file's last change where it has no date."""
        if "DATE" not in self._header:
            return float(int(os.stat(self.path).st_mtime))
        date = self._header["DATE"].replace("PST", "").replace("PDT", "").strip()
        for pattern in _DATE_FORMATS:
            try:
                return float(calendar.timegm(time.strptime(date, pattern)))
            except ValueError:
                continue
        return 0.0

    def _read_detector(self) -> Detector:
        """A CCD square to the beam, or on a 2theta arm."""
        pixel = self._read_number("PIXEL_SIZE")
        distance = self._read_distance()
        x_key, y_key = _BEAM_KEYS.get(self._serial, ("BEAM_CENTER_X", "BEAM_CENTER_Y"))
        if x_key not in self._header:
            x_key, y_key = "BEAM_CENTER_X", "BEAM_CENTER_Y"
        # ADSC's x is down and y across, as Mosflm has them.
        beam = [self._read_number(y_key), self._read_number(x_key)]
        pedestal = 40.0 if self._serial in _PEDESTAL_40 else self._read_number("IMAGE_PEDESTAL", 0.0)
        two_theta = self._read_number("TWOTHETA", 0.0)
        if self._serial in _ON_ARM:
            # The header's beam centre is where the beam would hit the turned detector.
            beam[0] += distance * math.tan(math.radians(two_theta))
            turn = axis_angle_matrix(ARM_AXIS, two_theta)
        else:
            turn = self._turn_by_arm()
        trusted = (0.0 - pedestal, 65534.0 - pedestal)
        return Detector((self._make_panel(pixel, distance, (beam[0], beam[1]), trusted, turn, type="SENSOR_CCD",
                                          gain=self._choose_gain(pixel), pedestal=pedestal),))

    def _turn_by_arm(self) -> np.ndarray:
        """The turn (3, 3) of a detector about which no table says how its 2theta arm turns."""
        two_theta = self._read_number("TWOTHETA", 0.0)
        if abs(two_theta) < SMALLEST_TURN:
            return np.eye(3)
        more = ", and the beam centre of the header counts for TWOTHETA 0"
        self.notes.append(describe_turn("TWOTHETA", two_theta, more))
        return axis_angle_matrix(ARM_AXIS, two_theta)

    def _read_distance(self) -> float:
        """The distance from sample to detector, mm, which must be above 0."""
        distance = self._read_number("DISTANCE")
        if distance <= 0.0:
            raise FormatError(f"{self.path}: DISTANCE must be above 0 mm, got {distance:g}; geometry.detector.distance "
                              "gives it")
        return distance

    def _make_panel(self, pixel: float, distance: float, beam: tuple[float, float], trusted: tuple[float, float],
               turn: np.ndarray, **extra: Any) -> Panel:
        """A panel square to the beam, then turned about the sample; `beam` is the beam centre in mm from its corner."""
        if pixel <= 0.0:
            raise FormatError(f"{self.path}: pixel size must be above 0 mm, got {pixel}")
        fast, slow, origin = (tuple((turn @ np.asarray(v)).tolist()) for v in (
            (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-beam[0], beam[1], -distance)))
        return Panel(fast, slow, origin, self._size, (pixel, pixel), trusted, **extra)

    def _read_simulated_detector(self) -> Detector:
        """The detector of a simulated image (MLFSOM, nanoBragg), whose beam centre follows ADXV."""
        # ADXV counts pixels from 1, and slow from the bottom.
        pixel = self._read_number("PIXEL_SIZE")
        offset = self._read_number("ADC_OFFSET", 1.0)
        x = self._read_number("BEAM_CENTER_X") + pixel
        y = pixel * self._size[1] - self._read_number("BEAM_CENTER_Y") + pixel
        # 0.172 mm is the pixel of a Pilatus.
        kind = "SENSOR_PAD" if pixel == 0.172 else "SENSOR_CCD"
        distance = self._read_distance()
        return Detector((self._make_panel(pixel, distance, (x, y), (0.0, 65534.0 - offset), self._turn_by_arm(),
                                          type=kind, pedestal=offset),))

    def _choose_gain(self, pixel: float) -> float:
        """Counts per photon, from the header or by the detector's model; to about 20 % after datasheets and use."""
        if "GAIN" in self._header:
            return self._read_number("GAIN")
        model, binned = _MODELS.get(self._serial), str(self._header.get("BIN")).upper() != "NONE"
        if model is None:
            fast, slow = self._size
            layout = _LAYOUTS.get((fast, pixel)) if fast == slow else None
            if layout is None:
                return 1.0
            model, binned = layout[0], layout[1] or binned
        # dxtbx has these from datasheets and J. Holton's list; R models that bin in hardware have a lower gain.
        if model.startswith("Q270"):
            return 2.8
        if model.startswith("Q4"):
            return 1.25
        is_hardware = binned and self._header.get("BIN_TYPE") == "HW"
        return 1.8 if is_hardware and model.endswith("R") else 2.4

    def _count_bytes(self, data: bytes) -> int:
        """Bytes that the file has, by as much of its header as `data` holds; 4 bytes are the widest pixel."""
        announced = _parse_fields(data[:512].decode("ascii", "ignore")).get("HEADER_BYTES", "")
        if announced.isdecimal() and len(data) < int(announced) <= MAX_HEADER_SIZE:
            return int(announced)
        header = parse_smv_header(data[:MAX_HEADER_SIZE], self.path)
        sizes = [header.get(name, "") for name in ("HEADER_BYTES", "SIZE1", "SIZE2")]
        if not all(size.strip().isdecimal() for size in sizes):
            return 0  # whoever reads the image says what is wrong
        start, fast, slow = map(int, sizes)
        return start + 4 * fast * slow

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, of the file's own type; one array a panel."""
        data = read_bytes(self.path, self._count_bytes)
        # The file was read whole: its header need not be read again.
        header = self.__dict__.setdefault("_header", parse_smv_header(data[:MAX_HEADER_SIZE], self.path))
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
        return timepix.split_chips(image) if self._is_timepix else [image]


def parse_smv_header(head: bytes, path: str) -> dict[str, str]:
    """Parse an SMV header.

    Parameters
    ----------
    head : bytes
        Beginning of the file.
    path : str
        Its name, for messages.

    Returns
    -------
    dict
        Value of each field by its name, as text; HEADER_BYTES is a number that lies within `head`.

    Raises
    ------
    FormatError
        If the header has no sound size, or ends early.
    """
    size = _parse_fields(head[:512].decode("ascii", "ignore")).get("HEADER_BYTES", "")
    if not size.isdecimal() or not 16 <= int(size) <= MAX_HEADER_SIZE:
        raise FormatError(f"{path}: HEADER_BYTES must be 16 to {MAX_HEADER_SIZE}, got {size!r}")
    if len(head) < int(size):
        raise FormatError(f"{path}: is truncated: its header promises {size} bytes of header, it has {len(head)}")
    return _parse_fields(head[:int(size)].decode("ascii", "ignore").partition("\n}")[0])


def _parse_fields(text: str) -> dict[str, str]:
    """The fields ``NAME=value;``, one a line."""
    lines = (line.replace("{", "").partition(";")[0].partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, equals, value in lines if equals}
