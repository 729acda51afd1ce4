"""Strong pixels of one panel image: the thresholds ``dispersion`` and ``dispersion_extended``.

`Thresholder` is built once for a panel and its options, and then finds the strong pixels of many frames, from any
number of threads. Its docstring gives the formulas; ``_kernels_formula.py`` holds them as code. Frames of whole numbers
go through ``_kernels_dispersion.py`` (and ``_kernels_extended.py``), all others through ``_kernels_table.py``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from xdp.errors import OptionError
from xdp.images.corrections import correct_counts
from xdp.spotfinding.threshold import _kernels_dispersion as first
from xdp.spotfinding.threshold import _kernels_extended as second
from xdp.spotfinding.threshold import _kernels_table as table
from xdp.spotfinding.threshold._kernels_formula import BIG, Rules
from xdp.spotfinding.threshold._kernels_window import PAD, RawLimits, count_windows


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

    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index, which nobody wants here
    """int32 (n,): flat indices into the (slow, fast) image."""
    value: np.ndarray
    """float64 (n,): pixel values (corrected, where there is a correction)."""


class PanelThreshold:
    """What all thresholds of one panel share: masks, trusted range, corrections, region of interest.

    Parameters
    ----------
    shape : (slow, fast) of the panel in pixels
    valid : bool (slow, fast), pixels that may be used in every frame; None for all
    trusted_range : lowest and highest raw value that count, both included; None for no limits
    gain_map : positive number or (slow, fast) array by which raw values are divided before anything else
    pedestal : number or (slow, fast) array taken off the raw values before that
    region_of_interest : x0, x1, y0, y1 in pixels: only this part is looked at, as if it were the whole image
    """

    def __init__(self, shape, valid=None, *, trusted_range=None, gain_map=None, pedestal=None,
                 region_of_interest=None):
        self.shape = tuple(int(n) for n in shape)
        self.trusted_range = trusted_range
        self._valid = _as_mask(valid, self.shape)
        self._gain_map, self._pedestal = gain_map, pedestal
        self._roi = _check_region(region_of_interest, self.shape)

    def _strong(self, image: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
        """Flat indices, in order, of the strong pixels within the region of interest."""
        raise TypeError(f"{type(self).__name__} has no threshold of its own")

    def find(self, image: np.ndarray, valid: np.ndarray | None = None) -> StrongPixels:
        """Find the strong pixels of a raw image.

        Parameters
        ----------
        image : (slow, fast)
            Raw counts.
        valid : (slow, fast) bool, optional
            Narrows the mask for this frame alone.

        Returns
        -------
        StrongPixels

        Raises
        ------
        OptionError
            If image or mask has not the shape of the panel.
        """
        image = np.asarray(image)
        if image.shape != self.shape:
            raise OptionError(f"image of shape {image.shape} for a panel of shape {self.shape} (slow, fast)")
        index = self._whole_index(self._strong(image, valid))
        # raw counts as they are, unless a gain map or pedestal changes them
        values = image.reshape(-1)[index].astype(np.float64)
        if self._is_corrected:
            values = self.correct_counts(image).reshape(-1)[index].astype(np.float64)
        return StrongPixels(index.astype(np.int32), values)

    def strong_mask(self, image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """True where a raw `image` is strong: bool (slow, fast)."""
        out = np.zeros(self.shape, bool)
        out.reshape(-1)[self.find(image, valid).index] = True
        return out

    def usable(self, image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Pixels that may be used in this frame.

        Parameters
        ----------
        image : (slow, fast)
            Raw counts.
        valid : (slow, fast) bool, optional
            Narrows the mask for this frame alone.

        Returns
        -------
        (slow, fast) bool
            True where mask, `valid` and trusted range all allow it.
        """
        usable = self._valid.astype(bool)
        if valid is not None:
            usable &= np.asarray(valid, bool)
        # raw values are compared: trusted ranges are those of the read-out
        if self.trusted_range is not None:
            low, high = self.trusted_range
            usable &= (image >= low) & (image <= high)
        return usable

    def correct_counts(self, image: np.ndarray) -> np.ndarray:
        """The image less its pedestal, over the detector's gain map; the raw image where there are neither."""
        return correct_counts(image, self._gain_map, self._pedestal)

    @property
    def _is_corrected(self) -> bool:
        return self._gain_map is not None or self._pedestal is not None

    def _whole_index(self, index: np.ndarray) -> np.ndarray:
        """Flat indices in the panel from those in the region of interest."""
        rows, columns = self._roi
        width = columns.stop - columns.start
        if (rows.stop - rows.start, width) == self.shape:
            return index
        slow, fast = np.divmod(index, width)
        return (slow + rows.start) * self.shape[1] + fast + columns.start


class Thresholder(PanelThreshold):
    r"""Finds strong pixels on the frames of one panel by the dispersion of counts around them.

    Parameters
    ----------
    shape, valid : as for `PanelThreshold`
    options : parameters of the threshold (`DispersionSettings`)
    algorithm : ``dispersion`` or ``dispersion_extended``
    **panel : further arguments of `PanelThreshold`

    Raises
    ------
    OptionError
        If a parameter is out of bounds, or a mask or region does not fit the panel.

    Notes
    -----
    Let the window about a pixel hold m valid pixels with mean :math:`\bar I` and sample variance :math:`s^2`. With gain
    g (1 unless given) the pixel is over-dispersed if

    .. math:: \frac{s^2}{\bar I} > g \left(1 + \sigma_b \sqrt{\frac{2}{m - 1}}\right),

    since variance over mean is g for counted photons, and scatters by :math:`g\sqrt{2/(m-1)}`; :math:`\sigma_b` is
    ``sigma_background``. Algorithm ``dispersion`` takes the over-dispersed pixels whose counts I exceed the mean, too:

    .. math:: I > \bar I + \sigma_s \sqrt{g \bar I},

    :math:`\sigma_s` being ``sigma_strong``. ``dispersion_extended`` erodes the over-dispersed regions, and takes of
    what is left the pixels with

    .. math:: I \ge b + \sigma_s \sqrt{g b},

    where b is the mean of the pixels outside of these regions, in a window wider by two on each side. Strong pixels
    also exceed ``global_threshold``. The window spans ``2 * kernel_size + 1`` pixels, first along slow, then along
    fast: that is how DIALS uses the parameter, whatever its help says.

    Decisions are DIALS' (3.12) pixel for pixel. Two exceptions, where DIALS sums wrongly: whole-number images whose
    sum of squares over the whole frame exceeds 2**53 (DIALS rounds, we do not), and frames with NaN or infinity (which
    DIALS lets spread to the right and downwards; here they are left out of every sum).

    References
    ----------
    Winter, G. et al. (2018), Acta Cryst. D74, 85-97 (10.1107/S2059798317017235); Kabsch, W. (2010), Acta Cryst. D66,
    133-144 (10.1107/S0907444909047374), from which the dispersion test was taken.
    """

    def __init__(self, shape, valid=None, *, options: DispersionSettings, algorithm="dispersion", **panel):
        super().__init__(shape, valid, **panel)
        if algorithm not in ("dispersion", "dispersion_extended"):
            raise OptionError(f"threshold.algorithm={algorithm}: expected dispersion or dispersion_extended here")
        self._extended = algorithm == "dispersion_extended"
        self._settings = _Settings.of(options)
        self._mask = _make_window_mask(self._valid[self._roi], self._settings)
        self._work = _Workspaces((self._roi[0].stop - self._roi[0].start, self._roi[1].stop - self._roi[1].start),
                                 self._settings)
        self._limits: dict[np.dtype, RawLimits | None] = {}

    def _strong(self, image, valid) -> np.ndarray:
        index = self._find_exactly(image, valid)
        return self._find_by_table(image, valid) if index is None else index

    def _find_exactly(self, image, valid) -> np.ndarray | None:
        """Flat indices by the kernels for whole numbers; None where they do not apply."""
        if self._is_corrected or not self._settings.fits:
            return None
        # images of floats often hold whole numbers: then they take the exact and fast way, too
        raw = _as_whole_numbers(image[self._roi])
        if raw is None:
            return None
        mask = self._mask
        if valid is not None:
            # a mask of this frame alone, for the shadow of the goniometer: its windows are counted anew
            mask = _make_window_mask(self._valid[self._roi] & np.asarray(valid, bool)[self._roi], self._settings)
        if raw.dtype not in self._limits:
            self._limits[raw.dtype] = _find_limits(raw.dtype, self.trusted_range, self._settings.largest)
        limits = self._limits[raw.dtype]
        return np.zeros(0, np.int64) if limits is None else self._work.find(raw, mask, limits, self._extended)

    def _find_by_table(self, image, valid) -> np.ndarray:
        usable = np.ascontiguousarray(self.usable(image, valid)[self._roi], np.uint8)
        part = np.ascontiguousarray(self.correct_counts(image)[self._roi], np.float64)
        return np.flatnonzero(_threshold_by_table(part, usable, self._settings, self._extended))


@dataclass(frozen=True)
class _Settings:
    """The options, checked, as the kernels take them."""

    half: np.ndarray
    rules: Rules

    @classmethod
    def of(cls, options: DispersionSettings) -> _Settings:
        """Check the options of a dispersion threshold."""
        half = np.array(options.kernel_size, np.int64)
        area = int(np.prod(2 * half + 1))
        min_count = options.min_local if options.min_local > 0 else area
        if half.shape != (2,) or (half < 1).any():
            raise OptionError(f"kernel_size={options.kernel_size}: expected two half widths of at least 1")
        if not 1 < min_count <= area:
            raise OptionError(f"min_local={options.min_local}: expected 0 or less, or 2 to {area} for this kernel_size")
        if options.gain is not None and options.gain <= 0:
            raise OptionError(f"gain={options.gain}: a gain is greater than 0")
        for name in ("sigma_background", "sigma_strong", "global_threshold"):
            if not getattr(options, name) >= 0:
                raise OptionError(f"{name}={getattr(options, name)}: expected 0 or more")
        return cls(half, Rules(float(options.sigma_background), float(options.sigma_strong),
                               float(options.global_threshold), int(min_count), float(options.gain or 1.0),
                               options.gain is not None))

    @cached_property
    def area(self) -> int:
        """Pixels in a window."""
        return int(np.prod(2 * self.half + 1))

    @property
    def fits(self) -> bool:
        """Whether windows are small enough for the kernels for whole numbers, which count in bytes."""
        return self.area < 256

    @cached_property
    def largest(self) -> int:
        """The largest count of which a whole window can be summed in 32 bits."""
        return min(int(BIG) - 1, (2**31 - 1) // self.area)

    @cached_property
    def window(self) -> first.Window:
        """Half widths, and for each number of pixels m: g (m - 1 + σ_b √(2 (m - 1))), infinite below the least m."""
        m = np.arange(256.0)
        factors = self.rules.gain * (m - 1 + self.rules.sigma_background * np.sqrt(2 * np.maximum(m - 1, 0)))
        factors[m < self.rules.min_count] = np.inf
        return first.Window(self.half, factors.astype(np.float32))


def _make_window_mask(valid: np.ndarray, settings: _Settings) -> first.WindowMask:
    """The mask with rows padded to whole lines, the number of valid pixels in each window, and where that changes."""
    height, width = valid.shape
    rows = np.zeros((height, -(-width // PAD) * PAD), np.uint8)
    rows[:, :width] = valid
    counts = np.zeros_like(rows)
    if settings.fits:
        count_windows(rows, settings.half, counts)
    changes = np.ones(height, bool)
    np.any(counts[1:] != counts[:-1], axis=1, out=changes[1:])
    return first.WindowMask(rows, counts, changes)


class _Workspaces(threading.local):
    """Buffers of one thread for the kernels for whole numbers, kept from frame to frame."""

    def __init__(self, shape: tuple[int, int], settings: _Settings):
        self._shape, self._settings = shape, settings
        self._marks: np.ndarray | None = None
        self._square_type: type = np.int32

    def find(self, raw: np.ndarray, mask: first.WindowMask, limits: RawLimits, extended: bool) -> np.ndarray | None:
        """Flat indices of the strong pixels; None for a frame with values that fit no sum of the kernels."""
        half, rules, area = self._settings.half, self._settings.rules, self._settings.area
        # counts of one or two bytes: a ring of half the size stays in the cache
        ring_type = np.uint16 if raw.dtype in (np.uint8, np.uint16) else np.int32
        status = first.BUSY
        while status == first.BUSY:
            work = first.make_window_sums(self._shape[1], half, ring_type, self._square_type)
            largest = self._settings.largest if self._square_type is np.int64 else int(np.sqrt((2**31 - 1) // area))
            square_limit = np.array([-largest, largest], np.int32)
            status, index = first.find_dispersed_pixels(raw, mask, limits, square_limit, self._settings.window, rules,
                                                        not extended, work)
            if status == first.BUSY:  # 64-bit sums from now on: the next frames will be as bright
                self._square_type = np.int64
        if status == first.UNFIT:
            return None
        index = index[:status]
        if extended:
            if self._marks is None:
                self._marks = np.zeros(self._shape, np.uint8)
            frame = second.MarkedFrame(raw, mask.valid, self._marks, limits)
            index = index[:second.select_strong_peaks(frame, half, rules, index)]
        return index


def _as_whole_numbers(image: np.ndarray) -> np.ndarray | None:
    """The image as a contiguous array of an integer type of at most 32 bits; None where that would change it."""
    if image.dtype.kind in "iu" and image.dtype.itemsize <= 4:
        return np.ascontiguousarray(image)
    if image.dtype.kind not in "iuf":
        return None
    # NaN and infinity become some number here, and differ from it below
    with np.errstate(invalid="ignore"):
        whole = image.astype(np.int32)
    return whole if np.array_equal(whole, image) else None


def _find_limits(dtype: np.dtype, trusted_range, largest: int) -> RawLimits | None:
    """Which raw values of a type may be used; None where no value can be trusted."""
    info = np.iinfo(dtype)
    low, high = trusted_range or (info.min, info.max)
    # far beyond all counts, and within what a whole number of 64 bits holds: ranges may be infinite
    low = int(np.clip(np.ceil(np.clip(low, -(2.0**40), 2.0**40)), info.min, 2**40))
    high = int(np.clip(np.floor(np.clip(high, -(2.0**40), 2.0**40)), -(2**40), info.max))
    if low > high or low > info.max or high < info.min:
        return None
    return RawLimits(*np.array([low, max(low, -largest), min(high, largest), high]).astype(dtype))


def _threshold_by_table(image, usable, settings: _Settings, extended: bool) -> np.ndarray:
    """Strong pixels by summed-area tables, uint8 (slow, fast)."""
    half, rules = settings.half, settings.rules
    out = np.empty_like(usable)
    table.mark_dispersed_pixels(image, usable, half, rules, not extended, out)
    if extended:
        peaks = np.empty_like(out)
        table.erode(out, int(half.min()) - 1, peaks)
        table.mark_strong_peaks(image, usable, peaks, half + second.WIDER, rules, out)
    return out


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
