"""The 2 x 2 Timepix detector of the electron microscope at Stockholm, as SMV files of RED have it.

References
----------
W. Wan, J. Sun, J. Su, S. Hovmöller and X. Zou, J. Appl. Cryst. 46, 1863 (2013), doi:10.1107/S0021889813027714
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.experiment.detector import flat_hierarchy
from xdp.images.formats.base import Models

WIDE = 3
"""Pixels at the edge of a chip are this many times as wide as the others."""
CHIP = 256
AXIS_512 = (-0.755, -0.656, 0.0)
AXIS_516 = (0.7826, -0.6226, 0.0)

# Pixels of the four chips without their wide edges: (fast0, slow0, fast1, slow1).
_CHIPS = tuple((x, y, x + CHIP - 2, y + CHIP - 2) for y in (1, CHIP + 1) for x in (1, CHIP + 1))
_SENSOR = {"type": "SENSOR_PAD", "thickness": 0.3, "material": "Si"}


def models(number: Callable[..., float], size: tuple[int, int], scan: Scan) -> Models:
    """The models of an image whose header fields `number` gives; four panels of a 512 x 512 image, one otherwise."""
    beam = Beam((0.0, 0.0, 1.0), number("WAVELENGTH"), polarization_fraction=0.5)
    pixel, distance = number("PIXEL_SIZE"), number("DISTANCE")
    centre = (number("BEAM_CENTER_X"), number("BEAM_CENTER_Y"))
    if size == (2 * CHIP, 2 * CHIP):
        return Models(beam, _four_panels(pixel, distance, centre), Goniometer(rotation_axis=_unit(AXIS_512)), scan)
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-centre[0] * pixel, centre[1] * pixel, -distance), size,
                  (pixel, pixel), (0.0, 65534.0), **_SENSOR)  # type: ignore[arg-type]
    return Models(beam, Detector((panel,)), Goniometer(rotation_axis=_unit(AXIS_516)), scan)


def panels(image: np.ndarray) -> list[np.ndarray]:
    """The chips of a 512 x 512 image without their wide edge pixels; any other image whole."""
    if image.shape != (2 * CHIP, 2 * CHIP):
        return [image]
    return [np.ascontiguousarray(image[y0:y1, x0:x1]) for x0, y0, x1, y1 in _CHIPS]


def _unit(vector: tuple[float, float, float]) -> tuple[float, ...]:
    return tuple((np.asarray(vector) / np.linalg.norm(vector)).tolist())


def millimetres(px: float, pixel: float) -> float:
    """Distance from the detector's edge of a pixel coordinate, the wide pixels at chip edges counted as such."""
    edges = np.array([0.0, 1.0, CHIP - 1.0, CHIP + 1.0, 2.0 * CHIP - 1.0, 2.0 * CHIP])
    widths = pixel * np.array([WIDE, 1.0, WIDE, 1.0, WIDE])
    return float(np.sum(np.clip(px - edges[:-1], 0.0, np.diff(edges)) * widths))


def _four_panels(pixel: float, distance: float, centre: tuple[float, float]) -> Detector:
    wide = WIDE * pixel
    starts = {1: wide, CHIP + 1: 3 * wide + (CHIP - 2) * pixel}
    chips = [Panel((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (starts[x0], starts[y0], 0.0), (x1 - x0, y1 - y0), (pixel, pixel),
                   (0.0, 65534.0), name=f"Panel{i}", raw_image_offset=(x0, y0), **_SENSOR)  # type: ignore[arg-type]
             for i, (x0, y0, x1, y1) in enumerate(_CHIPS)]
    root = flat_hierarchy(len(chips)) | {
        "slow_axis": [0.0, -1.0, 0.0],
        "origin": [-millimetres(centre[0], pixel), millimetres(centre[1], pixel), -distance]}
    return Detector(tuple(chips), root)
