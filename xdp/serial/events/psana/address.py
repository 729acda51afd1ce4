"""Addresses of LCLS detectors, and what follows from them."""

from __future__ import annotations

import re

ENCODERS = {"CxiDs1": "CXI:DS1:MMS:06.RBV", "CxiDs2": "CXI:DS2:MMS:06.RBV"}
"""Process variables of the rails of the two sample chambers of CXI, by the beginning of the detector's address; facts
of the beamline, as psana's documentation of CXI has them."""
_OLD_ADDRESS = re.compile(r"([A-Za-z]\w*)-(\d+)\|([A-Za-z]\w*)-(\d+)")
_DETECTOR_INFO = re.compile(r"DetInfo\(([^)]*)\)")


def convert_address(address: str) -> str:
    """Write the address of a detector as psana has it today.

    Parameters
    ----------
    address : str
        ``CxiDs1-0|Cspad-0``, ``DetInfo(CxiDs1.0:Cspad.0)``, ``CxiDs1.0:Cspad.0`` or an alias.

    Returns
    -------
    str

    Examples
    --------
    >>> convert_address("CxiDs1-0|Cspad-0"), convert_address("DetInfo(CxiDs1.0:Cspad.0)"), convert_address("jungfrau4M")
    ('CxiDs1.0:Cspad.0', 'CxiDs1.0:Cspad.0', 'jungfrau4M')
    """
    if old := _OLD_ADDRESS.fullmatch(address):
        return f"{old[1]}.{old[2]}:{old[3]}.{old[4]}"
    info = _DETECTOR_INFO.fullmatch(address)
    return info[1] if info else address


def find_encoder(address: str) -> str | None:
    """Name the process variable of the encoder of a detector's stage; None where it is not known.

    Parameters
    ----------
    address : str
        As :func:`convert_address` gives it.

    Returns
    -------
    str or None

    Examples
    --------
    >>> find_encoder("CxiDs1.0:Cspad.0"), find_encoder("MfxEndstation.0:Rayonix.0")
    ('CXI:DS1:MMS:06.RBV', None)
    """
    return next((name for place, name in ENCODERS.items() if address.startswith(place)), None)
