"""European XFEL's HDF5 geometry of LPD and DSSC, as EXtra-geom reads it: places of quadrants, modules and tiles in mm.

The places are those of a corner of each tile: of LPD that with the largest x and y, of DSSC that with the smallest. The
axes are those of CrystFEL: x to the left as the beam sees it, y up. The first files of LPD have both the other way
round; they are known by a word that is misspelt in them. Tiles are not turned. Many files lack the places of the
quadrants, which are moved for each experiment: the user gives them.

References
----------
EXtra-geom, https://extra-geom.readthedocs.io
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.files import convert_hdf5_errors, open_hdf5
from xdp.images.geometry_files.crystfel import PLACEHOLDER, CrystFELGeometry, GeometryPanel

DATA = "/entry_1/instrument_1/detector_1/data"
"""Data set that EXtra-data's virtual CXI files have: image, module, slow, fast."""
TURNED = "DetectorDescribtion"
"""A data set that only the first files have: EXtra-geom's copies with turned axes have it spelt well."""
N_QUADRANTS = N_MODULES = 4
SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""How HDF5 files begin."""
DSSC_ORIENTATION = ((-1, 1), (-1, 1), (1, -1), (1, -1))
"""Directions of fast and slow along x and y in each quadrant of a DSSC."""


class Tiles(NamedTuple):
    """Tiles of a kind of detector.

    Attributes
    ----------
    name : str
    n_tiles : int
        Of a module.
    size : (int, int)
        Fast and slow pixels.
    pixel : (float, float)
        Their steps along fast and slow, mm.
    """

    name: str
    n_tiles: int
    size: tuple[int, int]
    pixel: tuple[float, float]


LPD = Tiles("LPD", 16, (128, 32), (0.5, 0.5))
DSSC = Tiles("DSSC", 2, (256, 128), (0.236, 0.236 * 1.5 / np.sqrt(3.0)))
"""Hexagonal pixels, 0.236 mm apart in a row; the rows are 0.204 mm apart."""


def read_extra_geom(path: str | os.PathLike, quadrants: Sequence[float] | None = None) -> CrystFELGeometry:
    """Read a geometry file of LPD or DSSC.

    Parameters
    ----------
    path : path
    quadrants : 8 numbers, optional
        x and y of the four quadrants, mm, in place of those of the file.

    Returns
    -------
    CrystFELGeometry
        Without a camera length. The panels p0a0 to p15a15 are the tiles of the modules Q1M1 to Q4M4.

    Raises
    ------
    FormatError
        If it is no such file, or nobody gives the places of the quadrants.
    """
    name = os.fspath(path)
    panels: list[GeometryPanel] = []
    with open_hdf5(name) as file, convert_hdf5_errors(name):
        first = "Q1/M1/T01/Position"
        if first not in file:
            raise FormatError(f"{name}: has no {first}: HDF5 geometry files of LPD and DSSC are read; AGIPD's geometry "
                              "is a .geom")
        n_tiles = sum(key.startswith("T") for key in file["Q1/M1"])
        tiles = next((kind for kind in (LPD, DSSC) if kind.n_tiles == n_tiles), None)
        if tiles is None:
            raise FormatError(f"{name}: has {n_tiles} tiles a module; LPD has {LPD.n_tiles}, DSSC {DSSC.n_tiles}")
        sign = -1.0 if TURNED in file else 1.0
        for quadrant in range(N_QUADRANTS):
            corner = _read_quadrant(file, name, quadrant, quadrants)
            for module in range(N_MODULES):
                folder = f"Q{quadrant + 1}/M{module + 1}"
                place = corner + sign * _read_place(file, name, f"{folder}/Position")
                for tile in range(n_tiles):
                    at = place + sign * _read_place(file, name, f"{folder}/T{tile + 1:02d}/Position")
                    panels.append(_make_panel(tiles, quadrant, N_MODULES * quadrant + module, tile, at))
    notes: tuple[str, ...] = ()
    if tiles is DSSC:
        notes += ("DSSC's hexagonal pixels are read as oblong ones; every second row lies half a pixel aside",)
    if sign < 0:
        notes += (f"{name} is of the first LPD files: its places are turned, x to the left and y up",)
    notes += tuple(f"{name}: all tiles of Q{m // 4 + 1}M{m % 4 + 1} have the same place: it was not measured"
                   for m in range(16) if len({(p.corner_x, p.corner_y) for p in panels[m * n_tiles:][:n_tiles]}) == 1)
    groups = {f"m{m}": tuple(p.name for p in panels if p.name.startswith(f"p{m}a")) for m in range(16)}
    groups |= {f"q{q}": tuple(f"m{N_MODULES * q + m}" for m in range(N_MODULES)) for q in range(N_QUADRANTS)}
    groups["all"] = tuple(f"q{q}" for q in range(N_QUADRANTS))
    return CrystFELGeometry(tuple(panels), path=name, groups=groups, notes=notes)


def _read_quadrant(file: Any, name: str, number: int, given: Sequence[float] | None) -> np.ndarray:
    """Place of a quadrant, mm."""
    if given is not None:
        return np.asarray(given[2 * number:2 * number + 2], float)
    key = f"Q{number + 1}/Position"
    if key not in file:
        raise FormatError(f"{name}: has no places of the quadrants: give quadrants=x1,y1,x2,y2,x3,y3,x4,y4, mm")
    return (-1.0 if TURNED in file else 1.0) * _read_place(file, name, key)


def _read_place(file: Any, name: str, key: str) -> np.ndarray:
    """x and y of a part, mm."""
    values = np.asarray(file[key][()], float).reshape(-1)[:2]
    if values.size != 2 or not np.isfinite(values).all():
        raise FormatError(f"{name}: {key} must be two finite numbers, got {values.tolist()}")
    return values


def _make_panel(tiles: Tiles, quadrant: int, module: int, tile: int, corner: np.ndarray) -> GeometryPanel:
    """A tile as CrystFEL has it."""
    fast, slow = (1, 1) if tiles is LPD else DSSC_ORIENTATION[quadrant]
    width, height = tiles.size[0] * tiles.pixel[0], tiles.size[1] * tiles.pixel[1]
    if tiles is LPD:
        # the corner is the one behind the last pixel
        first = corner - np.array([width, height])
        # the first eight tiles are numbered from the end of the module's rows, the others from their beginning
        column, row = (0, 7 - tile) if tile < 8 else (1, tile - 8)
    else:
        # the corner with the smallest x and y: an axis that runs backwards begins at the other end
        first = corner + np.array([width if fast < 0 else 0.0, height if slow < 0 else 0.0])
        column, row = tile, 0
    res = 1000.0 / tiles.pixel[0]
    fs, ss = tiles.size[0] * column, tiles.size[1] * row
    return GeometryPanel(
        f"p{module}a{tile}", fs, fs + tiles.size[0] - 1, ss, ss + tiles.size[1] - 1, float(first[0] * res / 1000.0),
        float(first[1] * res / 1000.0), (float(fast), 0.0, 0.0), (0.0, slow * tiles.pixel[1] / tiles.pixel[0], 0.0),
        res, data=DATA, dims=(PLACEHOLDER, module, "ss", "fs"))
