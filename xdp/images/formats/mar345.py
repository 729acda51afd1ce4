"""Images of mar345 image plates (``.mar2300``, ``.mar3450`` and kin): headers, high counts, packed counts.

References
----------
Marresearch, "The mar345 image formats" (mar345_formats.pdf).
"""

from __future__ import annotations

import calendar
import functools
import re
import struct
import time
from typing import ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.experiment.goniometer import axis_angle_matrix, make_width_positive
from xdp.images.formats.base import ARM_AXIS, Format, Models, describe_turn
from xdp.images.formats.files import read_bytes, read_whole_head
from xdp.images.formats.limits import MAX_PIXELS
from xdp.images.names import parse_image_number

HEADER_SIZE = 4096
"""Bytes of both headers, the binary one and the one in words: high counts follow."""

# The first integer of the file, which shows the byte order.
_MARK = 1234
# Places of the binary header's integers. Lengths are in µm, angles in thousandths of a degree, the wavelength is in
# 1e-6 Å.
_SIZE, _N_HIGH, _FORMAT, _N_PIXELS, _LENGTH, _HEIGHT, _WAVELENGTH, _DISTANCE, _PHI, _OMEGA, _TWO_THETA = (
    1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 15)
# Formats by their number there; spiral images are the scanner's raw data, which marcvt converts.
_PACKED, _SPIRAL = 1, 2
# Records of high counts come in blocks of eight pairs of an address and a count.
_HIGH_BLOCK = 8
# What the packed counts hold where the count is high.
_HIGH_MARK = 65535
# The highest count of an image, which dxtbx (FormatMarIP) takes from one image.
_SATURATED = 249862.0
_PACKED_TITLE = re.compile(rb"\nCCP4 packed image( V2)?, X: *(\d+), Y: *(\d+)\n")
# The longest code of a pixel, in bytes: a group of its own with 32 bits.
_MOST_BYTES = 5


class Mar345(Format):
    """A mar345 image file with packed counts."""

    name: ClassVar[str] = "mar345"

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A file that begins with the mark of mar's scanners and their maker's name."""
        return len(head) > 16 and _find_order(head) is not None and b"mar research" in head[:256]

    @functools.cached_property
    def _head(self) -> bytes:
        return read_whole_head(self.path, HEADER_SIZE)

    @functools.cached_property
    def _order(self) -> str:
        """Byte order, as struct writes it."""
        order = _find_order(self._head)
        if order is None:
            raise FormatError(f"{self.path}: a mar345 image begins with {_MARK}, got {self._head[:4]!r}")
        return order

    @functools.cached_property
    def _numbers(self) -> tuple[int, ...]:
        """The 16 integers of the binary header."""
        return struct.unpack_from(self._order + "16i", self._head)

    @functools.cached_property
    def _words(self) -> dict[str, list[str]]:
        """The lines of the header in words, by their first one."""
        text = self._head[64:].decode("latin-1").partition("END OF HEADER")[0]
        lines = (line.split() for line in text.splitlines())
        words: dict[str, list[str]] = {}
        for line in lines:
            if line:
                words.setdefault(line[0], line[1:])
        return words

    @functools.cached_property
    def _shape(self) -> tuple[int, int]:
        """Pixels (slow, fast)."""
        fast, total = self._numbers[_SIZE], self._numbers[_N_PIXELS]
        if not 0 < fast <= total <= MAX_PIXELS or total % fast:
            raise FormatError(f"{self.path}: {total} pixels in rows of {fast} cannot be an image")
        return total // fast, fast

    def models(self, index: int = 0) -> Models:
        """The models that the header states."""
        wavelength = self._numbers[_WAVELENGTH] * 1e-6
        if wavelength <= 0.0:
            wavelength = self._stand_in("wavelength", "geometry.beam.wavelength", "wavelength", 1.0)
        goniometer, scan = make_width_positive(Goniometer(), self._read_scan())
        return Models(Beam.along_z(wavelength), self._read_detector(), goniometer, scan)

    def _stand_in(self, quantity: str, parameter: str, words: str, value: float) -> float:
        """What stands for a quantity that the header lacks, if it is given."""
        if quantity not in self.given:
            raise FormatError(f"{self.path}: its header has no {words} above 0; {parameter} gives it")
        return value

    def _read_detector(self) -> Detector:
        """The plate, square to the beam or on a 2theta arm."""
        pixel = self._numbers[_LENGTH] * 1e-3, self._numbers[_HEIGHT] * 1e-3
        if min(pixel) <= 0.0:
            pixel = (self._stand_in("pixel_size", "geometry.detector.panel.pixel_size", "pixel size", 0.1),) * 2
        distance = self._numbers[_DISTANCE] * 1e-3
        if distance <= 0.0:
            distance = self._stand_in("distance", "geometry.detector.distance", "distance", 100.0)
        slow_size, fast_size = self._shape
        x, y = self._read_centre()
        frame = (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-x * pixel[0], y * pixel[1], -distance)
        if angle := self._numbers[_TWO_THETA] * 1e-3:
            self.notes.append(describe_turn("2theta", angle))
            turn = axis_angle_matrix(ARM_AXIS, angle)
            frame = tuple(tuple((turn @ np.asarray(vector)).tolist()) for vector in frame)  # type: ignore[assignment]
        return Detector((Panel(*frame, (fast_size, slow_size), pixel, (0.0, _SATURATED), type="SENSOR_IMAGE_PLATE"),))

    def _read_centre(self) -> tuple[float, float]:
        """Where the beam meets the plate, pixels (fast, slow): as the header has it, else the middle."""
        slow, fast = self._shape
        words = self._words.get("CENTER", [])
        try:
            x, y = float(words[words.index("X") + 1]), float(words[words.index("Y") + 1])
        except (ValueError, IndexError):
            x = y = 0.0
        if 0.0 < x < fast and 0.0 < y < slow:
            return x, y
        if "beam_centre" not in self.given:
            self.notes.append("its header has no beam centre: the middle of the plate is taken")
        return 0.5 * fast, 0.5 * slow

    def _read_scan(self) -> Scan:
        """The scan of this image: about phi, or about omega if that turns and phi does not."""
        phi, omega = (self._numbers[at:at + 2] for at in (_PHI, _OMEGA))
        start, end = omega if phi[0] == phi[1] and omega[0] != omega[1] else phi
        image = parse_image_number(self.path)
        return Scan((image, image), (start * 1e-3, (end - start) * 1e-3), (self._read_exposure(),),
                    (self._read_epoch(),), image - 1)

    def _read_exposure(self) -> float:
        """Exposure time, s; 0 where the header has none."""
        try:
            return float(self._words.get("TIME", ["0"])[0])
        except (ValueError, IndexError):
            return 0.0

    def _read_epoch(self) -> float:
        """Seconds since 1970 of the header's date, taken as UTC; 0 where it has none."""
        try:
            date = " ".join(self._words.get("DATE", [])[:5])
            return float(calendar.timegm(time.strptime(date, "%a %b %d %H:%M:%S %Y")))
        except ValueError:
            return 0.0

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, int32."""
        from xdp.images.formats._kernels_pck import decode_pck
        from xdp.images.formats.cbf._kernels import PACKED_BITS, PACKED_BITS_V2

        slow, fast = self._shape
        n_high, kind = self._numbers[_N_HIGH], self._numbers[_FORMAT]
        if kind == _SPIRAL:
            raise FormatError(f"{self.path}: is a spiral image, as the scanner reads it; convert it with marcvt")
        if kind != _PACKED or not 0 <= n_high <= slow * fast:
            raise FormatError(f"{self.path}: format {kind} with {n_high} high counts is not known; 1 (packed) is")
        start = HEADER_SIZE + 8 * _HIGH_BLOCK * -(-n_high // _HIGH_BLOCK)
        data = read_bytes(self.path, lambda _: start + 256 + _MOST_BYTES * slow * fast)
        title = _PACKED_TITLE.search(data, start, start + 256)
        if title is None or (int(title[2]), int(title[3])) != (fast, slow):
            raise FormatError(f"{self.path}: is damaged: its packed counts of {fast} x {slow} pixels do not begin "
                              f"behind byte {start}")
        image = np.zeros(slow * fast, np.int32)
        bits = PACKED_BITS_V2 if title[1] else PACKED_BITS
        n_decoded = decode_pck(np.frombuffer(data, np.uint8, offset=title.end()), image, fast, bits)
        if n_decoded < len(image):
            raise FormatError(f"{self.path}: is truncated: its packed counts end at pixel {n_decoded} of {len(image)}")
        self._put_high_counts(image, np.frombuffer(data, self._order + "i4", 2 * n_high, HEADER_SIZE).reshape(-1, 2))
        return [image.reshape(slow, fast)]

    def _put_high_counts(self, image: np.ndarray, pairs: np.ndarray) -> None:
        """Put counts above 65535 into the image, each at its address."""
        addresses, counts = pairs.astype(np.int64).T
        if len(addresses) and not (addresses.min() >= 0 and addresses.max() <= len(image) and counts.min() >= 0):
            raise FormatError(f"{self.path}: is damaged: a high count lies outside of the image")
        # Addresses count from 1. Some writers count from 0: then the pixels that are marked lie there.
        from_one = addresses - 1
        if len(addresses) and addresses.max() < len(image):
            marked = [np.count_nonzero(image[places] == _HIGH_MARK) for places in (from_one, addresses)]
            if addresses.min() == 0 or marked[1] > marked[0]:
                from_one = addresses
        image[from_one] = counts


def _find_order(head: bytes) -> str | None:
    """The byte order of a mar345 header; None of any other file."""
    return next((order for order in "<>" if struct.unpack_from(order + "i", head)[0] == _MARK), None)
