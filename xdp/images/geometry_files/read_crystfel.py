"""Reads CrystFEL geometry files. Each fault is an error with the number of its line; nothing is skipped in silence."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from xdp.errors import FormatError
from xdp.images.geometry_files.crystfel import BadRegion, CrystFELGeometry, GeometryPanel, PanelMask
from xdp.images.geometry_files.crystfel_values import (
    MOST_DIMENSIONS,
    parse_bits,
    parse_dimension,
    parse_direction,
    parse_finite,
    parse_flag,
    parse_members,
    parse_name,
    parse_path,
    parse_pixel,
    parse_positive,
    parse_quantity,
)
from xdp.images.geometry_files.text import read_geometry_text

# What may be said of a panel, alone or as the default of the panels that follow.
_PANEL: dict[str, Callable[[str], Any]] = {
    "min_fs": parse_pixel, "max_fs": parse_pixel, "min_ss": parse_pixel, "max_ss": parse_pixel,
    "corner_x": parse_finite, "corner_y": parse_finite, "fs": parse_direction, "ss": parse_direction,
    "res": parse_positive, "coffset": parse_finite, "clen": partial(parse_quantity, kind="length"),
    "data": parse_path, "adu_per_photon": parse_positive, "adu_per_eV": parse_positive, "max_adu": parse_finite,
    "no_index": parse_flag, "flag_lessthan": parse_finite, "flag_morethan": parse_finite, "flag_equal": parse_finite,
    "saturation_map": parse_path, "saturation_map_file": parse_name,
}
# What holds for the whole file.
_TOP: dict[str, Callable[[str], Any]] = {
    "photon_energy": partial(parse_quantity, kind="photon_energy"),
    "wavelength": partial(parse_quantity, kind="wavelength"),
    "electron_voltage": partial(parse_quantity, kind="electron_voltage"),
    "photon_energy_bandwidth": parse_positive, "bandwidth": parse_positive, "peak_list": parse_path,
    "peak_info_location": parse_path, "peak_list_type": parse_name, "mask_edge_pixels": parse_pixel,
    "detector_shift_x": partial(parse_quantity, kind="length"),
    "detector_shift_y": partial(parse_quantity, kind="length"),
}
# Words of older versions of CrystFEL, and one for its graphical program: they change no position and no mask.
_IGNORED = frozenset({"badrow_direction", "peak_sep", "integr_radius", "rail_direction", "clen_for_centering",
                      "photon_energy_scale", "dimensions"})
_MASK = re.compile(r"mask([0-7])_(data|file|goodbits|badbits)")
_MASK_NAMES = {"mask": (0, "data"), "mask_file": (0, "file"), "mask_good": (0, "goodbits"), "mask_bad": (0, "badbits")}
_MASK_PARSERS: dict[str, Callable[[str], Any]] = {"data": parse_path, "file": parse_name, "goodbits": parse_bits,
                                                  "badbits": parse_bits}
_DIMENSION = re.compile(r"dim(\d{1,2})")
_REGION: dict[str, Callable[[str], Any]] = {
    **{f"{end}_{axis}": parse_finite for end in ("min", "max") for axis in ("fs", "ss", "x", "y")},
    "panel": parse_name}


@dataclass
class _Draft:
    """What is said of a panel or bad region so far."""

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    masks: dict[int, dict[str, Any]] = field(default_factory=dict)
    dims: dict[int, Any] = field(default_factory=dict)

    def copy(self, line: int) -> _Draft:
        """The defaults of a panel that is first named on a line."""
        return _Draft(line, dict(self.values), {n: dict(m) for n, m in self.masks.items()}, dict(self.dims))


def read_crystfel_geometry(path: str | os.PathLike) -> CrystFELGeometry:
    """Read a CrystFEL geometry file.

    Parameters
    ----------
    path : path
        The ``.geom`` file.

    Returns
    -------
    CrystFELGeometry

    Raises
    ------
    FormatError
        If something in it makes no sense; the message has the number of the line.
    """
    return parse_crystfel_geometry(read_geometry_text(path), os.fspath(path))


def parse_crystfel_geometry(text: str, name: str = "geometry") -> CrystFELGeometry:
    """Parse the text of a CrystFEL geometry file, such as that in a stream.

    Parameters
    ----------
    text : str
        With its line ends.
    name : str
        What messages begin with.

    Returns
    -------
    CrystFELGeometry

    Raises
    ------
    FormatError
        If something in it makes no sense; the message has the number of the line.
    """
    parser = _GeometryParser(name)
    for number, line in enumerate(text.split("\n"), start=1):
        parser.read_line(line, number)
    return parser.build()


class _GeometryParser:
    """Takes lines in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.defaults = _Draft(0)
        self.panels: dict[str, _Draft] = {}
        self.regions: dict[str, _Draft] = {}
        self.top: dict[str, Any] = {}
        self.groups: dict[str, tuple[str, ...]] = {}
        self.rigid: set[str] = set()
        self.collections: dict[str, tuple[str, ...]] = {}
        self.lines: dict[str, int] = {}
        self.notes: list[str] = []

    def fail(self, line: int, message: str) -> FormatError:
        """The error of a line."""
        return FormatError(f"{self.name}, line {line}: {message}")

    def read_line(self, text: str, line: int) -> None:
        """Take a line: key = value, and a comment behind a semicolon."""
        content = text.partition(";")[0].strip()
        if not content:
            return
        key, equals, value = (part.strip() for part in content.partition("="))
        if not equals or not key or any(c.isspace() for c in key):
            raise self.fail(line, f"key = value was expected, got {content[:80]!r}")
        try:
            self._take(key, value, line)
        except ValueError as error:
            raise self.fail(line, f"{key}: {error}") from None

    def _take(self, key: str, value: str, line: int) -> None:
        """Take a key and its value."""
        owner, slash, name = key.rpartition("/")
        if slash:
            if not owner or not name:
                raise self.fail(line, f"PANEL/key = value was expected, got {key!r}")
            if owner.startswith("bad"):
                region = self.regions.setdefault(owner, _Draft(line))
                self._set(region.values, name, _parse(_REGION, name, value), line, key)
                return
            if owner not in self.panels:
                self.panels[owner] = self.defaults.copy(line)
            self._take_panel(self.panels[owner], name, value, line, is_default=False)
        elif key.startswith(("rigid_group_collection_", "rigid_group_", "group_")):
            self._take_group(key, value, line)
        elif key in _TOP:
            self._set(self.top, key, _TOP[key](value), line, key)
            self.lines.setdefault(key, line)
        else:
            self._take_panel(self.defaults, key, value, line, is_default=True)

    def _take_panel(self, draft: _Draft, name: str, value: str, line: int, is_default: bool) -> None:
        """Take what is said of a panel, or of all that follow."""
        mask = _MASK.fullmatch(name)
        number, part = (int(mask[1]), mask[2]) if mask else _MASK_NAMES.get(name, (0, ""))
        dimension = _DIMENSION.fullmatch(name)
        if part:
            draft.masks.setdefault(number, {})[part] = _MASK_PARSERS[part](value)
        elif dimension:
            if int(dimension[1]) >= MOST_DIMENSIONS:
                raise ValueError(f"a data set has at most {MOST_DIMENSIONS} dimensions")
            index = int(dimension[1])
            if is_default and index in draft.dims and not self.panels:
                self.notes.append(f"line {line}: {name} is given again; the last one counts")
            draft.dims[index] = parse_dimension(value)
        elif name in _IGNORED:
            self.notes.append(f"line {line}: {name} is not used")
        elif name in _PANEL:
            draft.values[name] = _PANEL[name](value)
        else:
            known = ", ".join(sorted({*_PANEL, *_TOP, "dim0", "mask0_data", "group_NAME"}))
            raise ValueError(f"is not known; known are {known}")

    def _take_group(self, key: str, value: str, line: int) -> None:
        """Take a group or a collection of groups."""
        members = parse_members(value)
        for prefix, target in (("rigid_group_collection_", self.collections), ("rigid_group_", self.groups),
                               ("group_", self.groups)):
            if key.startswith(prefix):
                name = key.removeprefix(prefix)
                if not name:
                    raise ValueError("a name behind the last _ was expected")
                if name in target:
                    raise ValueError(f"{name} is there already, on line {self.lines[prefix + name]}")
                target[name] = members
                self.lines[prefix + name] = self.lines[name if target is self.groups else key] = line
                if prefix == "rigid_group_":
                    self.rigid.add(name)
                return

    def _set(self, values: dict[str, Any], name: str, value: Any, line: int, key: str) -> None:
        """Set a value, with a note where it is given again and differs."""
        if name in values and values[name] != value:
            self.notes.append(f"line {line}: {key} is given again; the last one counts")
        values[name] = value

    def build(self) -> CrystFELGeometry:
        """Check what only the whole file shows, and make the geometry."""
        if not self.panels:
            raise FormatError(f"{self.name}: no panel was found; PANEL/min_fs = 0 and others were expected")
        panels = tuple(self._build_panel(name, draft) for name, draft in self.panels.items())
        beams = [name for name in ("photon_energy", "wavelength", "electron_voltage") if name in self.top]
        if len(beams) > 1:
            raise self.fail(self.lines[beams[1]], f"{beams[0]} is given already: only one of them may be")
        regions = tuple(self._build_region(name, draft) for name, draft in self.regions.items())
        self._check_groups()
        top = self.top
        return CrystFELGeometry(
            panels, self.name, top.get("photon_energy"), top.get("wavelength"), top.get("electron_voltage"),
            top.get("bandwidth", top.get("photon_energy_bandwidth")), regions, self.groups, self.collections,
            frozenset(self.rigid), top.get("peak_list", top.get("peak_info_location")), top.get("peak_list_type"),
            top.get("mask_edge_pixels"), (top.get("detector_shift_x"), top.get("detector_shift_y")),
            tuple(self.notes))

    def _build_panel(self, name: str, draft: _Draft) -> GeometryPanel:
        """A panel, whose values must be there and fit each other."""
        values = dict(draft.values)
        for key in ("min_fs", "max_fs", "min_ss", "max_ss", "corner_x", "corner_y", "res"):
            if key not in values:
                raise self.fail(draft.line, f"panel {name} has no {key}")
        for axis in ("fs", "ss"):
            if values[f"min_{axis}"] > values[f"max_{axis}"]:
                raise self.fail(draft.line, f"panel {name}: min_{axis} must not be above max_{axis}, got "
                                f"{values[f'min_{axis}']} and {values[f'max_{axis}']}")
        values.setdefault("fs", (1.0, 0.0, 0.0))
        values.setdefault("ss", (0.0, 1.0, 0.0))
        _check_angle(self, name, draft, values)
        if (clen := values.get("clen")) is not None and clen.path is not None and "%" in clen.path.rpartition("/")[2]:
            raise self.fail(draft.line, f"panel {name}: clen must be the path of a data set, got {clen.path}")
        return GeometryPanel(name, dims=self._build_dims(name, draft), masks=self._build_masks(name, draft),
                             line=draft.line, **values)

    def _build_dims(self, name: str, draft: _Draft) -> tuple[Any, ...]:
        """The axes of the panel's data set: one ss, one fs, none left out."""
        if not draft.dims:
            return "ss", "fs"
        n_dims = max(draft.dims) + 1
        if missing := [f"dim{i}" for i in range(n_dims) if i not in draft.dims]:
            raise self.fail(draft.line, f"panel {name} has no {', '.join(missing)}, but dim{n_dims - 1}")
        dims = tuple(draft.dims[i] for i in range(n_dims))
        for axis in ("ss", "fs"):
            if dims.count(axis) != 1:
                raise self.fail(draft.line, f"panel {name}: exactly one dimension must be {axis}, got "
                                f"{', '.join(map(str, dims))}")
        return dims

    def _build_masks(self, name: str, draft: _Draft) -> dict[int, PanelMask]:
        """The masks of a panel: each needs its data set."""
        masks = {}
        for number, parts in sorted(draft.masks.items()):
            if "data" not in parts:
                # Bits alone are the defaults of a mask that nobody gave.
                self.notes.append(f"panel {name}: mask{number} has no data set and is not used")
                continue
            masks[number] = PanelMask(parts["data"], parts.get("file"), parts.get("goodbits", 0),
                                      parts.get("badbits", 0))
        return masks

    def _build_region(self, name: str, draft: _Draft) -> BadRegion:
        """A bad region, whose four limits must be all in fs/ss or all in x/y."""
        values = draft.values
        has = {axis: [f"{end}_{axis}" in values for end in ("min", "max")] for axis in ("fs", "ss", "x", "y")}
        is_fsss = any(has["fs"] + has["ss"])
        if is_fsss and any(has["x"] + has["y"]):
            raise self.fail(draft.line, f"{name} has limits in fs/ss and in x/y: give one kind")
        axes = ("fs", "ss") if is_fsss else ("x", "y")
        if missing := [f"{end}_{a}" for a in axes for end in ("min", "max") if f"{end}_{a}" not in values]:
            raise self.fail(draft.line, f"{name} has no {', '.join(missing)}")
        low, high = (tuple(values[f"{end}_{axis}"] for axis in axes) for end in ("min", "max"))
        if any(a > b for a, b in zip(low, high, strict=True)):
            raise self.fail(draft.line, f"{name}: min must not be above max, got {low} and {high}")
        panel = values.get("panel")
        if panel is not None and panel not in self.panels:
            raise self.fail(draft.line, f"{name}: there is no panel {panel!r}")
        return BadRegion(name, is_fsss, (low[0], low[1]), (high[0], high[1]), panel)

    def _check_groups(self) -> None:
        """Members must be there, and no group may hold itself."""
        for name, members in self.groups.items():
            for member in members:
                if member not in self.panels and member not in self.groups:
                    raise self.fail(self.lines[name], f"group {name}: there is no panel or group {member!r}")
        for name, members in self.collections.items():
            for member in members:
                if member not in self.groups:
                    line = self.lines[f"rigid_group_collection_{name}"]
                    raise self.fail(line, f"collection {name}: there is no group {member!r}")
        state: dict[str, int] = {}
        for name in self.groups:
            self._walk(name, state)

    def _walk(self, start: str, state: dict[str, int]) -> None:
        """Follow the groups below one; a group that is met within itself is an error."""
        # A stack of our own: a file may nest deeper than Python does.
        stack = [(start, iter(self.groups[start]))] if state.get(start) is None else []
        if stack:
            state[start] = 1
        while stack:
            name, members = stack[-1]
            for member in members:
                # A panel may have the name of a group; the panel is meant then.
                if member in self.panels or member not in self.groups or state.get(member) == 2:
                    continue
                if state.get(member) == 1:
                    raise self.fail(self.lines[name], f"group {name} holds {member}, which holds it itself")
                state[member] = 1
                stack.append((member, iter(self.groups[member])))
                break
            else:
                state[name] = 2
                stack.pop()


def _parse(table: dict[str, Callable[[str], Any]], name: str, value: str) -> Any:
    """Parse a value by its name."""
    if name not in table:
        raise ValueError(f"is not known; known are {', '.join(sorted(table))}")
    return table[name](value)


def _check_angle(parser: _GeometryParser, name: str, draft: _Draft, values: dict[str, Any]) -> None:
    """Rows and columns must not be parallel."""
    import numpy as np

    fs, ss = np.asarray(values["fs"]), np.asarray(values["ss"])
    sine = np.linalg.norm(np.cross(fs, ss)) / (np.linalg.norm(fs) * np.linalg.norm(ss))
    # Real files differ from a right angle by up to 0.2 degrees; below half a right angle something is wrong. A choice.
    if not sine > 0.7:
        raise parser.fail(draft.line, f"panel {name}: fs {values['fs']} and ss {values['ss']} must be about at a right "
                          "angle")
