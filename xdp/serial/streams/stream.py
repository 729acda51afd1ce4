"""What a CrystFEL stream says: images, their peaks, crystals and reflections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xdp.display import Displayed

#: Columns of the peaks of an image, by their names here.
PEAKS = (("fs", np.float64), ("ss", np.float64), ("inverse_d", np.float64), ("intensity", np.float64),
         ("panel", object))
#: Columns of the reflections of a crystal.
REFLECTIONS = (("h", np.int64), ("k", np.int64), ("l", np.int64), ("intensity", np.float64), ("sigma", np.float64),
               ("peak", np.float64), ("background", np.float64), ("fs", np.float64), ("ss", np.float64),
               ("panel", object))
_PAIR = re.compile(r"\s*([^=:]+?)\s*(?:=|: )\s*(.*?)\s*")

# A number that is no part of a unit, such as nm^-1.
_NUMBER = re.compile(r"(?<![\^\w.+-])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![A-Za-z^])")


def find_value(lines: Sequence[str], key: str) -> str | None:
    """Find what stands behind a key.

    Parameters
    ----------
    lines : sequence of str
        ``key = value`` or ``key: value``.
    key : str
        As written.

    Returns
    -------
    str or None
        None where there is no such line.

    Examples
    --------
    >>> find_value(["photon_energy_eV = 9700.0", "Image serial number: 1"], "Image serial number")
    '1'
    """
    for line in lines:
        pair = _PAIR.fullmatch(line)
        if pair and pair[1] == key:
            return pair[2]
    return None


def find_numbers(lines: Sequence[str], key: str) -> list[float]:
    """Find the numbers behind a key, without their units; empty where there is none."""
    text = find_value(lines, key) or ""
    return [float(word) for word in _NUMBER.findall(text)]


@dataclass(repr=False)
class StreamCrystal(Displayed):
    """A crystal of an image.

    Attributes
    ----------
    lines : list of str
        What is said of it, as written.
    reflections : dict of str to array, or None
        Columns of :data:`REFLECTIONS`; None where it has no list.
    after : list of str
        Lines behind the reflections.
    """

    lines: list[str] = field(default_factory=list)
    reflections: dict[str, np.ndarray] | None = None
    after: list[str] = field(default_factory=list)

    def _facts(self) -> list[tuple[str, object]]:
        return [("cell", self.cell), ("reflections", 0 if self.reflections is None else len(self.reflections["h"]))]

    @property
    def cell(self) -> tuple[float, ...] | None:
        """Cell: Å and degrees; None where it is not given."""
        text = next((line for line in self.lines if line.startswith("Cell parameters")), "")
        numbers = [float(word) for word in re.findall(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?", text)]
        return None if len(numbers) != 6 else (*(10.0 * v for v in numbers[:3]), *numbers[3:])

    @property
    def reciprocal_axes(self) -> np.ndarray | None:
        """a*, b*, c* as rows, Å⁻¹, CrystFEL's laboratory; None where one is not given."""
        rows = [find_numbers(self.lines, f"{axis}star") for axis in "abc"]
        return None if any(len(row) != 3 for row in rows) else 0.1 * np.array(rows)


@dataclass(repr=False)
class StreamChunk(Displayed):
    """An image of a stream.

    Attributes
    ----------
    lines : list of str
        What is said of it, as written.
    peaks : dict of str to array, or None
        Columns of :data:`PEAKS`; None where it has no list.
    after : list of str
        Lines between the peaks and the crystals, or behind these.
    crystals : list of StreamCrystal
        In order.
    """

    lines: list[str] = field(default_factory=list)
    peaks: dict[str, np.ndarray] | None = None
    after: list[str] = field(default_factory=list)
    crystals: list[StreamCrystal] = field(default_factory=list)

    def _facts(self) -> list[tuple[str, object]]:
        return [("image", self.file), ("event", self.event), ("crystals", len(self.crystals))]

    @property
    def file(self) -> str:
        """Name of the image file."""
        return find_value(self.lines, "Image filename") or ""

    @property
    def event(self) -> str:
        """Which event of the file: ``//12``; empty where it has one."""
        return find_value(self.lines, "Event") or ""

    @property
    def photon_energy(self) -> float | None:
        """Photon energy in eV; None where it is not given."""
        return next(iter(find_numbers(self.lines, "photon_energy_eV")), None)

    @property
    def camera_length(self) -> float | None:
        """Mean camera length in mm; None where it is not given."""
        metres = find_numbers(self.lines, "average_camera_length")
        return 1000.0 * metres[0] if metres else None


@dataclass(repr=False)
class Stream(Displayed):
    """A CrystFEL stream.

    Attributes
    ----------
    lines : list of str
        What stands before the geometry: version, program, its command line.
    geometry : str or None
        Text of the geometry file.
    cell : str or None
        Text of the cell file.
    chunks : list of StreamChunk
        Images in order.
    between : list of str
        Lines behind the geometry or cell, before the first image.
    """

    lines: list[str] = field(default_factory=list)
    geometry: str | None = None
    cell: str | None = None
    chunks: list[StreamChunk] = field(default_factory=list)
    between: list[str] = field(default_factory=list)

    def _facts(self) -> list[tuple[str, object]]:
        return [("images", len(self.chunks)), ("crystals", sum(len(chunk.crystals) for chunk in self.chunks))]
