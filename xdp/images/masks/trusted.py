"""Counts that a panel reports correctly: its trusted range, and the pixels of a frame within it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xdp.images.masks.static import read_static_mask

if TYPE_CHECKING:
    from xdp.experiment import Experiment, Panel
    from xdp.images.reader import Reader


def compute_trusted_limits(panel: Panel, dtype: np.dtype, maximum: float | None = None) -> tuple[float, float]:
    """The lowest and the highest good count of a panel, both included, for images of a type.

    Parameters
    ----------
    panel : Panel
        Whose ``trusted_range`` counts; both its ends are good.
    dtype : dtype
        Of the images: limits of integer images are whole numbers within the dtype's own range.
    maximum : float, optional
        Used instead of the panel's highest trusted count.

    Returns
    -------
    low, high : float
        Counts.

    Examples
    --------
    >>> import numpy as np
    >>> from xdp.experiment import Panel
    >>> panel = Panel((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0), (1, 1), (0.1, 0.1), trusted_range=(-0.5, 1e6))
    >>> compute_trusted_limits(panel, np.dtype("uint16"))
    (0.0, 65535.0)
    """
    low, high = panel.trusted_range
    if maximum is not None:
        high = maximum
    if np.dtype(dtype).kind not in "iu":
        return float(low), float(high)
    # Kernels compare in the images' own type: limits beyond it would wrap around.
    info = np.iinfo(dtype)
    return float(math.ceil(max(low, info.min))), float(math.floor(min(high, info.max)))


def find_usable_pixels(experiment: Experiment, reader: Reader, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Find the pixels of one frame that may be used: static mask and trusted range together.

    Parameters
    ----------
    experiment : Experiment
        With a detector.
    reader : Reader
        Of its images.
    images : sequence of (slow, fast)
        Raw counts of each panel.

    Returns
    -------
    list of (slow, fast) bool
        One a panel, True where the pixel may be used.
    """
    static = read_static_mask(experiment, reader)
    usable = []
    for i, (panel, image) in enumerate(zip(experiment.known.detector, images, strict=True)):
        low, high = panel.trusted_range
        trusted = (image >= low) & (image <= high)
        usable.append(trusted if static is None else trusted & static[i])
    return usable
