"""Values counted and averaged in bins, for plots."""

from __future__ import annotations

import numpy as np

from xdp.plot.data import MAX_POINTS, Grid, Series

#: Bins of a histogram, and cells along the longer edge of a grid: what the eye tells apart at the width of a page.
N_BINS, N_CELLS = 60, 64
#: Most points of a line over frames: a screen has about as many columns. Longer series are averaged.
MAX_FRAMES = 1000


def count_histogram(values: np.ndarray, name: str, limits: tuple[float, float] | None = None, n_bins: int = N_BINS
                    ) -> Series:
    """Count values in bins of equal width.

    Parameters
    ----------
    values : (n,) float64
        Those that are no finite numbers are left out.
    name : str
        Of the series.
    limits : (float, float), optional
        Outer borders; values beyond are left out. None: the 0.5th and the 99.5th percentile, so that a single wild
        value
        does not squeeze all others into one bin.
    n_bins : int

    Returns
    -------
    Series
        Of bars; x is the middle of each bin.
    """
    finite = values[np.isfinite(values)]
    if limits is None:
        limits = (0.0, 1.0) if not len(finite) else tuple(np.percentile(finite, [0.5, 99.5]))  # type: ignore[assignment]
    low, high = limits
    high = high if high > low else low + 1.0
    counts, edges = np.histogram(finite, n_bins, (low, high))
    return Series(name, (edges[1:] + edges[:-1]) / 2, counts.astype(np.float64), "bars")


def make_scatter(x: np.ndarray, y: np.ndarray, name: str) -> tuple[tuple[Series, ...], Grid | None]:
    """Make points, or a grid of counts where they are more than :data:`MAX_POINTS`.

    Parameters
    ----------
    x, y : (n,) float64
    name : str
        Of the points.

    Returns
    -------
    series : tuple of Series
    grid : Grid or None
        In place of points; its range leaves out the outer half per cent.
    """
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if len(x) <= MAX_POINTS:
        return (Series(name, x, y, "points"),), None
    ranges = [_find_range(values) for values in (x, y)]
    counts = np.histogram2d(y, x, N_CELLS, (ranges[1], ranges[0]))[0]
    return (), Grid("number", ranges[0], ranges[1], np.where(counts > 0, counts, np.nan))


def _find_range(values: np.ndarray) -> tuple[float, float]:
    """The range of all but the outer half per cent."""
    low, high = np.percentile(values, [0.5, 99.5])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def average_grid(x: np.ndarray, y: np.ndarray, values: np.ndarray | None, x_range: tuple[float, float],
                 y_range: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Count points, or average their values, on a grid.

    Parameters
    ----------
    x, y : (n,) float64
    values : (n,) float64 or None
        None: the points are counted.
    x_range, y_range : (float, float)
        Outer borders.
    shape : (n_y, n_x)

    Returns
    -------
    (n_y, n_x) float64
        NaN where there is no point.
    """
    ranges = (y_range, x_range)
    if values is not None:
        good = np.isfinite(values)
        x, y, values = x[good], y[good], values[good]
    counts = np.histogram2d(y, x, shape, ranges)[0]
    sums = counts if values is None else np.histogram2d(y, x, shape, ranges, weights=values)[0]
    with np.errstate(all="ignore"):
        return np.where(counts > 0, sums if values is None else sums / counts, np.nan)


def average_bins(index: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Average values by the number of their bin.

    Parameters
    ----------
    index : (n_values,) int
        Values of bins outside 0 to n - 1 are left out.
    values : (n_values,) float64
    n : int
        Number of bins.

    Returns
    -------
    (n,) float64
        NaN for empty bins.
    """
    good = (index >= 0) & (index < n) & np.isfinite(values)
    counts = np.bincount(index[good], minlength=n)
    with np.errstate(all="ignore"):
        return np.where(counts > 0, np.bincount(index[good], values[good], n) / counts, np.nan)


def choose_frame_bins(first: int, last: int) -> tuple[int, np.ndarray]:
    """Choose how many frames make a point, and where the points are.

    Parameters
    ----------
    first, last : int
        First frame, and the one after the last.

    Returns
    -------
    width : int
        1 up to :data:`MAX_FRAMES` frames.
    middles : (n,) float64
        Of each bin, in frames; the middle of the first frame is ``first + 0.5``.
    """
    n_frames = max(1, last - first)
    width = -(-n_frames // MAX_FRAMES)
    starts = first + width * np.arange(-(-n_frames // width))
    return width, (starts + np.minimum(starts + width, max(last, first + 1))) / 2.0
