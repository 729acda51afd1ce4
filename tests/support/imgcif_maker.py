"""Full imgCIF files of one image, their header with tables of axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xdp.images.formats.base import Format
from xdp.images.formats.cbf.sections import encode_section
from xdp.images.formats.find import find_format

HEADER = """###CBF: VERSION 1.7
data_x
_diffrn.id X
_diffrn_detector.type 'A DETECTOR'
_diffrn_radiation_wavelength.wavelength 1.25
_diffrn_scan_frame.integration_time 0.5
_diffrn_scan_frame.date 2016-03-05T08:58:02.5
{measurement}
loop_
_axis.id _axis.type _axis.equipment _axis.depends_on
_axis.vector[1] _axis.vector[2] _axis.vector[3] _axis.offset[1] _axis.offset[2] _axis.offset[3]
{component}
 OMEGA rotation goniometer . 1 0 0 . . . {c0}
 PHI rotation goniometer OMEGA 0 1 0 . . . {c0}
 SOURCE general source . 0 0 1 . . . {c0}
 TT rotation detector . 1 0 0 . . . {c1}
 Z translation detector TT 0 0 -1 0 0 0 {c1}
 S translation detector Z 0 -1 0 -3 4 0 {c2}
 F translation detector S 1 0 0 0 0 0 {c2}
 G translation detector Z 0 -1 0 3 4 0 {c3}
 H translation detector G 1 0 0 0 0 0 {c3}
loop_
_diffrn_scan_axis.axis_id _diffrn_scan_axis.angle_start _diffrn_scan_axis.angle_increment
_diffrn_scan_axis.displacement_start
 OMEGA 10 {omega} 0
 PHI 20 0 0
 TT 30 0 0
 Z 0 0 100
loop_
_array_structure_list_axis.axis_set_id _array_structure_list_axis.displacement_increment
 F 0.1
 S 0.2
 H 0.1
 G 0.2
loop_
_array_intensities.array_id _array_intensities.gain _array_intensities.overload _array_intensities.undefined_value
 A1 2.0 1000 -1
{arrays}
loop_
_array_data.data
;
"""
# One panel of 40 x 31 pixels.
ONE = """loop_
_array_structure_list.array_id _array_structure_list.index _array_structure_list.dimension
_array_structure_list.precedence _array_structure_list.axis_set_id
 A1 1 40 1 F
 A1 2 31 2 S
"""
# Two panels, which are parts of one array.
SECTIONS = """_diffrn_data_frame.array_id A1
_diffrn_data_frame.binary_id 1
loop_
_array_structure_list.array_id _array_structure_list.array_section_id _array_structure_list.dimension
_array_structure_list.precedence _array_structure_list.axis_set_id
 A1 . 40 1 .
 A1 . 31 2 .
 A1 LEFT 15 1 F
 A1 LEFT 31 2 S
 A1 RIGHT 25 1 H
 A1 RIGHT 31 2 G
loop_
_array_structure_list_section.id _array_structure_list_section.array_id _array_structure_list_section.index
_array_structure_list_section.start _array_structure_list_section.end
 LEFT A1 1 1 15
 LEFT A1 2 1 31
 RIGHT A1 1 16 40
 RIGHT A1 2 1 31
"""
_BLANK = {"measurement": "", "component": "", "c0": "", "c1": "", "c2": "", "c3": "", "omega": "0.5"}


def format_header(arrays: str = ONE, **fields: str) -> str:
    """The header with tables of arrays, and with other words where `fields` names them."""
    return HEADER.format(**(_BLANK | {"arrays": arrays} | fields))


def write_imgcif(path: Path, image: np.ndarray, arrays: str = ONE, **fields: str) -> Format:
    """Write an image, and open the file."""
    text = format_header(arrays, **fields)
    path.write_bytes(text.replace("\n", "\r\n").encode() + encode_section(image) + b";\r\n")
    return find_format(path)
