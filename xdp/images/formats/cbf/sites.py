"""The goniometer of a mini CBF: the header does not describe it, but says which beamline wrote the file.

A detector's serial number tells at which beamline it stands, and since which year, where it has moved. The facts are
those that dxtbx collects in its format classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xdp.errors import FormatError
from xdp.experiment import Goniometer

Header = Mapping[str, str]

# Axes in the lab frame with all motors at 0: +z points from the sample to the source, +y up.
X = (1.0, 0.0, 0.0)
MINUS_X = (-1.0, 0.0, 0.0)
Y = (0.0, 1.0, 0.0)
MINUS_Z = (0.0, 0.0, -1.0)
# The kappa axis of the mini-kappa, 24 degrees from omega.
MINI_KAPPA = (0.914, 0.279, -0.297)


@dataclass(frozen=True)
class DetectorSite:
    """A detector at its beamline.

    Attributes
    ----------
    serial : str
        Part of the header's detector line.
    goniometer : callable
        Makes the goniometer from the header.
    since : int
        First year in which it stood there.
    """

    serial: str
    goniometer: Callable[[Header], Goniometer]
    since: int = 0


def read_leading_number(header: Header, name: str, default: float = 0.0) -> float:
    """Read the number that a header field begins with.

    Parameters
    ----------
    header : mapping
        Fields of the header.
    name : str
        Of the field.
    default : float
        Where there is no such number; 0 by default.

    Returns
    -------
    float
        In the unit of the header.

    Examples
    --------
    >>> read_leading_number({"Omega": "30.5 deg."}, "Omega")
    30.5
    """
    words = header.get(name, "").replace(",", " ").split()
    try:
        return float(words[0]) if words else default
    except ValueError:
        return default


def read_angle(header: Header, name: str) -> float:
    """Read the setting of a motor in degrees, 0 where the header has none.

    Raises
    ------
    FormatError
        If the header has one that is no number: without it the orientation of the crystal would be wrong.
    """
    value = read_leading_number(header, name, math.nan)
    if math.isfinite(value):
        return value
    if header.get(name, "").strip():
        raise FormatError(f"header field {name} must be an angle, got {header[name]!r}")
    return 0.0


def make_single_axis(axis: tuple[float, float, float]) -> Callable[[Header], Goniometer]:
    """Make the function that gives a goniometer of one known axis, whatever the header says."""
    return lambda _header: Goniometer(rotation_axis=axis)


def make_smargon_goniometer(
    header: Header, names: tuple[str, str, str] = ("GON_PHI", "GON_CHI", "GON_OMEGA")
) -> Goniometer:
    """Make a SmarGon: phi on chi on omega, scanning omega."""
    angles = [read_angle(header, name) for name in ("Phi", "Chi", "Omega")]
    return Goniometer.multi_axis((X, MINUS_Z, X), angles, names, 2)


def make_mini_kappa_goniometer(header: Header) -> Goniometer:
    """Make a goniometer of phi on mini-kappa on omega, scanning omega."""
    angles = [read_angle(header, name) for name in ("Phi", "Kappa", "Omega")]
    return Goniometer.multi_axis((X, MINI_KAPPA, X), angles, ("GON_PHI", "GON_KAPPA", "GON_OMEGA"), 2)


def make_fixed_mini_kappa_goniometer(header: Header) -> Goniometer:
    """Make a goniometer of the scanning axis alone; the angles of phi and mini-kappa make its fixed rotation."""
    angles = [read_angle(header, name) for name in ("Phi", "Kappa")]
    fixed = Goniometer.multi_axis((X, MINI_KAPPA, X), [*angles, 0.0], ("", "", ""), 2).fixed_rotation
    return Goniometer(rotation_axis=X, fixed_rotation=fixed)


def make_kappa_goniometer(
    alpha: float, direction: tuple[float, float], angles: list[float], scan_axis: int
) -> Goniometer:
    """Make a kappa goniometer: phi on kappa on omega.

    Parameters
    ----------
    alpha : float
        Angle of the kappa axis with omega, degrees.
    direction : (float, float)
        Unit vector (y, z) towards which the kappa axis is inclined.
    angles : list of float
        Of phi, kappa and omega, degrees.
    scan_axis : int
        Which of the three turns during the scan, from 0.

    Returns
    -------
    Goniometer
    """
    c, s = math.cos(math.radians(alpha)), math.sin(math.radians(alpha))
    arm = (c, s * direction[0], s * direction[1])
    return Goniometer.multi_axis((X, arm, X), angles, ("PHI", "KAPPA", "OMEGA"), scan_axis)


def make_i24_goniometer(header: Header) -> Goniometer:
    """Make that of Diamond I24: omega is vertical; in plate mode, which the header calls FAST, horizontal."""
    return Goniometer(rotation_axis=MINUS_X if "FAST" in header.get("Oscillation_axis", "") else Y)


def make_i23_goniometer(header: Header) -> Goniometer:
    """Make that of Diamond I23: one axis that turned the other way until 2016-04-01, kappa since."""
    # Seconds since 1970.
    if header.get("epoch") and float(header["epoch"]) < 1459468800:
        return Goniometer(rotation_axis=MINUS_X)
    angles = [read_angle(header, name) for name in ("Phi", "Kappa", "Omega")]
    return make_kappa_goniometer(50.0, (-1.0, 0.0), angles, 2)


def make_proxima1_goniometer(header: Header) -> Goniometer:
    """Make that of SOLEIL PROXIMA-1: kappa, and later a SmarGon, scanning the axis that the header names."""
    axis = header.get("Oscillation_axis", "").upper()
    if "Alpha" in header and "Kappa" in header:
        angles = [read_angle(header, name) for name in ("Phi", "Kappa", "Chi")]
        return make_kappa_goniometer(read_angle(header, "Alpha"), (0.0, 1.0), angles, 2)
    names = ("PHI", "CHI", "OMEGA")
    goniometer = make_smargon_goniometer(header, names)
    if axis not in names:
        return goniometer
    return Goniometer.multi_axis(goniometer.axes, goniometer.angles, names, names.index(axis))


# By part of the header's detector line; the first that fits counts.
SITES: tuple[DetectorSite, ...] = (
    DetectorSite("S/N 60-0119", make_i24_goniometer, since=2015),
    DetectorSite("S/N 60-0114", make_single_axis(Y), since=2017),
    DetectorSite("S/N 60-0100 Diamond", make_mini_kappa_goniometer),
    DetectorSite("S/N 60-0126", make_fixed_mini_kappa_goniometer),
    DetectorSite("S/N 120-0100", make_i23_goniometer),
    DetectorSite("S/N 160-0001", make_smargon_goniometer),
    DetectorSite("S/N 60-0106, Soleil", make_proxima1_goniometer),
    DetectorSite("S/N 60-0115-F", make_single_axis(Y)),
    DetectorSite("S/N 60-0125", make_single_axis(MINUS_X)),
    DetectorSite("S/N 60-0127", make_single_axis(MINUS_X)),
    DetectorSite("S/N 60-0132", make_single_axis(MINUS_X)),
    DetectorSite("S/N XX-XXX", make_single_axis(MINUS_X)),
    DetectorSite("S/N E-32-0105", make_single_axis(Y)),
    DetectorSite("E-32-0107", make_single_axis(Y)),
)


def find_goniometer(header: Header, year: int) -> Goniometer:
    """Find the goniometer of a mini CBF by its detector.

    Parameters
    ----------
    header : mapping
        Fields of the header.
    year : int
        In which the image was taken; 0 where it is not known.

    Returns
    -------
    Goniometer
        One axis along +x where the site is not known.
    """
    detector = header.get("Detector", "")
    for site in SITES:
        if site.serial in detector and year >= site.since:
            return site.goniometer(header)
    return Goniometer(rotation_axis=X)
