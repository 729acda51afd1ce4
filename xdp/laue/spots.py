"""Intensities of labelled spots, and the table of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.laue._kernels_masks import integrate_labels
from xdp.laue.masks import Labels

#: Columns of the table: type and shape of one row.
COLUMNS = {
    "I": (np.float64, ()),
    "XY": (np.int32, (2,)),
    "box": (np.int32, (4,)),
    "frame": (np.int32, ()),
    "label": (np.int32, ()),
    "mask": (np.int32, ()),
    "pixel_list_BE": (np.int64, (2,)),
    "I_corrected": (np.float64, ()),
    "sigma_I": (np.float64, ()),
    "background_variance": (np.float64, ()),
    "n_pixels": (np.int32, ()),
}


@dataclass(frozen=True)
class Maps:
    """What integration needs of the background, flat over the pixels.

    Attributes
    ----------
    avg, avg_corrected : ndarray of float64
        The background to subtract.
    variance : ndarray of float64
        The background's variance in one frame.
    mean_variance : ndarray of float64
        The variance of `avg` itself.
    gain : float
        Counts per photon.
    """

    avg: np.ndarray
    avg_corrected: np.ndarray
    variance: np.ndarray
    mean_variance: np.ndarray
    gain: float


def make_background_maps(stats: dict[str, np.ndarray], gain: float) -> Maps:
    """Make the maps that integration needs.

    Parameters
    ----------
    stats : dict of ndarray
        The background of each pixel, as `xdp.laue.background.compute_background` gives it.
    gain : float
        Counts per photon.

    Returns
    -------
    Maps
    """
    variance = stats["std_corrected"].ravel() ** 2
    return Maps(stats["avg"].ravel(), stats["avg_corrected"].ravel(), variance,
                variance / stats["n_used"].ravel(), gain)


def estimate_background_gain(stats: dict[str, np.ndarray], pedestal: float) -> float:
    """Counts per photon: the median of variance / (mean - pedestal) over the pixels that have a background.

    True where the background's noise is that of counting photons and neighbouring pixels do not share them (a point
    spread wider than a pixel makes it too small). 1 where no pixel has a varying background.
    """
    mean = stats["avg_corrected"] - pedestal
    # gaps and dead pixels have no noise
    use = (mean > 0) & (stats["std_corrected"] > 0)
    if not use.any():
        return 1.0
    return float(np.median(stats["std_corrected"][use] ** 2 / mean[use]))


def integrate_spots(image: np.ndarray, labels: Labels, maps: Maps) -> dict[str, np.ndarray]:
    """Integrate the labelled spots of one frame.

    ``I`` is the sum of v - avg over a spot's pixels, ``I_corrected`` that of v - avg_corrected. The variance is that
    of the background under the spot, of the photons of the spot itself (gain times intensity), and of the background's
    mean: ``sigma_I^2 = sum s^2 + gain max(I_corrected, 0) + sum s^2 / n_used``; the last part is
    ``background_variance``, common to all frames.

    Parameters
    ----------
    image : ndarray, shape (rows, columns)
        Counts.
    labels : Labels
        The spots of its mask.
    maps : Maps
        The background.

    Returns
    -------
    dict of ndarray
        The columns of `COLUMNS` that belong to one frame, a row a label; ``XY`` is row and column of the brightest
        pixel.
    """
    n = labels.n_labels
    sums, peak = np.zeros((n, 4)), np.zeros(n, np.int64)
    integrate_labels(np.ascontiguousarray(image).ravel(), labels.begin, labels.pixels, maps.avg, maps.avg_corrected,
                     maps.variance, maps.mean_variance, sums, peak)
    # background noise of each pixel + counting noise of the spot + error of the background's mean
    variance = sums[:, 2] + maps.gain * np.maximum(sums[:, 1], 0) + sums[:, 3]
    return {
        "I": sums[:, 0],
        "I_corrected": sums[:, 1],
        "sigma_I": np.sqrt(variance),
        "background_variance": sums[:, 3],
        "XY": np.stack([peak // image.shape[1], peak % image.shape[1]], axis=1).astype(np.int32),
        "box": labels.box,
        "label": np.arange(1, n + 1, dtype=np.int32),
        "n_pixels": np.diff(labels.begin).astype(np.int32),
    }


def join_spot_tables(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Join the tables of frames.

    Parameters
    ----------
    parts : list of dict
        Columns as in `COLUMNS`.

    Returns
    -------
    dict of ndarray
        Sorted by frame, then label; empty columns where there are no spots.
    """
    table = {}
    for name, (kind, shape) in COLUMNS.items():
        table[name] = np.concatenate([np.empty((0, *shape), kind), *(part[name] for part in parts)]).astype(kind)
    order = np.lexsort((table["label"], table["frame"]))
    return {name: column[order] for name, column in table.items()}


def locate_frame_spots(frame: np.ndarray, n_frames: int) -> np.ndarray:
    """Find each frame's rows in a table sorted by frame: ``frame2spotsBE``.

    Parameters
    ----------
    frame : (n_spots,) int
    n_frames : int

    Returns
    -------
    (n_frames, 2) int64
        Begin and end.

    Examples
    --------
    >>> locate_frame_spots(np.array([0, 0, 2]), 3).tolist()
    [[0, 2], [2, 2], [2, 3]]
    """
    limits = np.searchsorted(frame, np.arange(n_frames + 1))
    return np.stack([limits[:-1], limits[1:]], axis=1).astype(np.int64)
