"""Scans of some of the images of a series."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdp.experiment import Scan


def select_image(scan: Scan, index: int) -> Scan:
    """The scan of one image of a series.

    Parameters
    ----------
    scan : Scan
        Of the series.
    index : int
        Which image, from 0.

    Returns
    -------
    Scan
        Of this image alone, with its own angle and times.

    Examples
    --------
    >>> from xdp.experiment import Scan
    >>> image = select_image(Scan((1, 10), (0.0, 0.5)), 3)
    >>> image.image_range, image.oscillation
    ((4, 4), (1.5, 0.5))
    """
    number = scan.image_range[0] + index
    start, width = scan.oscillation
    return dataclasses.replace(scan, image_range=(number, number), oscillation=(start + index * width, width),
                               exposure_time=scan.exposure_time[index:index + 1], epochs=scan.epochs[index:index + 1])


def resize_scan(scan: Scan, image_range: tuple[int, int]) -> Scan:
    """A scan with another range of images.

    Parameters
    ----------
    scan : Scan
        Whose oscillation and first times are kept.
    image_range : (int, int)
        First and last image number, both included.

    Returns
    -------
    Scan
        Its oscillation is that of `scan`: the first image begins at the same angle. Images without times of their own
        have 0 s, as in DIALS.
    """
    n = image_range[1] - image_range[0] + 1
    exposure, epochs = ((*values[:n], *[0.0] * (n - len(values))) for values in (scan.exposure_time, scan.epochs))
    return dataclasses.replace(scan, image_range=image_range, exposure_time=exposure, epochs=epochs)
