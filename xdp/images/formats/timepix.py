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
from xdp.images.formats.sensors import SensorFields

WIDE = 3
"""Pixels at the edge of a chip are this many times as wide as the others."""
CHIP = 256
"""Pixels of a chip along fast and slow, its edges among them."""

# Facts of the microscope, from dxtbx: its rotation axis in images of 512 x 512 pixels, and in those of 516 x 516, where
# wide pixels were cut into normal ones.
AXIS_512 = (-0.755, -0.656, 0.0)
AXIS_516 = (0.7826, -0.6226, 0.0)

# Pixels of the four chips without their wide edges: (fast0, slow0, fast1, slow1).
_CHIPS = tuple((x, y, x + CHIP - 2, y + CHIP - 2) for y in (1, CHIP + 1) for x in (1, CHIP + 1))
# A Timepix has 300 µm of silicon; its images have 16 bits, and the highest value is an overload.
_SENSOR: SensorFields = {"thickness": 0.3, "material": "Si"}
_TRUSTED_RANGE = (0.0, 65534.0)


def build_timepix_models(number: Callable[[str], float], size: tuple[int, int], scan: Scan) -> Models:
    """Build the models of an image.

    Parameters
    ----------
    number : callable
        Gives the number in a header field.
    size : (int, int)
        Pixels (fast, slow) of the image.
    scan : Scan
        Of the image.

    Returns
    -------
    Models
        Four panels for an image of 512 x 512 pixels, one otherwise.
    """
    # Electrons are not polarised.
    beam = Beam((0.0, 0.0, 1.0), number("WAVELENGTH"), polarization_fraction=0.5)
    pixel, distance = number("PIXEL_SIZE"), number("DISTANCE")
    centre = (number("BEAM_CENTER_X"), number("BEAM_CENTER_Y"))
    if size == (2 * CHIP, 2 * CHIP):
        return Models(beam, _build_four_panels(pixel, distance, centre), Goniometer(rotation_axis=_normalise(AXIS_512)),
                      scan)
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-centre[0] * pixel, centre[1] * pixel, -distance), size,
                  (pixel, pixel), _TRUSTED_RANGE, type="SENSOR_PAD", **_SENSOR)
    return Models(beam, Detector((panel,)), Goniometer(rotation_axis=_normalise(AXIS_516)), scan)


def split_chips(image: np.ndarray) -> list[np.ndarray]:
    """Cut an image into its chips.

    Parameters
    ----------
    image : (slow, fast) array
        Of 512 x 512 pixels; any other is one panel.

    Returns
    -------
    list of (slow, fast) array
        Four chips without their wide edge pixels, or the image as it is.
    """
    if image.shape != (2 * CHIP, 2 * CHIP):
        return [image]
    return [np.ascontiguousarray(image[y0:y1, x0:x1]) for x0, y0, x1, y1 in _CHIPS]


def _normalise(vector: tuple[float, float, float]) -> tuple[float, ...]:
    """The vector with length 1."""
    return tuple((np.asarray(vector) / np.linalg.norm(vector)).tolist())


def px_to_millimetres(px: float, pixel: float) -> float:
    """Convert a pixel coordinate to a distance from the detector's edge.

    Parameters
    ----------
    px : float
        Coordinate along fast or slow, in pixels of the file.
    pixel : float
        Width of an inner pixel, mm.

    Returns
    -------
    float
        In mm; the wide pixels at the edges of chips count three times.

    Examples
    --------
    >>> px_to_millimetres(2.0, 1.0)
    4.0
    """
    # Where the width changes: behind the first pixel of a chip, before its last, and again on the second chip. The last
    # pixel of one chip and the first of the next make one wide interval.
    edges = np.array([0.0, 1.0, CHIP - 1.0, CHIP + 1.0, 2.0 * CHIP - 1.0, 2.0 * CHIP])
    widths = pixel * np.array([WIDE, 1.0, WIDE, 1.0, WIDE])
    return float(np.sum(np.clip(px - edges[:-1], 0.0, np.diff(edges)) * widths))


def _build_four_panels(pixel: float, distance: float, centre: tuple[float, float]) -> Detector:
    """The four chips, without their wide edges, on a frame that the beam centre (pixels) moves."""
    wide = WIDE * pixel
    # The second chip begins behind three wide pixels (the first chip has two) and the first chip's 254 others.
    starts = {1: wide, CHIP + 1: 3 * wide + (CHIP - 2) * pixel}
    chips = [Panel((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (starts[x0], starts[y0], 0.0), (x1 - x0, y1 - y0), (pixel, pixel),
                   _TRUSTED_RANGE, name=f"Panel{i}", type="SENSOR_PAD", raw_image_offset=(x0, y0), **_SENSOR)
             for i, (x0, y0, x1, y1) in enumerate(_CHIPS)]
    root = flat_hierarchy(len(chips)) | {
        "slow_axis": [0.0, -1.0, 0.0],
        "origin": [-px_to_millimetres(centre[0], pixel), px_to_millimetres(centre[1], pixel), -distance]}
    return Detector(tuple(chips), root)
