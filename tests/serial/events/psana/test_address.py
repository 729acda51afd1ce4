"""Addresses of LCLS detectors."""

import pytest

from xdp.serial.events.psana.address import convert_address, find_encoder


@pytest.mark.parametrize(("address", "wanted", "encoder"), [
    ("CxiDs1-0|Cspad-0", "CxiDs1.0:Cspad.0", "CXI:DS1:MMS:06.RBV"),
    ("DetInfo(CxiDs2.0:Cspad.0)", "CxiDs2.0:Cspad.0", "CXI:DS2:MMS:06.RBV"),
    ("MfxEndstation-0|Rayonix-0", "MfxEndstation.0:Rayonix.0", None), ("epix10k2M", "epix10k2M", None)])
def test_addresses(address, wanted, encoder):
    assert convert_address(address) == wanted
    assert find_encoder(wanted) == encoder
