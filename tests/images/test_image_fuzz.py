"""Damaged image files give an XdpError or an image, and nothing else: no crash, no hang, no boundless memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xdp.errors import XdpError
from xdp.images.formats.cbf.sections import encode_section
from xdp.images.formats.find import find_format

FOLDER = Path(tempfile.gettempdir())
# A damaged header may ask for more pixels than the file holds, never for more than the decoders check: the largest
# possible answer for these files of a few thousand bytes.
MOST_PIXELS = 1 << 21

IMGCIF = b"""###CBF: VERSION 1.7
data_x
_diffrn.id X
_diffrn_radiation_wavelength.wavelength 1.25
loop_
_axis.id _axis.type _axis.equipment _axis.depends_on _axis.vector[1] _axis.vector[2] _axis.vector[3]
 OMEGA rotation goniometer . 1 0 0
 Z translation detector . 0 0 -1
 S translation detector Z 0 -1 0
 F translation detector S 1 0 0
_diffrn_measurement_axis.axis_id OMEGA
loop_
_diffrn_scan_axis.axis_id _diffrn_scan_axis.angle_increment _diffrn_scan_axis.displacement_start
 OMEGA 0.1 0
 Z 0 100
loop_
_array_structure_list.array_id _array_structure_list.dimension _array_structure_list.precedence
_array_structure_list.axis_set_id
 A1 40 1 F
 A1 31 2 S
loop_
_array_structure_list_axis.axis_set_id _array_structure_list_axis.displacement_increment
 F 0.1
 S 0.1
_array_intensities.overload 1000
_array_data.data
;
"""


class Originals(dict):
    """Sound files by their endings, shown shortly in reports."""

    def __repr__(self):
        return f"Originals({', '.join(self)})"


@pytest.fixture(scope="session")
def originals(image_files, tmp_path_factory):
    """Sound files of each format, by their endings."""
    folder = tmp_path_factory.mktemp("sound")
    image = image_files.pixels()
    packed = image_files.cbf_file(folder / "a_1.cbf", image).read_bytes()
    return Originals({
        "cbf": packed, "packed.cbf": packed.replace(b"BYTE_OFFSET", b"PACKED"),
        "full.cbf": IMGCIF + encode_section(image) + b";\n",
        "img": image_files.smv_file(folder / "a_1.img", image).read_bytes(),
        "mccd": image_files.marccd_file(folder / "a_1.mccd").read_bytes(),
        "tif": image_files.tiff_bytes(image.astype(np.uint16), start=512),
        "edf": image_files.edf_bytes(image.astype(np.uint16)),
        "od.img": (b"OD SAPPHIRE  3.0\r\nCOMPRESSION=TY1(  0.0)\r\nNX=  40 NY=  31 OI=      0 OL=      0\r\n"
                   b"NHEADER=   5120 NG=    512 NS=    768 NK=   1024 NS=    512 NH=   2048\r\n").ljust(6500, b"\0"),
    })


def read_all(data, ending):
    """Open, model and decode a file of these bytes."""
    message = ""
    with tempfile.NamedTemporaryFile(dir=FOLDER, suffix=f"_1.{ending}") as file:
        file.write(data)
        file.flush()
        try:
            opened = find_format(file.name)
            opened.models()
            return opened.raw()
        except XdpError as error:
            message = str(error)
    assert message.startswith(file.name)
    assert "\n" not in message
    return []


ENDINGS = ["cbf", "packed.cbf", "full.cbf", "img", "mccd", "tif", "edf", "od.img"]
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=6)


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=60, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, in_header=st.booleans(), cut=st.one_of(st.none(), st.floats(0, 1)))
def test_damaged_files(originals, ending, changes, in_header, cut):
    data = bytearray(originals[ending])
    for place, new in changes:
        at = int(place * (min(len(data), 1600) if in_header else len(data)))
        data[at:at + len(new)] = new
    if cut is not None:
        del data[int(cut * len(data)):]
    for panel in read_all(bytes(data), ending):
        assert panel.size <= MOST_PIXELS


NUMBERS = st.sampled_from([b"0", b"-1", b"nan", b"inf", b"1e999", b"99999999999999999999", b"", b"x", b"2147483648"])


@pytest.mark.parametrize("ending", ["cbf", "full.cbf", "img", "edf"])
@settings(max_examples=60, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 60), number=NUMBERS)
def test_numbers_of_headers(originals, ending, which, number):
    import re

    data = originals[ending]
    found = list(re.finditer(rb"(?<=[ =])-?\d[\d.e-]*", data[:2500]))
    match = found[which % len(found)]
    for panel in read_all(data[:match.start()] + number + data[match.end():], ending):
        assert panel.size <= MOST_PIXELS


def test_originals_are_sound(originals):
    for ending in ("cbf", "full.cbf", "img", "mccd", "tif", "edf"):
        assert read_all(originals[ending], ending), ending
