"""Small synthetic image files for the tests of formats."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from xdp.experiment import Beam, Detector, Panel, Scan
from xdp.images.formats.base import Models
from xdp.images.formats.cbf.writer import write_minicbf


def pixels(slow: int = 31, fast: int = 40, seed: int = 1, top: int = 60000) -> np.ndarray:
    """Counts of all magnitudes, int32."""
    rng = np.random.default_rng(seed)
    image = rng.poisson(3.0, (slow, fast)).astype(np.int32)
    where = rng.random((slow, fast)) < 0.05
    image[where] = rng.integers(0, top, np.count_nonzero(where))
    return image


def flat_models(image: np.ndarray, number: int = 1, width: float = 0.5, wavelength: float = 1.0) -> Models:
    """A beam, a square silicon detector and the scan of one image."""
    slow, fast = image.shape
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-3.5, 2.5, -100.0), (fast, slow), (0.172, 0.172),
                  (0.0, 1048575.0), type="SENSOR_PAD", thickness=0.32, material="Si")
    scan = Scan((number, number), (width * (number - 1), width), (0.1,), (1.0e9 + 0.25 * number,), number - 1)
    return Models(Beam((0.0, 0.0, 1.0), wavelength), Detector((panel,)), None, scan)


def cbf_file(path: Path, image: np.ndarray | None = None, number: int = 1, **models: float) -> Path:
    """A mini CBF."""
    image = pixels(seed=number) if image is None else image
    write_minicbf(path, image, flat_models(image, number, **models))
    return path


def cbf_series(folder: Path, n: int, first: int = 1, name: str = "img") -> list[Path]:
    """A rotation series of mini CBF files."""
    return [cbf_file(folder / f"{name}_{i:04d}.cbf", number=i) for i in range(first, first + n)]


SMV_HEADER = """{{
HEADER_BYTES= 1024;
DIM=2;
BYTE_ORDER={order};
TYPE=unsigned_short;
PIXEL_SIZE=0.1024;
BIN=2x2;
BIN_TYPE=HW;
DETECTOR_SN={serial};
DATE=Thu May 15 13:17:42 2008;
TIME=2.00;
DISTANCE=150.0;
OSC_RANGE=1.0;
OSC_START=12.0;
WAVELENGTH=0.98;
BEAM_CENTER_X=2.0;
BEAM_CENTER_Y=1.5;
IMAGE_PEDESTAL=0;
SIZE1={fast};
SIZE2={slow};
}}
"""


def smv_file(path: Path, image: np.ndarray | None = None, order: str = "little_endian", serial: str = "925") -> Path:
    """An ADSC image."""
    image = pixels() if image is None else image
    header = SMV_HEADER.format(order=order, fast=image.shape[1], slow=image.shape[0], serial=serial)
    code = ">u2" if order == "big_endian" else "<u2"
    path.write_bytes(header.encode().ljust(1024) + image.astype(code).tobytes())
    return path


def tiff_bytes(image: np.ndarray, order: str = "<", start: int = 4096, next_page: int = 0) -> bytes:
    """A TIFF of one uncompressed strip at byte `start`."""
    kind = {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    bits = 8 * image.dtype.itemsize
    tags = [(256, 4, image.shape[1]), (257, 4, image.shape[0]), (258, 3, bits), (259, 3, 1), (273, 4, start),
            (277, 3, 1), (278, 4, image.shape[0]), (279, 4, image.nbytes), (339, 3, kind)]
    directory = struct.pack(order + "H", len(tags))
    for tag, code, value in tags:
        packed = struct.pack(order + ("I" if code == 4 else "Hxx"), value)
        directory += struct.pack(order + "HHI", tag, code, 1) + packed
    directory += struct.pack(order + "I", next_page)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + directory
    return head.ljust(start, b"\0") + image.astype(image.dtype.newbyteorder(order)).tobytes()


def marccd_file(path: Path, image: np.ndarray | None = None, bias: int = 0, distance: float = 150.0) -> Path:
    """A MarCCD image: a square TIFF with the second header."""
    image = (pixels(32, 32) if image is None else image).astype(np.uint16)
    data = bytearray(tiff_bytes(image))
    for at, values in {
        1104: (image.shape[1], image.shape[0], 2, image.shape[1] * 2, 16, 0, 65535), 1136: (1, 0, 0, 0),
        1664: (round(distance * 1000), 15000, 16500), 1676: (0, 2000), 1692: (0, 0, 0, 0, 30000, 0, 0),
        1724: (0, 0, 0, 0, 31000, 0, 0), 1756: (4, 1000), 1796: (79346, 79346), 1804: (bias * 1000,), 1932: (98000,),
    }.items():
        struct.pack_into(f"<{len(values)}i", data, at, *values)
    data[2368:2383] = b"111613242007.39"
    path.write_bytes(bytes(data))
    return path


EDF_HEADER = """{{
HeaderID       = EH:000001:000000:000000 ;
ByteOrder      = LowByteFirst ;
DataType       = {kind} ;
Dim_1          = {fast} ;
Dim_2          = {slow} ;
"""


def edf_bytes(image: np.ndarray) -> bytes:
    """One block of an EDF file."""
    kind = {"uint16": "UnsignedShort", "int32": "SignedInteger", "float32": "FloatValue"}[image.dtype.name]
    header = EDF_HEADER.format(kind=kind, fast=image.shape[1], slow=image.shape[0])
    return header.encode().ljust(1022) + b"}\n" + image.tobytes()
