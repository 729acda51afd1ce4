"""What an image format is, and how the right one is found for a file.

A format is a class that recognises a file by its first bytes, gives the models its header states, and decodes its
images. The built-in ones are listed in :data:`BUILT_IN` and imported when a file looks like theirs; a site adds its own
through an entry point of group ``xdp.formats`` that names a :class:`Format` subclass.
"""

from __future__ import annotations

import bz2
import functools
import importlib
import importlib.metadata
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from xdp.errors import FormatError

if TYPE_CHECKING:
    from xdp.experiment import Beam, Detector, Goniometer, Scan

HEAD_SIZE = 65536
"""How many (decompressed) bytes :meth:`Format.understands` is given."""

MAX_FILE_SIZE = 1 << 32
"""Largest single-image file, in bytes after decompression: a compressed bomb stops here."""

ENTRY_POINT_GROUP = "xdp.formats"


@dataclass(frozen=True)
class Models:
    """What a file's header states about the experiment; None where it states nothing."""

    beam: Beam | None = None
    detector: Detector | None = None
    goniometer: Goniometer | None = None
    scan: Scan | None = None


class Format(ABC):
    """An open image file: one image, or a stack of them.

    Subclasses read no more than the header when they are made; they are thread-safe, since frames are read by many
    threads at once, and cheap to make anew, since a template of single-image files makes one for each frame.

    Attributes
    ----------
    name : str
        The format's name for messages, such as ``miniCBF``.
    is_stack : bool
        Whether one file holds many images (HDF5, zarr, NPY): such a file is a sequence of its own.
    overload_is_trusted : bool
        Whether the highest trusted count is the number in the header itself (which DIALS 3.12 still left out).
    path : str
        The file.
    params : dict
        The ``params`` of the experiment's image set, such as ``multi_panel``; a format takes what it knows of them.
    """

    name: ClassVar[str]
    is_stack: ClassVar[bool] = False
    overload_is_trusted: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> None:
        self.path = os.fspath(path)
        self.params = dict(params or {})

    @classmethod
    @abstractmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """Whether a file is of this format, by its first `head` bytes (decompressed; empty for a folder)."""

    @property
    def n_images(self) -> int:
        """How many images the file holds."""
        return 1

    @abstractmethod
    def models(self, index: int = 0) -> Models:
        """The models of image `index` (from 0); the scan is that of this image alone, or None for a still."""

    @abstractmethod
    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The pixels of image `index`: one C-contiguous (slow, fast) array a panel, integer or float32.

        Raises
        ------
        FormatError
            If the file is truncated or damaged.
        """

    def stack_models(self) -> Models:
        """The models of the whole file: as of its first image, with the scan over all images; for stacks."""
        return self.models(0)

    def static_mask(self) -> list[np.ndarray] | None:
        """Pixels that are valid in every image: a bool (slow, fast) array a panel, or None where all are."""
        return None

    def goniometer_shadow(self, angles: Sequence[float]) -> list[np.ndarray] | None:
        """Pixels not shadowed by the goniometer at `angles` (degrees, one an axis, crystal outwards), or None."""
        return None


@dataclass(frozen=True)
class BuiltIn:
    """Where a format of ours lives and what its files begin or end with: a first sieve that imports nothing.

    Attributes
    ----------
    target : str
        ``module:Class``.
    magics : tuple of bytes
        Beginnings of the file's content; one must fit (any content where empty).
    suffixes : tuple of str
        Endings of the file's name, lower case, without ``.gz`` or ``.bz2``; one must fit (any name where empty).
    """

    target: str
    magics: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...] = ()

    def may_fit(self, path: str, head: bytes) -> bool:
        """Whether it is worth importing the format to ask it."""
        name = strip_compression(path).lower().rstrip("/")
        return (not self.magics or head.startswith(self.magics)) and (not self.suffixes or name.endswith(self.suffixes))


_HDF5 = b"\x89HDF\r\n\x1a\n"

# In order of asking: the special ones first.
BUILT_IN: tuple[BuiltIn, ...] = (
    BuiltIn("xdp.images.formats.cbf.minicbf:MiniCBF", (b"###CBF",)),
    BuiltIn("xdp.images.formats.cbf.imgcif:ImgCIF", (b"###CBF",)),
    BuiltIn("xdp.images.formats.smv:SMV", (b"{",)),
    BuiltIn("xdp.images.formats.edf:EDFStack", (b"{", b"\n{", b"\r\n{")),
    BuiltIn("xdp.images.formats.edf:EDF", (b"{", b"\n{", b"\r\n{")),
    BuiltIn("xdp.images.formats.marccd:MarCCD", (b"II*\0", b"MM\0*")),
    BuiltIn("xdp.images.formats.oxford:Oxford", (b"OD SAPPHIRE",)),
    BuiltIn("xdp.images.formats.tiff:TIFFStack", (b"II*\0", b"MM\0*")),
    BuiltIn("xdp.images.formats.tiff:TIFF", (b"II*\0", b"MM\0*")),
    BuiltIn("xdp.images.formats.hdf5.cxi:CXI", (_HDF5,)),
    BuiltIn("xdp.images.formats.hdf5.nexus:NXmx", (_HDF5,)),
    BuiltIn("xdp.images.formats.hdf5.eiger:EigerHDF5", (_HDF5,)),
    BuiltIn("xdp.images.formats.npy:NPY", (b"\x93NUMPY",)),
    BuiltIn("xdp.images.zarr.store:ZarrStore", (), (".zarr", ".zarr.zip")),
)

_COMPRESSIONS = (".gz", ".bz2")
_COMPRESSED_PIECE = 1 << 20


def strip_compression(path: str | os.PathLike) -> str:
    """The path without a final ``.gz`` or ``.bz2``."""
    name = os.fspath(path)
    for suffix in _COMPRESSIONS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def find_format(path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> Format:
    """Open an image file with the first format that understands it: the built-in ones, then those of entry points.

    Raises
    ------
    FormatError
        If the file cannot be read, or is of no known format.
    """
    return find_format_class(path)(path, params)


def find_format_class(path: str | os.PathLike) -> type[Format]:
    """The format class that understands a file; see :func:`find_format`."""
    name = os.fspath(path)
    head = b"" if os.path.isdir(name) else read_head(name)
    for format_class in _candidates(name, head):
        if format_class.understands(name, head):
            return format_class
    raise FormatError(f"{name}: not an image file of a known format ({_describe(name, head)}); "
                      f"known are {', '.join(_known_names())}")


def _candidates(path: str, head: bytes) -> Iterator[type[Format]]:
    for entry in BUILT_IN:
        if entry.may_fit(path, head) and (loaded := _load_built_in(entry.target)) is not None:
            yield loaded
    yield from _plug_ins()


@functools.cache
def _load_built_in(target: str) -> type[Format] | None:
    """The class named ``module:Class``; None where the module is not part of this installation."""
    module_name, _, class_name = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        return None
    return getattr(module, class_name)


@functools.cache
def _plug_ins() -> tuple[type[Format], ...]:
    """The formats that other installed packages offer through entry points, in order of their names."""
    found = sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    return tuple(entry.load() for entry in found)


def _known_names() -> list[str]:
    return [entry.target.partition(":")[2] for entry in BUILT_IN] + [plug_in.name for plug_in in _plug_ins()]


def _describe(path: str, head: bytes) -> str:
    """What a file that no format understands looks like, for the message."""
    if os.path.isdir(path):
        return "it is a folder"
    if not head:
        return "it is empty"
    return f"it begins with {head[:12]!r}"


def read_bytes(path: str | os.PathLike) -> bytes:
    """The whole content of a file, decompressed where its name ends in ``.gz`` or ``.bz2``.

    Raises
    ------
    FormatError
        If the file cannot be read, its compressed data are damaged, or it is larger than :data:`MAX_FILE_SIZE`.
    """
    return _read(os.fspath(path), None)


def read_head(path: str | os.PathLike, size: int = HEAD_SIZE) -> bytes:
    """The first `size` bytes of a file, fewer where it is shorter, decompressed as :func:`read_bytes` does."""
    return _read(os.fspath(path), size)


def _read(name: str, limit: int | None) -> bytes:
    try:
        with open(name, "rb", buffering=0) as stream:
            if name.lower().endswith(_COMPRESSIONS):
                return _decompress(name, stream, limit)
            return _read_plain(name, stream, limit)
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error


def _read_plain(name: str, stream, limit: int | None) -> bytes:
    size = os.fstat(stream.fileno()).st_size
    if limit is not None:
        return stream.read(limit)
    if size > MAX_FILE_SIZE:
        raise FormatError(f"{name}: has {size} bytes, more than the {MAX_FILE_SIZE} an image file may have")
    data = stream.read()
    # A raw read may come back short on network file systems.
    while len(data) < size and (more := stream.read()):
        data += more
    return data


def _decompress(name: str, stream, limit: int | None) -> bytes:
    """Decompress the members of a stream one after the other, at most `limit` or MAX_FILE_SIZE bytes.

    The head of a damaged file is what can be had of it; the whole of one is an error.
    """
    ceiling = MAX_FILE_SIZE if limit is None else limit
    output = bytearray()
    whole = False
    try:
        for piece, ended in _inflate(stream, name.lower().endswith(".bz2"), ceiling):
            output += piece
            whole = ended
    except (zlib.error, OSError, EOFError, ValueError) as error:
        if limit is None or not output:
            raise FormatError(f"{name}: its compressed data are damaged: {error}") from error
    if limit is None and not whole:
        reason = f"it holds more than {ceiling} bytes" if len(output) >= ceiling else "it is truncated"
        raise FormatError(f"{name}: cannot be decompressed: {reason}")
    return bytes(output)


def _inflate(stream, is_bz2: bool, ceiling: int) -> Iterator[tuple[bytes, bool]]:
    """Pieces of decompressed data, `ceiling` bytes in all, each with whether it ends a member of the stream."""
    make: Callable = bz2.BZ2Decompressor if is_bz2 else lambda: zlib.decompressobj(wbits=31)
    decompressor = make()
    while ceiling > 0 and (data := stream.read(_COMPRESSED_PIECE)):
        while data and ceiling > 0:
            if decompressor.eof:
                decompressor = make()
            part = decompressor.decompress(data, ceiling)
            ceiling -= len(part)
            yield part, decompressor.eof
            # Some writers pad the end with zeros.
            data = decompressor.unused_data.lstrip(b"\0") if decompressor.eof else b""
