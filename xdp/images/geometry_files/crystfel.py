"""What a CrystFEL geometry file says: panels, where their pixels lie in the file, masks, bad regions and groups.

CrystFEL's laboratory has z along the beam, y up and x to the left as the beam flies; lengths across the beam are in
pixels (1 / ``res`` metres), ``clen`` and ``coffset`` in metres. Rows and columns are those of the image in the file.

References
----------
T. A. White et al. (2012), J. Appl. Cryst. 45, 335, doi 10.1107/S0021889812002312; the format:
https://www.desy.de/~twhite/crystfel/manual-crystfel_geometry.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xdp.display import Displayed
from xdp.images.formats.hdf5.nexus_beam import EV_ANGSTROM

#: Marks the axis of the events in a data set, and the part of a path that differs between them.
PLACEHOLDER = "%"
Dimension = int | str
"""An axis of a data set: ``"ss"``, ``"fs"``, :data:`PLACEHOLDER`, or the index at which the panel lies."""

# Rest energy of the electron, eV (CODATA 2018).
_ELECTRON_REST = 510998.95


class Quantity(NamedTuple):
    """A number of the file, or where image files have it.

    Attributes
    ----------
    value : float or None
        The number, in `unit`; None where it comes from the image.
    path : str or None
        Of a data set in the image file.
    unit : str
        As written; empty where there is none.
    """

    value: float | None
    path: str | None
    unit: str = ""


class PanelMask(NamedTuple):
    """One of up to eight masks of a panel.

    Attributes
    ----------
    data : str
        Path of the data set, which may have placeholders.
    file : str or None
        Another file, relative to the geometry file; None: the image file itself.
    good, bad : int
        A pixel is good if it has all bits of `good` and none of `bad`.
    """

    data: str
    file: str | None
    good: int
    bad: int


@dataclass(frozen=True, repr=False)
class GeometryPanel(Displayed):
    """A panel: a rectangle of a data set, and where its pixels lie.

    Attributes
    ----------
    name : str
        Unique in the file.
    min_fs, max_fs, min_ss, max_ss : int
        First and last pixel in the data set, both included.
    corner_x, corner_y : float
        Of the first pixel, pixels from the beam.
    fs, ss : (3,) float
        Steps of one pixel along rows and columns (x, y, z), pixels; of any length and angle.
    res : float
        Pixels per metre.
    coffset : float
        Added to the camera length, m.
    clen : Quantity or None
        Camera length; metres, or millimetres where the image has it and no unit is given.
    dims : tuple of Dimension
        Axes of the data set, slowest first.
    data : str or None
        Path of the data set; None: the image file has one image only.
    adu_per_photon, adu_per_eV : float or None
        Counts per photon, or per eV of photon energy.
    max_adu : float or None
        Highest count that is trusted.
    no_index : bool
        Whether the panel is not used for indexing.
    masks : dict of int to PanelMask
        By their numbers, 0 to 7.
    flag_lessthan, flag_morethan, flag_equal : float or None
        Pixels below, above, at these counts are bad.
    saturation_map, saturation_map_file : str or None
        Data set with the highest count of each pixel.
    line : int
        Where the file names the panel first.
    """

    name: str
    min_fs: int
    max_fs: int
    min_ss: int
    max_ss: int
    corner_x: float
    corner_y: float
    fs: tuple[float, ...]
    ss: tuple[float, ...]
    res: float
    coffset: float = 0.0
    clen: Quantity | None = None
    dims: tuple[Dimension, ...] = ("ss", "fs")
    data: str | None = None
    adu_per_photon: float | None = None
    adu_per_eV: float | None = None
    max_adu: float | None = None
    no_index: bool = False
    masks: Mapping[int, PanelMask] = field(default_factory=dict)
    flag_lessthan: float | None = None
    flag_morethan: float | None = None
    flag_equal: float | None = None
    saturation_map: str | None = None
    saturation_map_file: str | None = None
    line: int = 0

    def _facts(self) -> list[tuple[str, object]]:
        return [("name", self.name), ("pixels", self.image_size), ("corner", (self.corner_x, self.corner_y)),
                ("fs", self.fs), ("ss", self.ss), ("res", self.res)]

    @property
    def image_size(self) -> tuple[int, int]:
        """Pixels (fast, slow)."""
        return self.max_fs - self.min_fs + 1, self.max_ss - self.min_ss + 1


@dataclass(frozen=True)
class BadRegion:
    """Pixels that are not used: a rectangle of a data set, or one of the laboratory.

    Attributes
    ----------
    name : str
        As written, with its ``bad``.
    is_fsss : bool
        Whether the limits are pixels of the data set, both included, rather than pixels from the beam.
    low, high : (2,) float
        Limits of fs and ss, or of x and y.
    panel : str or None
        The panel it is on; None: any.
    """

    name: str
    is_fsss: bool
    low: tuple[float, float]
    high: tuple[float, float]
    panel: str | None = None


@dataclass(frozen=True, repr=False)
class CrystFELGeometry(Displayed):
    """A CrystFEL geometry file.

    Attributes
    ----------
    panels : tuple of GeometryPanel
        In the order of the file.
    path : str
        Where it was read.
    photon_energy, wavelength, electron_voltage : Quantity or None
        Of the beam: one of them.
    bandwidth : float or None
        Of the beam, relative.
    bad_regions : tuple of BadRegion
        Pixels that are not used.
    groups : dict of str to tuple of str
        ``group_*`` and ``rigid_group_*``: names of panels or of other groups.
    collections : dict of str to tuple of str
        ``rigid_group_collection_*``: names of groups.
    rigid : frozenset of str
        Groups that the file calls rigid groups.
    peak_list, peak_list_type : str or None
        Where the image file has peaks, and how they are written.
    mask_edge_pixels : int or None
        Border of each panel that is masked, pixels.
    detector_shift : (x, y) of Quantity or None
        Shift of the whole detector that image files have.
    notes : tuple of str
        What is not used, or was given twice.
    """

    panels: tuple[GeometryPanel, ...]
    path: str = ""
    photon_energy: Quantity | None = None
    wavelength: Quantity | None = None
    electron_voltage: Quantity | None = None
    bandwidth: float | None = None
    bad_regions: tuple[BadRegion, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rigid: frozenset[str] = frozenset()
    peak_list: str | None = None
    peak_list_type: str | None = None
    mask_edge_pixels: int | None = None
    detector_shift: tuple[Quantity | None, Quantity | None] = (None, None)
    notes: tuple[str, ...] = ()

    def _facts(self) -> list[tuple[str, object]]:
        return [("file", self.path), ("panels", len(self.panels)), ("groups", len(self.groups)),
                ("bad regions", len(self.bad_regions))]

    @property
    def beam(self) -> tuple[str, Quantity] | None:
        """Which quantity of the beam is given, and it; None where there is none."""
        for name in ("photon_energy", "wavelength", "electron_voltage"):
            if (quantity := getattr(self, name)) is not None:
                return name, quantity
        return None


def convert_to_energy(kind: str, value: float, unit: str) -> float:
    """Convert a quantity of the beam to the photon energy of its wavelength.

    Parameters
    ----------
    kind : str
        ``photon_energy`` (eV by default), ``wavelength`` (m) or ``electron_voltage`` (V).
    value : float
        In `unit`.
    unit : str
        eV, keV, MeV; m, A; V, kV, MV; empty: the default.

    Returns
    -------
    float
        eV; NaN where the value is not above 0.

    Examples
    --------
    >>> convert_to_energy("photon_energy", 9.5, "keV")
    9500.0
    >>> round(convert_to_energy("wavelength", 1.0e-10, "m"), 3)
    12398.42
    """
    if not (math.isfinite(value) and value > 0.0):
        return math.nan
    scaled = value * UNITS[kind][unit]
    if kind == "photon_energy":
        return scaled
    if kind == "wavelength":
        return EV_ANGSTROM / scaled
    # Momentum of an electron, eV: its wavelength is hc / pc.
    return math.sqrt(scaled * (scaled + 2.0 * _ELECTRON_REST))


#: Factors of units: to eV, Å, V and metres. An empty unit is the default of the quantity.
UNITS: dict[str, dict[str, float]] = {
    "photon_energy": {"": 1.0, "eV": 1.0, "keV": 1e3, "MeV": 1e6},
    "wavelength": {"": 1e10, "m": 1e10, "A": 1.0},
    "electron_voltage": {"": 1.0, "V": 1.0, "kV": 1e3, "MV": 1e6},
    "length": {"": 1.0, "m": 1.0, "mm": 1e-3},
}


def convert_clen(quantity: Quantity, value: float) -> float:
    """Convert a camera length to metres.

    Parameters
    ----------
    quantity : Quantity
        As the geometry file has it. Without a unit a number of the file is in m, one of the image in mm.
    value : float
        The number itself.

    Returns
    -------
    float
        m.

    Examples
    --------
    >>> convert_clen(Quantity(None, "/LCLS/detector_1/EncoderValue"), -450.0)
    -0.45
    >>> convert_clen(Quantity(50.0, None, "mm"), 50.0)
    0.05
    """
    unit = quantity.unit or ("m" if quantity.path is None else "mm")
    return value * UNITS["length"][unit]
