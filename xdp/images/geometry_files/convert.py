"""Converts geometry files of other programs, and .expt files, to each other."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from xdp.errors import FormatError, OptionError
from xdp.experiment import Beam, Detector, Experiment, ExperimentList, read_experiments, write_experiments
from xdp.images.formats.find import GEOMETRY_FILE
from xdp.images.geometry_files.crystfel import CrystFELGeometry
from xdp.images.geometry_files.crystfel_detector import build_energy_beam, build_geometry_detector, find_energy
from xdp.images.geometry_files.definition import read_definition, write_definition
from xdp.images.geometry_files.extra_geom import read_extra_geom
from xdp.images.geometry_files.lcls import (
    build_lcls_detector,
    convert_detector_to_lcls,
    read_lcls_geometry,
    write_lcls_geometry,
)
from xdp.images.geometry_files.read import find_geometry_kind, read_geometry_file
from xdp.images.geometry_files.read_crystfel import read_crystfel_geometry
from xdp.images.geometry_files.write_crystfel import check_beam, convert_detector, write_crystfel_geometry
from xdp.images.importing.detector_overrides import set_distance
from xdp.options import FilePath, Options, option

_ENDINGS = (".geom", ".data", ".expt", ".def")


class GeometryOutput(Options):
    """Files that are written."""

    geometry: FilePath = option(
        "converted.geom", "The file; its ending says of which kind: .geom (CrystFEL), .data (LCLS), "
        ".expt, .def (cctbx.xfel).",
        file="output")
    log: FilePath | None = option(
        "xdp.convert_geometry.log", "File for the messages that are also on the screen; None: no file.", file="output")


class ConvertGeometryOptions(Options):
    """Parameters of ``xdp convert_geometry``."""

    distance: float | None = option(
        None, "Distance from sample to detector, mm: needed where the file leaves it to the images. Of a .geom file "
        "it is clen + coffset of the first panel.", gt=0.0)
    energy: float | None = option(None, "Photon energy, eV, in place of that of the file.", gt=0.0)
    quadrants: tuple[float, ...] | None = option(
        None, "Places of the four quadrants of an LPD or DSSC, mm: x1,y1,x2,y2,x3,y3,x4,y4. None: those of its HDF5 "
        "file.")
    output: GeometryOutput = option(GeometryOutput(), "")


class GeometrySource(NamedTuple):
    """What a geometry file says.

    Attributes
    ----------
    detector : Detector
        Its panels.
    beam : Beam or None
        None where it does not say.
    layout : CrystFELGeometry or None
        Where the panels lie in image files, where that is known.
    notes : tuple of str
        What is not used.
    """

    detector: Detector
    beam: Beam | None
    layout: CrystFELGeometry | None
    notes: tuple[str, ...] = ()


def read_geometry_source(path: str | os.PathLike, options: ConvertGeometryOptions | None = None) -> GeometrySource:
    """Read a geometry file of any kind.

    Parameters
    ----------
    path : path
        ``.geom``, ``.data``, ``.def``, ``.expt``, or HDF5 of an LPD or DSSC.
    options : ConvertGeometryOptions, optional
        Distance and energy in place of those of the file.

    Returns
    -------
    GeometrySource

    Raises
    ------
    FormatError
        If it cannot be read, or its distance is not known.
    """
    options = options or ConvertGeometryOptions()
    kind = find_geometry_kind(path)
    beam = build_energy_beam(options.energy)
    if kind == "lcls":
        return GeometrySource(build_lcls_detector(read_lcls_geometry(path), options.distance), beam, None)
    if kind == "definition":
        detector, own = read_definition(path)
        if options.distance is not None:
            detector = set_distance(detector, options.distance, beam or own)
        return GeometrySource(detector, beam or own, None)
    if kind in ("crystfel", "extra_geom"):
        layout = read_crystfel_geometry(path) if kind == "crystfel" else read_extra_geom(
            path, _check_quadrants(options))
        energy = options.energy or find_energy(layout)
        clen = None if options.distance is None else options.distance / 1000.0 - layout.panels[0].coffset
        return GeometrySource(build_geometry_detector(layout, clen, energy), build_energy_beam(energy), layout,
                              layout.notes)
    return _read_experiment_source(path, options, beam)


def _check_quadrants(options: ConvertGeometryOptions) -> tuple[float, ...] | None:
    """The places of the quadrants: eight numbers, or none."""
    if options.quadrants is not None and len(options.quadrants) != 8:
        raise OptionError(f"quadrants must be 8 numbers (x and y of four), got {len(options.quadrants)}")
    return options.quadrants


def _read_experiment_source(path: str | os.PathLike, options: ConvertGeometryOptions,
                            beam: Beam | None) -> GeometrySource:
    """What the first detector of an .expt file says."""
    experiments = read_experiments(path)
    first = next((experiment for experiment in experiments if experiment.detector is not None), None)
    if first is None or first.detector is None:
        raise FormatError(f"{os.fspath(path)}: has no detector")
    known = None if first.imageset is None else first.imageset.params.get(GEOMETRY_FILE)
    detector = first.detector if options.distance is None else set_distance(first.detector, options.distance,
                                                                            first.beam)
    return GeometrySource(detector, beam or first.beam, read_geometry_file(known) if known and os.path.isfile(
        known) else None)


def convert_geometry(path: str | os.PathLike, options: ConvertGeometryOptions | None = None,
                     **named: Any) -> list[str]:
    """Convert a geometry file.

    Parameters
    ----------
    path : path
        ``.geom``, ``.data``, ``.def``, ``.expt``, or HDF5 of an LPD or DSSC.
    options : ConvertGeometryOptions or mapping, optional
        The file that is written, and what is not in the first one.
    **named
        Parameters by name, laid over `options`.

    Returns
    -------
    list of str
        What the new file cannot hold, or what was not used.

    Raises
    ------
    FormatError
        If the file cannot be read, or converted.
    OptionError
        If the new file's ending is not known.
    """
    from xdp.options.named import make_options

    chosen = make_options(ConvertGeometryOptions, options, named)
    target = chosen.output.geometry
    if not target.endswith(_ENDINGS):
        raise OptionError(f"output.geometry={target}: its ending says of which kind it is: {', '.join(_ENDINGS)}")
    source = read_geometry_source(path, chosen)
    notes = list(source.notes)
    if target.endswith(".geom"):
        check_beam(source.beam)
        geometry, lost = convert_detector(source.detector, source.beam, source.layout)
        write_crystfel_geometry(target, geometry)
        return notes + lost
    if target.endswith(".data"):
        lcls, lost = convert_detector_to_lcls(source.detector)
        write_lcls_geometry(target, lcls)
        return notes + lost
    if target.endswith(".def"):
        return notes + write_definition(target, source.detector, source.beam)
    if source.layout is not None:
        notes.append("masks, bad regions and the layout of image files are not written: an .expt file has them only by "
                     "the name of the geometry file (xdp import geometry_file=...)")
    write_experiments(target, ExperimentList([Experiment(beam=source.beam, detector=source.detector)]))
    return notes
