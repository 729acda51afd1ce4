"""Units of header fields, and what turns numbers in them into ours."""

from __future__ import annotations

import math

from xdp.errors import FormatError

# What turns a unit into ours, by its name in lower case; µ and μ are two letters that look alike.
_LENGTHS = {"m": 1e3, "meter": 1e3, "metre": 1e3, "mm": 1.0, "millimeter": 1.0, "millimetre": 1.0, "cm": 10.0,
            "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3, "nm": 1e-6,
            "nanometer": 1e-6, "angstrom": 1e-7, "å": 1e-7, "pm": 1e-9}
_ANGLES = {"deg": 1.0, "degree": 1.0, "°": 1.0, "rad": math.degrees(1.0), "radian": math.degrees(1.0),
           "mrad": math.degrees(1e-3)}
_TIMES = {"s": 1.0, "sec": 1.0, "second": 1.0, "ms": 1e-3, "millisecond": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6,
          "microsecond": 1e-6, "ns": 1e-9, "nanosecond": 1e-9, "min": 60.0, "minute": 60.0}
_ENERGIES = {"ev": 1.0, "kev": 1e3, "mev": 1e6}
_WAVELENGTHS = {name: factor * 1e7 for name, factor in _LENGTHS.items()} | {"angstrom": 1.0, "å": 1.0, "a": 1.0}
_TABLES = {"length": _LENGTHS, "angle": _ANGLES, "time": _TIMES, "energy": _ENERGIES, "wavelength": _WAVELENGTHS}
_BASES = {"length": "mm", "angle": "degree", "time": "s", "energy": "eV", "wavelength": "angstrom"}


def find_unit_factor(unit: str | None, kind: str, where: str) -> float:
    """Find what turns numbers in a unit into ours.

    Parameters
    ----------
    unit : str or None
        Its name or symbol, in any case, also in plural.
    kind : str
        "length" (mm), "angle" (degrees), "time" (s), "energy" (eV) or "wavelength" (Å).
    where : str
        File and path, for messages.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    FormatError
        If the unit is missing or is none of that kind.

    Examples
    --------
    >>> find_unit_factor("microns", "length", "a.h5"), find_unit_factor("nm", "wavelength", "a.h5")
    (0.001, 10.0)
    """
    name = (unit or "").strip()
    # Only energies tell milli from mega by case, and none are that small.
    lower = name.lower()
    table = _TABLES[kind]
    for candidate in (lower, lower.removesuffix("s")):
        if candidate in table:
            return table[candidate]
    raise FormatError(f"{where}: its units are {unit!r}, wanted a unit of {kind} such as {_BASES[kind]}")
