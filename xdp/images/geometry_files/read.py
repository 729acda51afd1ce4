"""Reads a geometry file of any kind that is known, told apart by its content."""

from __future__ import annotations

import dataclasses
import os

from xdp.errors import FormatError
from xdp.files import open_input
from xdp.images.geometry_files.crystfel import PLACEHOLDER, CrystFELGeometry
from xdp.images.geometry_files.extra_geom import SIGNATURE, read_extra_geom
from xdp.images.geometry_files.lcls import build_lcls_detector, read_lcls_geometry
from xdp.images.geometry_files.read_crystfel import read_crystfel_geometry
from xdp.images.geometry_files.write_crystfel import convert_detector

# Where Cheetah puts the segments of an LCLS detector: one below the other.
_LCLS_DATA = "/entry_1/data_1/data"
# Words of a line of an LCLS geometry.
_LCLS_WORDS = 13


def find_geometry_kind(path: str | os.PathLike) -> str:
    """Find of which kind a geometry file is.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    str
        ``"expt"``, ``"definition"``, ``"extra_geom"``, ``"lcls"`` or ``"crystfel"``; the last for all else, whose
        reader says what is wrong.

    Raises
    ------
    FormatError
        If it cannot be read.
    """
    name = os.fspath(path)
    try:
        with open_input(name) as stream:
            head = stream.read(1 << 16)
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error
    if head.lstrip().startswith((b"{", b"[")):
        return "expt"
    if head.startswith(SIGNATURE):
        return "extra_geom"
    if head.startswith(b"###CBF"):
        return "definition"
    lines = [line.strip() for line in head.split(b"\n")]
    first = next((line for line in lines if line and not line.startswith((b"#", b";"))), b"")
    return "lcls" if b"=" not in first and len(first.split()) == _LCLS_WORDS else "crystfel"


def read_geometry_file(path: str | os.PathLike) -> CrystFELGeometry:
    """Read a geometry file that says where panels lie in images.

    Parameters
    ----------
    path : path
        CrystFEL's ``.geom``; European XFEL's HDF5 of LPD and DSSC, with the places of the quadrants; or LCLS'
        ``.data``, whose segments are taken to lie one below the other.

    Returns
    -------
    CrystFELGeometry
        With the panels' places in the image files.

    Raises
    ------
    FormatError
        If it is damaged, or of no known kind.
    """
    kind = find_geometry_kind(path)
    if kind == "extra_geom":
        return read_extra_geom(path)
    if kind == "definition":
        raise FormatError(f"{os.fspath(path)}: a .def does not say where panels lie in image files: convert it "
                          "(xdp convert_geometry) to an .expt for events.geometry, or to a .geom")
    if kind != "lcls":
        return read_crystfel_geometry(path)
    geometry, _ = convert_detector(build_lcls_detector(read_lcls_geometry(path)))
    panels = tuple(dataclasses.replace(panel, data=_LCLS_DATA, dims=(PLACEHOLDER, "ss", "fs"), adu_per_photon=None)
                   for panel in geometry.panels)
    note = f"{os.fspath(path)}: segments are taken to lie one below the other in {_LCLS_DATA}"
    return dataclasses.replace(geometry, panels=panels, path=os.fspath(path), notes=(note,))
