"""MarCCD and Rayonix images: TIFF files with the detector's own header in bytes 1024 to 4095.

References
----------
Mar USA, "The marccd file format", revision 0.17.
"""

from __future__ import annotations

import calendar
import functools
import struct
from typing import ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.images.formats.base import Format, Models
from xdp.images.formats.files import read_bytes, read_whole_head
from xdp.images.formats.tiff import find_byte_order, read_page
from xdp.images.names import parse_image_number

HEADER_SIZE = 4096
"""Bytes of both headers: pixels begin behind them."""

# Byte offsets in the file: the detector's header begins at 1024. Lengths are in µm, pixel sizes in nm, angles in
# thousandths of a degree, times in ms, the wavelength in fm, beam centre (pixels) and bias in thousandths.
_SIZES, _N_IMAGES, _SATURATED = 1104, 1136, 1128
_DISTANCE, _BEAM, _TIMES, _ANGLES, _END_DISTANCE, _END_ANGLES = 1664, 1668, 1676, 1692, 1720, 1724
_AXIS, _ROTATIONS, _PIXEL, _BIAS, _WAVELENGTH, _STAMP = 1756, 1764, 1796, 1804, 1932, 2368

# Counts per photon by number of pixels along an edge and pixel size (mm), None: any. Numbers and how models are told
# apart are from dxtbx (FormatTIFFRayonix), which has them from datasheets, J. Holton's list and use: good to some 20 %.
_GAINS = {(3072, None): 1.5, (4096, 0.079346): 1.3, (4096, 0.073242): 1.5, (2048, 0.079348): 1.0}


class MarCCD(Format):
    """A MarCCD or Rayonix image file."""

    name: ClassVar[str] = "MarCCD"
    overload_is_trusted: ClassVar[bool] = False

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A TIFF of a square image whose second header says the same of its size."""
        try:
            page, order = read_page(head, path), find_byte_order(head, path)
            width, height, depth = struct.unpack_from(order + "3I", head, _SIZES)
            flags = struct.unpack_from(order + "4I", head, _N_IMAGES)
        except (FormatError, struct.error):
            return False
        agree = (page.get(256), page.get(257)) == (width, height) and page.get(258, 1) == 8 * depth
        return agree and width == height and flags == (1, 0, 0, 0)

    @functools.cached_property
    def _head(self) -> bytes:
        return read_whole_head(self.path, HEADER_SIZE)

    def _read_integers(self, at: int, n: int = 1) -> tuple[int, ...]:
        """`n` signed 32-bit integers from byte `at`."""
        return struct.unpack_from(f"{find_byte_order(self._head, self.path)}{n}i", self._head, at)

    @property
    def _bias(self) -> int:
        """Counts that the detector adds to each pixel."""
        return round(self._read_integers(_BIAS)[0] * 1e-3)

    @property
    def _size(self) -> tuple[int, int]:
        """Pixels (fast, slow)."""
        width, height = self._read_integers(_SIZES, 2)
        return width, height

    def models(self, index: int = 0) -> Models:
        """The models that the header states; no detector where it lacks the distance, no beam without a wavelength."""
        wavelength = self._read_integers(_WAVELENGTH)[0] * 1e-5
        beam = Beam.along_z(wavelength) if wavelength > 0.0 else None
        return Models(beam, self._read_detector(), Goniometer(), self._read_scan())

    def _read_detector(self) -> Detector | None:
        """The panel, square to the beam or on a 2theta arm; None where the header lacks its distance."""
        distance = (self._read_integers(_DISTANCE)[0] or self._read_integers(_END_DISTANCE)[0]) * 1e-3
        pixel = tuple(value * 1e-6 for value in self._read_integers(_PIXEL, 2))
        # What the user gives takes the place of these afterwards.
        if distance <= 0.0 and "distance" in self.given:
            distance = 100.0
        if min(pixel) <= 0.0 and "pixel_size" in self.given:
            pixel = (0.1, 0.1)
        if distance <= 0.0 or min(pixel) <= 0.0:
            return None
        if any(self._read_integers(_ROTATIONS, 3)):
            raise FormatError(f"{self.path}: detectors that are rotated about more than 2theta are not known")
        x, y = (value * 1e-3 * size for value, size in zip(self._read_integers(_BEAM, 2), pixel, strict=True))
        # 2theta is the first of the angles; it turns about +x, as the scan does.
        turn = axis_angle_matrix((1.0, 0.0, 0.0), self._read_integers(_ANGLES)[0] * 1e-3)
        fast, slow, origin = (tuple((turn @ np.asarray(vector)).tolist()) for vector in (
            (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-x, y, -distance)))
        # A pixel at the saturation value itself is overloaded.
        high = self._read_integers(_SATURATED)[0] - self._bias - 1.0
        return Detector((Panel(fast, slow, origin, self._size, pixel, (1.0 - self._bias, high), type="SENSOR_CCD",
                               gain=self._choose_gain(pixel[0])),))

    def _choose_gain(self, pixel: float) -> float:
        """Counts per photon, 1 for a detector that is not listed."""
        size = self._size[0]
        return next((gain for (n, width), gain in _GAINS.items() if n == size and width in (None, pixel)), 1.0)

    def _read_scan(self) -> Scan:
        """The scan of this image about the axis that the header names."""
        starts = self._read_integers(_ANGLES, 7)
        # Which of the seven angles (2theta, omega, chi, kappa, phi, delta, gamma) is scanned.
        axis, width = self._read_integers(_AXIS, 2)
        start = starts[axis] * 1e-3 if 0 <= axis < len(starts) else 0.0
        image = parse_image_number(self.path)
        exposure = self._read_integers(_TIMES, 2)[1] * 1e-3
        return Scan((image, image), (start, width * 1e-3), (exposure,), (self._read_epoch(),), image - 1)

    def _read_epoch(self) -> float:
        """Seconds since 1970 of the stamp MMDDhhmmYYYY.ss, taken as UTC; 0 where there is none."""
        stamp = self._head[_STAMP:_STAMP + 15].decode("ascii", "replace")
        try:
            month, day, hour, minute = (int(stamp[i:i + 2]) for i in (0, 2, 4, 6))
            return float(calendar.timegm((int(stamp[8:12]), month, day, hour, minute, int(stamp[13:15]), 0, 0, 0)))
        except (ValueError, OverflowError):
            return 0.0

    def _count_bytes(self, data: bytes) -> int:
        """Bytes that the file has, by its header."""
        width, height, depth = struct.unpack_from(find_byte_order(data, self.path) + "3I", data, _SIZES)
        return HEADER_SIZE + width * height * depth

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, uint16; int32 where the header's bias is taken off."""
        data = read_bytes(self.path, self._count_bytes)
        # The file was read whole: its header need not be read again.
        self.__dict__.setdefault("_head", data[:HEADER_SIZE])
        width, height, depth = self._read_integers(_SIZES, 3)
        if width < 1 or height < 1 or depth not in (1, 2, 4):
            raise FormatError(f"{self.path}: an image of {width} x {height} pixels of {depth} bytes cannot be")
        if len(data) < HEADER_SIZE + width * height * depth:
            raise FormatError(f"{self.path}: is truncated: its header promises {width} x {height} pixels of {depth} "
                              f"bytes, {max(len(data) - HEADER_SIZE, 0)} bytes follow")
        dtype = np.dtype(f"u{depth}").newbyteorder(find_byte_order(data, self.path))
        image = np.frombuffer(data, dtype, width * height, HEADER_SIZE).reshape(height, width)
        image = image.astype(dtype.newbyteorder("="), copy=not dtype.isnative)
        return [image.astype(np.int32) - self._bias if self._bias else image]
