"""Ready-made models: a small experiment to draw, for the demonstration and for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal, b_matrix
from xdp.experiment.detector import PARALLAX, SIMPLE, Detector, Panel
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.materials import attenuation_coefficient
from xdp.experiment.scan import Scan

#: Tetragonal lysozyme (Å, degrees), P 43 21 2: what beamlines test with.
LYSOZYME_CELL = (79.34, 79.34, 37.81, 90.0, 90.0, 90.0)
LYSOZYME_HALL = " P 4nw 2abw"
PILATUS_300K = (487, 619)
"""Pixels, fast and slow: three modules."""
_PILATUS_PIXEL = 0.172
"""mm."""
_MODULE, _GAP = (487, 195), (7, 17)
"""Pixels of a module and between modules, fast and slow, of Pilatus detectors."""


def make_crystal(unit_cell: Any = LYSOZYME_CELL, hall: str = LYSOZYME_HALL, *, orientation: Any = None) -> Crystal:
    """Make a crystal.

    Parameters
    ----------
    unit_cell : six numbers
        Å, degrees.
    hall : str
        Hall symbol of the space group.
    orientation : (3, 3) or int, optional
        The matrix U, or the seed of a random one; None: seed 0.

    Returns
    -------
    Crystal

    Examples
    --------
    >>> [round(length, 2) for length in make_crystal(orientation=3).unit_cell[:3]]
    [79.34, 79.34, 37.81]
    """
    u = np.asarray(orientation) if np.ndim(orientation) == 2 else draw_rotation(int(orientation or 0))
    a, b, c = (tuple(float(v) for v in row) for row in np.linalg.inv(u @ b_matrix(unit_cell)))
    return Crystal(a, b, c, space_group_hall_symbol=hall)


def draw_rotation(seed: int) -> np.ndarray:
    """Draw a rotation matrix, uniformly distributed: that of a random unit quaternion (Shoemake 1992).

    Parameters
    ----------
    seed : int

    Returns
    -------
    (3, 3) float64
    """
    # a normal vector has no preferred direction: neither has its unit vector
    w, x, y, z = (q := np.random.default_rng(seed).normal(size=4)) / np.linalg.norm(q)
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                     [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                     [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def make_beam(wavelength: float = 0.9795) -> Beam:
    """Make a beam along -z of the imgCIF frame, polarised in the horizontal plane.

    Parameters
    ----------
    wavelength : float
        Å.

    Returns
    -------
    Beam
    """
    return Beam((0.0, 0.0, 1.0), wavelength)


def make_detector(image_size: tuple[int, int] = PILATUS_300K, *, distance: float = 100.0, wavelength: float = 0.9795,
                  parallax: bool = True, gaps: bool = True) -> Detector:
    """Make one Pilatus-like panel (0.172 mm pixels, 0.32 mm silicon) square to the beam, which meets its middle.

    Parameters
    ----------
    image_size
        Pixels (fast, slow).
    distance
        mm.
    wavelength
        Å, for the sensor's absorption.
    parallax
        Whether the sensor's thickness matters.
    gaps
        Whether gaps of 7 columns and 17 rows cut the panel after each 487 columns and 195 rows, as between modules. The
        mini CBF of DIALS wants whole modules, such as 487 x 619 or 981 x 831.

    Returns
    -------
    Detector
    """
    fast, slow = image_size
    columns = [(x, 0, x + _GAP[0], slow) for x in range(_MODULE[0], fast, _MODULE[0] + _GAP[0])]
    rows = [(0, y, fast, y + _GAP[1]) for y in range(_MODULE[1], slow, _MODULE[1] + _GAP[1])]
    mask = tuple(columns + rows) if gaps else ()
    # Not in the very middle of a pixel, where symmetry would hide errors of half a pixel.
    beam_x, beam_y = fast / 2 + 3.3, slow / 2 - 2.6
    panel = Panel(
        (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-beam_x * _PILATUS_PIXEL, beam_y * _PILATUS_PIXEL, -distance), image_size,
        (_PILATUS_PIXEL, _PILATUS_PIXEL), (0.0, 1048575.0), type="SENSOR_PAD", thickness=0.32, material="Si",
        mu=attenuation_coefficient("Si", wavelength), mask=mask, px_mm_strategy=PARALLAX if parallax else SIMPLE)
    return Detector((panel,))


def make_scan(n_frames: int = 40, width: float = 0.5, start: float = 0.0) -> Scan:
    """Make a scan of images from number 1.

    Parameters
    ----------
    n_frames : int
    width, start : float
        Of a frame, and of the first one's beginning; degrees.

    Returns
    -------
    Scan
        With exposures of 0.1 s.
    """
    return Scan((1, n_frames), (start, width), (0.1,) * n_frames, (0.0,) * n_frames)


def make_goniometer() -> Goniometer:
    """Make a goniometer of one axis along x."""
    return Goniometer()
