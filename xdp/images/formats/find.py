"""The right format for a file: the built-in ones, and those that other installed packages offer.

The built-in formats are listed in :data:`BUILT_IN` and imported when a file looks like theirs. A site adds its own
through an entry point of group ``xdp.formats`` that names a :class:`~xdp.images.formats.base.Format` subclass.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xdp.errors import FormatError
from xdp.images.formats.base import Format
from xdp.images.formats.files import read_head, strip_compression

ENTRY_POINT_GROUP = "xdp.formats"
GEOMETRY_FILE = "geometry_file"
"""Name among the ``params`` of an image set for the geometry file by which its images are cut into panels."""


@dataclass(frozen=True)
class BuiltIn:
    """Where a format of ours is defined, and what its files begin or end with.

    Most formats are ruled out by these alone, without importing them.

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
        """Whether a file may be of the format, so that it is worth importing.

        Parameters
        ----------
        path : str
            The file or folder.
        head : bytes
            Its first bytes, decompressed.

        Returns
        -------
        bool
            False where neither content nor name fit.
        """
        name = strip_compression(path).lower().rstrip("/")
        return (not self.magics or head.startswith(self.magics)) and (not self.suffixes or name.endswith(self.suffixes))


_HDF5 = b"\x89HDF\r\n\x1a\n"

# In order of asking, the special ones first: a MarCCD image is a TIFF too, and a mini CBF begins as imgCIF does.
BUILT_IN: tuple[BuiltIn, ...] = (
    BuiltIn("xdp.images.formats.cbf.minicbf:MiniCBF", (b"###CBF",)),
    BuiltIn("xdp.images.formats.cbf.imgcif:ImgCIF", (b"###CBF",)),
    BuiltIn("xdp.images.formats.smv:SMV", (b"{",)),
    BuiltIn("xdp.images.formats.edf:EDFStack", (b"{", b"\n{", b"\r\n{")),
    BuiltIn("xdp.images.formats.edf:EDF", (b"{", b"\n{", b"\r\n{")),
    BuiltIn("xdp.images.formats.marccd:MarCCD", (b"II*\0", b"MM\0*")),
    BuiltIn("xdp.images.formats.mar345:Mar345", (b"\xd2\x04\0\0", b"\0\0\x04\xd2")),
    BuiltIn("xdp.images.formats.oxford:Oxford", (b"OD SAPPHIRE",)),
    BuiltIn("xdp.images.formats.tiff:TIFFStack", (b"II*\0", b"MM\0*")),
    BuiltIn("xdp.images.formats.tiff:TIFF", (b"II*\0", b"MM\0*")),
    BuiltIn("xdp.images.formats.hdf5.cxi:CXI", (_HDF5,)),
    BuiltIn("xdp.images.formats.hdf5.nexus:NXmx", (_HDF5,)),
    BuiltIn("xdp.images.formats.hdf5.eiger:EigerHDF5", (_HDF5,)),
    BuiltIn("xdp.images.formats.npy:NPY", (b"\x93NUMPY",)),
    BuiltIn("xdp.images.zarr.store:ZarrStore", (), (".zarr", ".zarr.zip")),
)

def find_format(path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> Format:
    """Open an image file with the first format that understands it: the built-in ones, then those of entry points.

    Parameters
    ----------
    path : path
        A file, or the folder of a zarr store.
    params : mapping, optional
        Options of the format, as in an experiment's image set.

    Returns
    -------
    Format
        The open file.

    Raises
    ------
    FormatError
        If the file cannot be read, or is of no known format.
    """
    return find_format_class(path, params)(path, params)


def find_format_class(path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> type[Format]:
    """Find the format that understands a file, without opening the file in it.

    Parameters
    ----------
    path : path
        A file, or the folder of a zarr store.
    params : mapping, optional
        Options of the image set: a geometry file among them says how all images are read.

    Returns
    -------
    type
        A subclass of :class:`~xdp.images.formats.base.Format`.

    Raises
    ------
    FormatError
        If the file cannot be read, or is of no known format.
    """
    name = os.fspath(path)
    head = b"" if os.path.isdir(name) else read_head(name)
    has_layout = bool(params and params.get(GEOMETRY_FILE))
    # A geometry file says how any HDF5 file is read, also one of no format that is known.
    if has_layout and head.startswith(_HDF5):
        return _load_laid_out()
    for format_class in _iterate_candidates(name, head):
        if format_class.understands(name, head):
            return _load_laid_out() if has_layout else format_class
    raise FormatError(f"{name}: not an image file of a known format ({_describe(name, head)}); "
                      f"known are {', '.join(_list_known_names())}")


def _iterate_candidates(path: str, head: bytes) -> Iterator[type[Format]]:
    """The formats that a file may have, each imported when it is asked for."""
    for entry in BUILT_IN:
        if entry.may_fit(path, head) and (loaded := _load_built_in(entry.target)) is not None:
            yield loaded
    yield from _load_plug_ins()


@functools.cache
def _load_built_in(target: str) -> type[Format] | None:
    """Import the class named ``module:Class``; None where the module is not part of this installation."""
    module_name, _, class_name = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A missing library of the module is an error: h5py, say, is a requirement.
        if error.name != module_name:
            raise
        return None
    return getattr(module, class_name)


def _load_laid_out() -> type[Format]:
    """The format of images that a geometry file cuts into panels; imported only where one is given."""
    from xdp.images.formats.hdf5.laid_out import LaidOut

    return LaidOut


@functools.cache
def _load_plug_ins() -> tuple[type[Format], ...]:
    """Import the formats that other installed packages offer through entry points, in order of their names."""
    found = sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    return tuple(entry.load() for entry in found)


def _list_known_names() -> list[str]:
    """Names of all formats, for the message."""
    return [entry.target.partition(":")[2] for entry in BUILT_IN] + [plug_in.name for plug_in in _load_plug_ins()]


def _describe(path: str, head: bytes) -> str:
    """What a file that no format understands looks like, for the message."""
    if os.path.isdir(path):
        return "it is a folder"
    if not head:
        return "it is empty"
    return f"it begins with {head[:12]!r}"
