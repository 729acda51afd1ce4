"""The Pilatus 12M of Diamond's beamline I23: 24 banks of five modules on a half cylinder around the sample.

Geometry and the modules that failed, with their dates, are facts of the beamline, from dxtbx.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Mapping

import numpy as np

from xdp.experiment import Detector, Panel
from xdp.experiment.detector import flat_hierarchy
from xdp.images.formats.cbf.sites import read_leading_number
from xdp.images.formats.modules import Rectangle
from xdp.images.formats.sensors import SensorFields, build_sensor_fields

# Shape (slow, fast) of an image; pixels (fast, slow) of a module and of the gap between two; mm.
IMAGE_SHAPE = (5071, 2463)
N_BANKS = 24
N_COLUMNS = 5
MODULE = (487, 195)
GAP = (7, 17)
PIXEL = 0.172
RADIUS = 250.0
# Beam centre in pixels where the detector stands as it was designed.
_IDEAL_BEAM = (1075.0, 2594.0)
# Degrees: a bank as seen from the sample, the gap to the next, and the edge of the first. mm: from the middle of a bank
# to its first pixel.
_BANK_ANGLE, _BANK_GAP_ANGLE, _FIRST_EDGE = 7.903, 0.441, -12.2
_OFFSET_FAST, _OFFSET_SLOW = 184.9, 16.8
_CHIP = (60, 97)

# From when on (year, month, day), latest first: the bad parts as (bank, column, rectangle in the module).
_WHOLE = (0, 0, *MODULE)
_BAD: tuple[tuple[tuple[int, int, int], tuple[tuple[int, int, Rectangle], ...]], ...] = (
    ((2022, 7, 1), ()),
    ((2022, 1, 24), ((10, 3, _WHOLE),)),
    ((2020, 9, 8), ()),
    ((2020, 2, 21), ((1, 4, _WHOLE), (17, 0, _WHOLE), (17, 4, _WHOLE), (15, 4, (_CHIP[0], 0, 2 * _CHIP[0], _CHIP[1])))),
    ((2019, 11, 26), ((17, 0, _WHOLE), (17, 4, _WHOLE))),
    ((2019, 9, 3), ((15, 2, _WHOLE), (17, 0, _WHOLE))),
)


def is_p12m(header: Mapping[str, str]) -> bool:
    """Whether a mini CBF header is of this detector, by its serial number."""
    return "S/N 120-0100" in header.get("Detector", "")


def list_panel_rectangles(by_module: bool = False) -> list[Rectangle]:
    """List where the panels lie in the image.

    Parameters
    ----------
    by_module : bool
        120 panels of one module instead of 24 of five.

    Returns
    -------
    list of (fast0, slow0, fast1, slow1)
        In pixels, ends excluded: bank by bank, the modules of a bank along fast.
    """
    found = []
    for bank in range(N_BANKS):
        y = bank * (MODULE[1] + GAP[1])
        columns = [(i * (MODULE[0] + GAP[0]), MODULE[0]) for i in range(N_COLUMNS)] if by_module else [(0, 2463)]
        found += [(x, y, x + width, y + MODULE[1]) for x, width in columns]
    return found


def build_p12m_detector(header: Mapping[str, str], wavelength: float, by_module: bool = False) -> Detector:
    """Build the detector: its banks (or their modules) are panels on a frame that distance and beam centre move.

    Parameters
    ----------
    header : mapping
        Fields of the mini CBF header.
    wavelength : float
        In Å, for the sensor's attenuation coefficient.
    by_module : bool
        120 panels of one module instead of 24 of five.

    Returns
    -------
    Detector
        With the parts masked that were known to be bad when the image was taken.
    """
    silicon = build_sensor_fields("Si", _read_thickness(header), wavelength)
    panels = [_build_panel(rectangle, i, by_module, _list_bad_parts(header, i, by_module), silicon)
              for i, rectangle in enumerate(list_panel_rectangles(by_module))]
    root = flat_hierarchy(len(panels)) | {"fast_axis": [-1.0, 0.0, 0.0], "slow_axis": [0.0, 1.0, 0.0],
                                          "origin": _compute_root_origin(header)}
    return Detector(tuple(panels), root)


def _read_thickness(header: Mapping[str, str]) -> float:
    """Thickness of the sensor, mm; 0.32 where the header does not say."""
    match = re.search(r"thickness\s+(\d+\.?\d*)", header.get("Silicon", ""))
    return float(match[1]) * 1000.0 if match else 0.32


def _compute_root_origin(header: Mapping[str, str]) -> list[float]:
    """Where the axis of the cylinder lies, mm: moved by the beam centre from where it was designed to be."""
    found = [float(v) for v in re.findall(r"-?\d+\.?\d*", header.get("Beam_xy", ""))[:2]]
    beam = found if len(found) == 2 else _IDEAL_BEAM
    distance = read_leading_number(header, "Detector_distance") * 1000.0
    return [-PIXEL * (_IDEAL_BEAM[0] - beam[0]), PIXEL * (_IDEAL_BEAM[1] - beam[1]), -distance]


def _build_panel(
    rectangle: Rectangle, index: int, by_module: bool, mask: tuple[Rectangle, ...], silicon: SensorFields
) -> Panel:
    """A bank or module on the cylinder, in the frame of its axis."""
    bank, column = divmod(index, N_COLUMNS) if by_module else (index, 0)
    # Each bank is flat and touches the cylinder in its middle.
    angle = math.radians(_FIRST_EDGE + 0.5 * _BANK_ANGLE + bank * (_BANK_ANGLE + _BANK_GAP_ANGLE))
    fast = np.array([1.0, 0.0, 0.0])
    slow = np.array([0.0, math.sin(angle), math.cos(angle)])
    origin = RADIUS * np.cross(fast, slow) - _OFFSET_FAST * fast - _OFFSET_SLOW * slow
    x, y = rectangle[:2]
    origin += x * PIXEL * fast
    # A flat picture of the detector (projection_2d) has the banks below each other, as in the image.
    return Panel(
        tuple(fast.tolist()), tuple(slow.tolist()), tuple(origin.tolist()),
        (rectangle[2] - x, rectangle[3] - y), (PIXEL, PIXEL), (0.0, 1.0e6),
        name=f"row-{bank:02d}-col-{column:02d}" if by_module else f"row-{bank:02d}", type="SENSOR_PAD",
        mask=mask, raw_image_offset=(x, y),
        extra={"projection_2d": [[1, 0, 0, 1], [-y, -x]]}, **silicon,
    )


def _list_bad_parts(header: Mapping[str, str], index: int, by_module: bool) -> tuple[Rectangle, ...]:
    """List rectangles of a panel whose module or chip was known to be bad when the image was taken."""
    # Images without a date are taken for new ones.
    time = float(header.get("epoch", math.inf))
    parts = next((bad for since, bad in _BAD if time > calendar.timegm((*since, 0, 0, 0))), ())
    found = []
    for bank, column, (x0, y0, x1, y1) in parts:
        if index == (bank * N_COLUMNS + column if by_module else bank):
            shift = 0 if by_module else column * (MODULE[0] + GAP[0])
            found.append((x0 + shift, y0, x1 + shift, y1))
    return tuple(found)
