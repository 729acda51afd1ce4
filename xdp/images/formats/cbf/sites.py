"""What mini CBF headers leave unsaid and is known of the beamline that wrote them: mostly its goniometer.

A detector's serial number tells where it stands; from when on, where it has moved. The facts are those that dxtbx
collects in its format classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from xdp.experiment import Goniometer

Header = Mapping[str, str]

X = (1.0, 0.0, 0.0)
MINUS_X = (-1.0, 0.0, 0.0)
Y = (0.0, 1.0, 0.0)
MINUS_Z = (0.0, 0.0, -1.0)
MINI_KAPPA = (0.914, 0.279, -0.297)


@dataclass(frozen=True)
class Site:
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


def number(header: Header, name: str, default: float = 0.0) -> float:
    """The leading number of a header field, `default` where there is none."""
    words = header.get(name, "").replace(",", " ").split()
    try:
        return float(words[0]) if words else default
    except ValueError:
        return default


def single_axis(axis: tuple[float, float, float]) -> Callable[[Header], Goniometer]:
    """A goniometer that turns about one known axis."""
    return lambda _header: Goniometer(rotation_axis=axis)


def smargon(header: Header, names: tuple[str, str, str] = ("GON_PHI", "GON_CHI", "GON_OMEGA")) -> Goniometer:
    """Phi on chi on omega, scanning omega."""
    angles = [number(header, name) for name in ("Phi", "Chi", "Omega")]
    return Goniometer.multi_axis((X, MINUS_Z, X), angles, names, 2)


def mini_kappa(header: Header) -> Goniometer:
    """Phi on mini-kappa on omega, scanning omega."""
    angles = [number(header, name) for name in ("Phi", "Kappa", "Omega")]
    return Goniometer.multi_axis((X, MINI_KAPPA, X), angles, ("GON_PHI", "GON_KAPPA", "GON_OMEGA"), 2)


def fixed_mini_kappa(header: Header) -> Goniometer:
    """The same arm where only the scanning axis is kept: phi and kappa make the fixed rotation."""
    angles = [number(header, name) for name in ("Phi", "Kappa")]
    fixed = Goniometer.multi_axis((X, MINI_KAPPA, X), [*angles, 0.0], ("", "", ""), 2).fixed_rotation
    return Goniometer(rotation_axis=X, fixed_rotation=fixed)


def kappa(alpha: float, direction: tuple[float, float], angles: list[float], scan_axis: int) -> Goniometer:
    """A kappa goniometer: phi, kappa inclined by `alpha` degrees towards `direction` (y, z), omega."""
    c, s = math.cos(math.radians(alpha)), math.sin(math.radians(alpha))
    arm = (c, s * direction[0], s * direction[1])
    return Goniometer.multi_axis((X, arm, X), angles, ("PHI", "KAPPA", "OMEGA"), scan_axis)


def i24(header: Header) -> Goniometer:
    """Vertical omega; horizontal in plate mode, which the header calls FAST."""
    return Goniometer(rotation_axis=MINUS_X if "FAST" in header.get("Oscillation_axis", "") else Y)


def i23(header: Header) -> Goniometer:
    """Single axis turned the other way before April 2016, kappa since."""
    if header.get("epoch") and float(header["epoch"]) < 1459468800:
        return Goniometer(rotation_axis=MINUS_X)
    return kappa(50.0, (-1.0, 0.0), [number(header, name) for name in ("Phi", "Kappa", "Omega")], 2)


def proxima1(header: Header) -> Goniometer:
    """Kappa, and later a SmarGon, at SOLEIL PROXIMA-1."""
    axis = header.get("Oscillation_axis", "").upper()
    if "Alpha" in header and "Kappa" in header:
        angles = [number(header, name) for name in ("Phi", "Kappa", "Chi")]
        return kappa(number(header, "Alpha"), (0.0, 1.0), angles, 2)
    names = ("PHI", "CHI", "OMEGA")
    goniometer = smargon(header, names)
    if axis not in names:
        return goniometer
    return Goniometer.multi_axis(goniometer.axes, goniometer.angles, names, names.index(axis))


SITES: tuple[Site, ...] = (
    Site("S/N 60-0119", i24, since=2015),
    Site("S/N 60-0114", single_axis(Y), since=2017),
    Site("S/N 60-0100 Diamond", mini_kappa),
    Site("S/N 60-0126", fixed_mini_kappa),
    Site("S/N 120-0100", i23),
    Site("S/N 160-0001", smargon),
    Site("S/N 60-0106, Soleil", proxima1),
    Site("S/N 60-0115-F", single_axis(Y)),
    Site("S/N 60-0125", single_axis(MINUS_X)),
    Site("S/N 60-0127", single_axis(MINUS_X)),
    Site("S/N 60-0132", single_axis(MINUS_X)),
    Site("S/N XX-XXX", single_axis(MINUS_X)),
    Site("S/N E-32-0105", single_axis(Y)),
    Site("E-32-0107", single_axis(Y)),
)


def goniometer_of(header: Header, year: int) -> Goniometer:
    """The goniometer behind a detector line, about +x where the site is not known."""
    detector = header.get("Detector", "")
    for site in SITES:
        if site.serial in detector and year >= site.since:
            return site.goniometer(header)
    return Goniometer(rotation_axis=X)
