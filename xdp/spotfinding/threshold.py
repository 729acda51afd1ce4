"""Strong pixels of one panel image: thresholds by dispersion, extended dispersion, or radial profile.

`Thresholder` is built once for a panel and its options, and then finds the strong pixels of many frames, from any
number of threads.
"""

from __future__ import annotations

import threading
from typing import NamedTuple, Protocol

import numpy as np

from xdp.errors import OptionError
from xdp.spotfinding import _kernels_table as table


class DispersionSettings(Protocol):
    """What the dispersion thresholds read from their options (DIALS' names and meanings)."""

    kernel_size: tuple[int, int]
    sigma_background: float
    sigma_strong: float
    min_local: int
    global_threshold: float
    gain: float | None


class StrongPixels(NamedTuple):
    """Strong pixels of one panel image, in order of their index."""

    index: np.ndarray
    """int32 (n,): flat indices into the (slow, fast) image."""
    value: np.ndarray
    """float64 (n,): pixel values (corrected, where there is a correction)."""


class Thresholder:
    """Finds strong pixels on the frames of one panel.

    Parameters
    ----------
    shape : (slow, fast) of the panel in pixels
    valid : bool (slow, fast), pixels that may be used in every frame; None for all
    options : the options of the threshold (`DispersionSettings`, for radial_profile its own)
    algorithm : ``dispersion`` or ``dispersion_extended``
    trusted_range : lowest and highest raw value that count, both included; None for no limits
    gain_map : positive number or (slow, fast) array by which raw values are divided before anything else
    pedestal : number or (slow, fast) array taken off the raw values before that
    region_of_interest : x0, x1, y0, y1 in pixels: only this part is looked at, as if it were the whole image

    Notes
    -----
    The window spans ``2 * kernel_size + 1`` pixels, first along slow, then along fast: that is how DIALS uses the
    parameter, whatever its help says. Decisions are DIALS' (3.12) pixel for pixel; where a frame holds so many huge
    counts that the sum of squares over the whole image exceeds 2**53, DIALS' sums are rounded and ours are exact.

    References
    ----------
    Parkhurst, J. M. et al. (2013), J. Appl. Cryst. 46, 1-10;
    Winter, G. et al. (2018), Acta Cryst. D74, 85-97.
    """

    def __init__(self, shape, valid=None, *, options, algorithm="dispersion", trusted_range=None, gain_map=None,
                 pedestal=None, region_of_interest=None):
        self.shape = tuple(int(n) for n in shape)
        self.algorithm = algorithm
        self.trusted_range = trusted_range
        self._valid = _as_mask(valid, self.shape)
        self._gain_map, self._pedestal = gain_map, pedestal
        self._roi = _check_region(region_of_interest, self.shape)
        self._set_dispersion(options)
        self._local = threading.local()

    def _set_dispersion(self, options) -> None:
        half = np.array(options.kernel_size, np.int64)
        area = int(np.prod(2 * half + 1))
        min_count = options.min_local if options.min_local > 0 else area
        if (half < 1).any():
            raise OptionError(f"kernel_size={tuple(half)}: both half widths must be at least 1")
        if not 1 < min_count <= area:
            raise OptionError(f"min_local={options.min_local}: expected 0 or less, or 2 to {area} for this kernel_size")
        if options.gain is not None and options.gain <= 0:
            raise OptionError(f"gain={options.gain}: a gain is greater than 0")
        self._half, self._min_count = half, min_count
        self._sigmas = np.array([options.sigma_background, options.sigma_strong], np.float64)
        self._threshold = float(options.global_threshold)
        self._gain = options.gain

    def find(self, image: np.ndarray, valid: np.ndarray | None = None) -> StrongPixels:
        """The strong pixels of a raw `image` (slow, fast); `valid` narrows the mask for this frame alone."""
        mask = self.strong_mask(image, valid)
        index = np.flatnonzero(mask).astype(np.int32)
        return StrongPixels(index, self.corrected(image).ravel()[index].astype(np.float64))

    def strong_mask(self, image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """True where a raw `image` is strong: bool (slow, fast)."""
        rows, columns = self._roi
        usable = self.usable(image, valid)[rows, columns].astype(np.uint8)
        part = np.ascontiguousarray(self.corrected(image)[rows, columns], np.float64)
        out = np.zeros(self.shape, bool)
        out[rows, columns] = self._table_mask(part, usable)
        return out

    def usable(self, image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Pixels that may be used in this frame: mask, `valid` and trusted range together; bool (slow, fast)."""
        usable = self._valid.astype(bool)
        if valid is not None:
            usable &= np.asarray(valid, bool)
        if self.trusted_range is not None:
            low, high = self.trusted_range
            usable &= (image >= low) & (image <= high)
        return usable

    def corrected(self, image: np.ndarray) -> np.ndarray:
        """The image less its pedestal, over the detector's gain map; the raw image where there are neither."""
        if self._pedestal is not None:
            image = image - np.asarray(self._pedestal, np.float64)
        if self._gain_map is not None:
            image = image / np.asarray(self._gain_map, np.float64)
        return image

    def _table_mask(self, image, usable) -> np.ndarray:
        gain = np.zeros((0, 0)) if self._gain is None else np.full(image.shape, float(self._gain))
        out = np.empty_like(usable)
        extended = self.algorithm == "dispersion_extended"
        table.table_dispersion(image, usable, gain, self._half, self._sigmas, self._threshold, self._min_count,
                               not extended, out)
        if not extended:
            return out.astype(bool)
        peaks = np.empty_like(out)
        table.erode(out, int(self._half.min()) - 1, peaks)
        table.table_background(image, usable, peaks, gain, self._half + 2, self._sigmas[1], self._threshold, out)
        return out.astype(bool)


def _as_mask(valid, shape) -> np.ndarray:
    """`valid` as contiguous uint8, all ones for None."""
    if valid is None:
        return np.ones(shape, np.uint8)
    valid = np.ascontiguousarray(valid, dtype=bool)
    if valid.shape != shape:
        raise OptionError(f"mask of shape {valid.shape} for a panel of shape {shape} (slow, fast)")
    return valid.view(np.uint8)


def _check_region(region, shape) -> tuple[slice, slice]:
    """The region of interest as slices (slow, fast); the whole panel for None."""
    if region is None:
        return slice(0, shape[0]), slice(0, shape[1])
    x0, x1, y0, y1 = (int(v) for v in region)
    if not (0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0]):
        raise OptionError(f"region_of_interest={x0},{x1},{y0},{y1}: expected x0 < x1 <= {shape[1]}, "
                          f"y0 < y1 <= {shape[0]}, none negative")
    return slice(y0, y1), slice(x0, x1)
