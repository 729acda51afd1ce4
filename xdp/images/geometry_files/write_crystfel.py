"""Writes CrystFEL geometry files, from such a geometry or from a detector."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Beam, Detector, Panel
from xdp.files import atomic_output
from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM
from xdp.images.geometry_files.crystfel import (
    BadRegion,
    CrystFELGeometry,
    GeometryPanel,
    Quantity,
    convert_clen,
    convert_to_energy,
)
from xdp.images.geometry_files.crystfel_detector import TURN
from xdp.images.geometry_files.groups import list_groups

# Highest counts from here on say that there is no limit: that of an int32.
_NO_LIMIT = float(0x7FFFFFFF)
# A panel's values that are written as they are, by their names in the file.
_PLAIN = ("adu_per_photon", "adu_per_eV", "max_adu", "flag_lessthan", "flag_morethan", "flag_equal", "saturation_map",
          "saturation_map_file")


def write_crystfel_geometry(path: str | os.PathLike, geometry: CrystFELGeometry) -> None:
    """Write a CrystFEL geometry file.

    Parameters
    ----------
    path : path
        The file.
    geometry : CrystFELGeometry
        Numbers are written with all their digits.

    Raises
    ------
    XdpError
        If the file cannot be written.
    """
    with atomic_output(path) as part:
        part.write_text(format_crystfel_geometry(geometry), encoding="utf-8")


def format_crystfel_geometry(geometry: CrystFELGeometry) -> str:
    """Write a geometry as the text of a CrystFEL geometry file.

    Parameters
    ----------
    geometry : CrystFELGeometry
        Of any origin.

    Returns
    -------
    str
        With the settings of each panel beside it: none is left to defaults.
    """
    lines = ["; CrystFEL geometry file written by xdp"]
    for name in ("photon_energy", "wavelength", "electron_voltage"):
        if (quantity := getattr(geometry, name)) is not None:
            lines.append(f"{name} = {_format_quantity(quantity)}")
    for name in ("bandwidth", "peak_list", "peak_list_type", "mask_edge_pixels"):
        if (value := getattr(geometry, name)) is not None:
            lines.append(f"{name} = {_format_value(value)}")
    for axis, shift in zip("xy", geometry.detector_shift, strict=True):
        if shift is not None:
            lines.append(f"detector_shift_{axis} = {_format_quantity(shift)}")
    lines.append("")
    for name, members in geometry.groups.items():
        lines.append(f"{'rigid_group' if name in geometry.rigid else 'group'}_{name} = {','.join(members)}")
    for name, members in geometry.collections.items():
        lines.append(f"rigid_group_collection_{name} = {','.join(members)}")
    for region in geometry.bad_regions:
        lines += ["", *_format_region(region)]
    for panel in geometry.panels:
        lines += ["", *_format_panel(panel)]
    return "\n".join(lines) + "\n"


def _format_value(value: object) -> str:
    """A value with all its digits."""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _format_quantity(quantity: Quantity) -> str:
    """A number or path with its unit."""
    text = quantity.path if quantity.path is not None else _format_value(quantity.value)
    return f"{text} {quantity.unit}".strip()


def _format_direction(direction: Sequence[float]) -> str:
    """A step of one pixel."""
    return " ".join(f"{value:+.17g}{letter}" for letter, value in zip("xyz", direction, strict=True)
                    if value or letter != "z")


def _format_region(region: BadRegion) -> list[str]:
    """The lines of a bad region."""
    lines = []
    for axis, low, high in zip(("fs", "ss") if region.is_fsss else ("x", "y"), region.low, region.high, strict=True):
        lines += [f"{region.name}/min_{axis} = {_format_limit(low)}", f"{region.name}/max_{axis} = "
                  f"{_format_limit(high)}"]
    return [*lines, f"{region.name}/panel = {region.panel}"] if region.panel is not None else lines


def _format_limit(value: float) -> str:
    """A limit, as a whole number where it is one."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def _format_panel(panel: GeometryPanel) -> list[str]:
    """The lines of a panel."""
    values: dict[str, object] = {}
    if panel.data is not None:
        values["data"] = panel.data
    values.update({f"dim{i}": dim for i, dim in enumerate(panel.dims)})
    values.update({name: getattr(panel, name) for name in ("min_fs", "max_fs", "min_ss", "max_ss")})
    values.update(corner_x=panel.corner_x, corner_y=panel.corner_y, fs=_format_direction(panel.fs),
                  ss=_format_direction(panel.ss), res=panel.res)
    if panel.clen is not None:
        values["clen"] = _format_quantity(panel.clen)
    values["coffset"] = panel.coffset
    values.update({name: value for name in _PLAIN if (value := getattr(panel, name)) is not None})
    if panel.no_index:
        values["no_index"] = 1
    for number, mask in panel.masks.items():
        values[f"mask{number}_data"] = mask.data
        if mask.file is not None:
            values[f"mask{number}_file"] = mask.file
        values[f"mask{number}_goodbits"] = f"0x{mask.good:x}"
        values[f"mask{number}_badbits"] = f"0x{mask.bad:x}"
    return [f"{panel.name}/{name} = {_format_value(value)}" for name, value in values.items()]


def convert_detector(detector: Detector, beam: Beam | None = None,
                     like: CrystFELGeometry | None = None) -> tuple[CrystFELGeometry, list[str]]:
    """Convert a detector to a CrystFEL geometry.

    Parameters
    ----------
    detector : Detector
        Of any origin.
    beam : Beam, optional
        Whose wavelength is written.
    like : CrystFELGeometry, optional
        Where the panels came from: layout, masks and other settings of panels of the same names and sizes are taken
        from it.

    Returns
    -------
    geometry : CrystFELGeometry
    notes : list of str
        What the format cannot hold, for the user.
    """
    notes = _list_losses(detector, beam)
    names = _make_names([panel.name for panel in detector])
    known = {panel.name: panel for panel in like.panels} if like is not None else {}
    frames = [detector.d_matrix(i) for i in range(len(detector))]
    # One camera length for all, as the newer versions of CrystFEL want it; panels differ by coffset.
    clen = -float(np.mean([frame[2, 2] for frame in frames])) / 1000.0
    if like is not None and (own := like.panels[0].clen) is not None:
        if own.path is not None:
            notes.append(f"clen was taken from {own.path} of the images; {clen!r} m is written in its place")
        else:
            clen = convert_clen(own, own.value or 0.0)
    panels = [_convert_panel(name, panel, frame, clen, known.get(panel.name))
              for name, panel, frame in zip(names, detector, frames, strict=True)]
    groups = _choose_groups(detector, names, like)
    energy = None if beam is None or beam.wavelength <= 0.0 else EV_ANGSTROM / beam.wavelength
    if energy is not None and like is not None and like.beam is not None and like.beam[1].value is not None:
        own_energy = convert_to_energy(like.beam[0], like.beam[1].value, like.beam[1].unit)
        # The digits of the file are kept where they say the same.
        energy = own_energy if abs(own_energy - energy) < 1e-9 * energy else energy
    regions = _list_regions(detector, names, like)
    return CrystFELGeometry(
        tuple(panels), photon_energy=None if energy is None else Quantity(energy, None, "eV"), bad_regions=regions,
        groups=groups, rigid=frozenset() if like is None else like.rigid & frozenset(groups),
        collections={} if like is None or groups != dict(like.groups) else like.collections,
        bandwidth=None if like is None else like.bandwidth,
        peak_list=None if like is None else like.peak_list,
        peak_list_type=None if like is None else like.peak_list_type,
        mask_edge_pixels=None if like is None else like.mask_edge_pixels), notes


def _convert_panel(name: str, panel: Panel, frame: np.ndarray, clen: float,
                   like: GeometryPanel | None) -> GeometryPanel:
    """A panel of CrystFEL."""
    if like is not None and like.image_size != tuple(panel.image_size):
        like = None
    res = like.res if like is not None else 1000.0 / panel.pixel_size[0]
    fast, slow, origin = (frame[:, i] * TURN for i in range(3))
    low = panel.raw_image_offset
    size = panel.image_size
    values: dict[str, Any] = {
        "name": name, "min_fs": low[0], "max_fs": low[0] + size[0] - 1, "min_ss": low[1],
        "max_ss": low[1] + size[1] - 1, "res": res, "clen": Quantity(clen, None, "m"),
        "coffset": float(origin[2] / 1000.0 - clen),
        "corner_x": float(origin[0] * res / 1000.0), "corner_y": float(origin[1] * res / 1000.0),
        "fs": tuple((fast * (panel.pixel_size[0] * res / 1000.0) + 0.0).tolist()),
        "ss": tuple((slow * (panel.pixel_size[1] * res / 1000.0) + 0.0).tolist())}
    if like is not None:
        return dataclasses.replace(like, **values)
    gain = panel.gain if panel.gain > 0.0 else 1.0
    limit = panel.trusted_range[1]
    return GeometryPanel(**values, adu_per_photon=gain, max_adu=limit if 0.0 < limit < _NO_LIMIT else None)


def _make_names(names: Sequence[str]) -> list[str]:
    """Names that CrystFEL takes, each once."""
    cleaned = [re.sub(r"[^A-Za-z0-9_]", "_", name).strip("_") or "p" for name in names]
    # CrystFEL takes what begins with bad for a region.
    cleaned = [f"p_{name}" if name.startswith(("bad", "group_", "rigid_group")) else name for name in cleaned]
    if len(set(cleaned)) == len(cleaned):
        return cleaned
    return [f"p{i}" for i in range(len(names))]


def _choose_groups(detector: Detector, names: Sequence[str],
                   like: CrystFELGeometry | None) -> dict[str, tuple[str, ...]]:
    """The groups of the file that the panels came from, if it has the same panels; else those of the hierarchy."""
    if like is not None and [panel.name for panel in like.panels] == list(names):
        return dict(like.groups)
    renamed = dataclasses.replace(detector, panels=tuple(
        dataclasses.replace(panel, name=name) for panel, name in zip(detector, names, strict=True)))
    groups = list_groups(renamed)
    # A group with the name of a panel could not be told from it.
    return {name: members for name, members in groups.items() if name not in names}


def _list_regions(detector: Detector, names: Sequence[str], like: CrystFELGeometry | None) -> tuple[BadRegion, ...]:
    """Bad regions of the file that the panels came from, and the panels' own rectangles that are not there."""
    regions = list(like.bad_regions) if like is not None else []
    number = 0
    for name, panel in zip(names, detector, strict=True):
        for fast0, slow0, fast1, slow1 in panel.mask:
            offset = panel.raw_image_offset
            regions.append(BadRegion(f"bad_xdp{number}", True, (fast0 + offset[0], slow0 + offset[1]),
                                     (fast1 + offset[0] - 1, slow1 + offset[1] - 1), name))
            number += 1
    return tuple(regions)


def _list_losses(detector: Detector, beam: Beam | None) -> list[str]:
    """What a CrystFEL geometry cannot hold."""
    notes = []
    if any(panel.thickness > 0.0 for panel in detector):
        notes.append("thickness, material and parallax of the sensors are not written: the format has none")
    if any(abs(panel.pedestal) > 0.0 for panel in detector):
        notes.append("pedestals are not written: the format has none")
    if any(panel.trusted_range[0] not in (0.0, -1.0, -_NO_LIMIT) for panel in detector):
        notes.append("the lowest trusted counts are not written: the format has none")
    if beam is not None:
        off = float(np.hypot(*beam.unit_s0[:2]))
        if off > 1e-6:
            notes.append(f"the beam is {off * 1000.0:.3g} mrad off the z axis; the format has it along z: corners are "
                         "those in the laboratory")
    return notes


def check_beam(beam: Beam | None) -> None:
    """Refuse a beam from the front: CrystFEL's flies along z.

    Parameters
    ----------
    beam : Beam or None
        None is right.

    Raises
    ------
    XdpError
        If it is more than 45 degrees off -z of the laboratory.
    """
    if beam is not None and beam.unit_s0[2] > -0.7:
        raise XdpError(f"a CrystFEL geometry needs a beam along -z of the laboratory, it is along {beam.unit_s0}")
