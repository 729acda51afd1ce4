"""Shapes on a panel that are masked: its border, rectangles, circles, polygons, single pixels.

Each function changes a mask in place: a bool array (slow, fast), True where the pixel is good. A circle is measured
from whole pixel numbers and a polygon from pixel centres (+0.5), as in DIALS, so that masks agree pixel for pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from xdp.errors import OptionError


def mask_border(mask: np.ndarray, width: int) -> None:
    """Mask a border along all four edges of a panel.

    Parameters
    ----------
    mask : (slow, fast) bool
        True where good; changed in place.
    width : int
        Of the border, in pixels; 0 masks nothing.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.ones((4, 5), bool)
    >>> mask_border(mask, 1)
    >>> mask.astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 1, 1, 1, 0],
           [0, 0, 0, 0, 0]])
    """
    # With a width of 0 the slice -0: would be the whole panel.
    if width > 0:
        mask[:width, :] = mask[-width:, :] = False
        mask[:, :width] = mask[:, -width:] = False


def mask_rectangle(mask: np.ndarray, x0: int, x1: int, y0: int, y1: int) -> None:
    """Mask the pixels x0 <= fast < x1, y0 <= slow < y1.

    Parameters
    ----------
    mask : (slow, fast) bool
        True where good; changed in place.
    x0, x1 : int
        First pixel along fast, and the one behind the last.
    y0, y1 : int
        The same along slow.

    Raises
    ------
    OptionError
        If the rectangle is empty or reaches outside of the panel.
    """
    height, width = mask.shape
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise OptionError(f"untrusted.rectangle must be x0,x1,y0,y1 with 0 <= x0 < x1 <= {width} and "
                          f"0 <= y0 < y1 <= {height}, got {x0},{x1},{y0},{y1}")
    mask[y0:y1, x0:x1] = False


def mask_circle(mask: np.ndarray, xc: float, yc: float, radius: float) -> None:
    """Mask the pixels whose whole numbers (fast, slow) lie closer than a radius to a point.

    Parameters
    ----------
    mask : (slow, fast) bool
        True where good; changed in place.
    xc, yc : float
        Fast and slow of the middle, in pixels.
    radius : float
        In pixels.

    Raises
    ------
    OptionError
        If the radius is not above 0, or the circle lies outside of the panel.
    """
    if radius <= 0:
        raise OptionError(f"untrusted.circle must be xc,yc,r with r > 0, got {xc},{yc},{radius}")
    height, width = mask.shape
    # Only the square around the circle is looked at: a panel has many times its pixels.
    x0, x1 = max(math.floor(xc - radius), 0), min(math.ceil(xc + radius), width)
    y0, y1 = max(math.floor(yc - radius), 0), min(math.ceil(yc + radius), height)
    if x0 >= x1 or y0 >= y1:
        raise OptionError(f"untrusted.circle {xc},{yc},{radius} lies outside of the panel of {width} x {height} pixels")
    y, x = np.ogrid[y0:y1, x0:x1]
    mask[y0:y1, x0:x1] &= (x - xc) ** 2 + (y - yc) ** 2 >= radius * radius


def mask_polygon(mask: np.ndarray, corners: Sequence[tuple[float, float]]) -> None:
    """Mask the pixels whose centres lie inside a polygon, by the even-odd rule.

    Parameters
    ----------
    mask : (slow, fast) bool
        True where good; changed in place.
    corners : sequence of (fast, slow)
        At least three, in pixels; the last is joined to the first.

    Raises
    ------
    OptionError
        If there are fewer corners, or the polygon lies outside of the panel.
    """
    if len(corners) < 3:
        raise OptionError(f"untrusted.polygon needs at least 3 corners (fast, slow pairs), got {len(corners)}")
    height, width = mask.shape
    xs, ys = zip(*corners, strict=True)
    x0, x1 = max(math.floor(min(xs)), 0), min(math.floor(max(xs)) + 1, width)
    y0, y1 = max(math.floor(min(ys)), 0), min(math.floor(max(ys)) + 1, height)
    if x0 >= x1 or y0 >= y1:
        raise OptionError(f"untrusted.polygon lies outside of the panel of {width} x {height} pixels")
    y, x = np.ogrid[y0:y1, x0:x1]
    mask[y0:y1, x0:x1] &= ~_is_inside(corners, x + 0.5, y + 0.5)


def _is_inside(corners: Sequence[tuple[float, float]], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie inside a polygon: a ray along fast crosses its edges an odd number of times."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    for (xa, ya), (xb, yb) in zip(corners, [corners[-1], *corners[:-1]], strict=True):
        # An edge along fast is crossed by no such ray; it would divide by 0.
        if ya != yb:
            inside ^= ((ya > y) != (yb > y)) & (x < (xb - xa) * (y - ya) / (yb - ya) + xa)
    return inside


def mask_pixel(mask: np.ndarray, slow: int, fast: int) -> None:
    """Mask one pixel.

    Parameters
    ----------
    mask : (slow, fast) bool
        True where good; changed in place.
    slow, fast : int
        The pixel, from 0.

    Raises
    ------
    OptionError
        If it is not on the panel.
    """
    if not (0 <= slow < mask.shape[0] and 0 <= fast < mask.shape[1]):
        raise OptionError(f"untrusted.pixel (slow, fast) must lie inside of {mask.shape}, got {slow},{fast}")
    mask[slow, fast] = False
