"""Strong pixels by comparison with the median of the pixels at the same scattering angle.

The comparison is with the whole ring, not with the next pixels. Noise that is stronger than that of counted photons
(integrating detectors), or halos around strong spots (electron diffraction), therefore raise no threshold and make no
spots. The beam centre must be right, and shadows masked: both change what a ring holds.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.beam import Beam
from xdp.experiment.detector import Detector
from xdp.experiment.pixels import mm_to_lab, px_to_mm
from xdp.spotfinding.threshold.dispersion import PanelThreshold

BLURS = {
    "narrow": np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0]) / 16,
    "wide": np.array([[1.0, 4, 7, 4, 1], [4, 16, 26, 16, 4], [7, 26, 41, 26, 7], [4, 16, 26, 16, 4],
                      [1, 4, 7, 4, 1]]) / 273,
}
"""Small kernels near a Gaussian; their sum is one. They are those that DIALS uses under these names."""

_ROWS = 256
"""Rows of a panel whose angles are computed at a time, so that the points of a large detector fit into memory."""


class RadialSettings(Protocol):
    """What the threshold reads from its options."""

    n_iqr: int
    blur: str | None
    n_bins: int


class RadialThresholder(PanelThreshold):
    """Finds the pixels that exceed the median of their ring of scattering angle by ``n_iqr`` interquartile ranges.

    Steps: the image is smoothed (if asked for); pixels are binned by scattering angle; each bin gets the median and
    interquartile range of its valid pixels; a pixel is strong above ``median + n_iqr iqr``, the second term being at
    least two photons where it would not exceed one.

    Parameters
    ----------
    shape, valid, **panel : as for `PanelThreshold`
    options : `RadialSettings`
    two_theta : (slow, fast) float64, scattering angle of each pixel in radians, `compute_two_theta_map`
    panel_gain : counts a photon

    References
    ----------
    Barty, A. et al. (2014), J. Appl. Cryst. 47, 1118-1131 (10.1107/S1600576714007626), for the idea.
    """

    def __init__(self, shape, valid=None, *, options: RadialSettings, two_theta: np.ndarray, panel_gain: float = 1.0,
                 **panel):
        super().__init__(shape, valid, **panel)
        if two_theta.shape != self.shape:
            raise OptionError(f"scattering angles of shape {two_theta.shape} for a panel of shape {self.shape}")
        self._options = options
        self._photon = 1.0 / panel_gain
        self._bins = _bins(two_theta[self._roi], options.n_bins)

    def _strong(self, image, valid) -> np.ndarray:
        usable = self.usable(image, valid)[self._roi]
        part = np.asarray(self.correct_counts(image)[self._roi], np.float64)
        if self._options.blur is not None:
            part = blur_image(part, BLURS[self._options.blur])
        median, spread = compute_ring_statistics(part[usable], self._bins[usable], self._options.n_bins)
        excess = self._options.n_iqr * spread
        # flat rings of few counts have a range of 0 or 1, which would make every second photon strong
        excess[excess <= self._photon] = 2.0 * self._photon
        return np.flatnonzero((part > (median + excess)[self._bins]) & usable)


def compute_two_theta_map(detector: Detector, beam: Beam, i: int) -> np.ndarray:
    """Compute the scattering angle of each pixel of a panel.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    i : int
        The panel.

    Returns
    -------
    (slow, fast) float64
        2θ at the lower corner of each pixel, radians.
    """
    panel = detector[i]
    fast, slow = panel.image_size
    angles = np.empty(panel.shape)
    for top in range(0, slow, _ROWS):
        rows = np.arange(top, min(top + _ROWS, slow), dtype=np.float64)
        xy = np.stack(np.meshgrid(np.arange(fast, dtype=np.float64), rows), axis=-1)
        lab = mm_to_lab(detector, i, px_to_mm(panel, xy.reshape(-1, 2)))
        cosine = lab @ beam.s0 / (np.sqrt((lab**2).sum(axis=1)) * np.sqrt((beam.s0**2).sum()))
        angles[top:top + len(rows)] = np.arccos(np.clip(cosine, -1, 1)).reshape(-1, fast)
    return angles


def compute_ring_statistics(values: np.ndarray, bins: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute the median and the interquartile range of the values in each ring.

    Parameters
    ----------
    values : (n,) float64
        Counts.
    bins : (n,) int
        Ring of each value.
    n_bins : int
        Number of rings.

    Returns
    -------
    median, spread : (n_bins,) float64
        0 for rings without values. Quartiles are interpolated linearly.

    Examples
    --------
    >>> median, spread = compute_ring_statistics(np.array([1.0, 2.0, 3.0]), np.array([0, 0, 0]), 2)
    >>> median.tolist(), spread.tolist()
    ([2.0, 0.0], [1.0, 0.0])
    """
    # sorted by value, then by ring, stably: each ring is then one sorted stretch
    order = np.argsort(values, kind="stable")
    order = order[np.argsort(bins[order], kind="stable")]
    values = values[order]
    sizes = np.bincount(bins, minlength=n_bins)
    median, spread = np.zeros(n_bins), np.zeros(n_bins)
    for k, (end, n) in enumerate(zip(np.cumsum(sizes), sizes, strict=True)):
        ring = values[end - n:end]
        if n:
            median[k] = ring[n // 2] if n % 2 else (ring[n // 2] + ring[n // 2 - 1]) / 2
        if n > 1:
            spread[k] = _quantile(ring, 0.75) - _quantile(ring, 0.25)
    return median, spread


def blur_image(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve an image with a small symmetric kernel; its edge pixels are repeated outwards.

    Parameters
    ----------
    image : (slow, fast) float64
    kernel : (k, k) float64
        k is odd; the sum should be one.

    Returns
    -------
    (slow, fast) float64
    """
    height, width = image.shape
    reach = kernel.shape[0] // 2
    wide = np.pad(image, reach, mode="edge")
    out = np.zeros_like(image)
    for (dy, dx), weight in np.ndenumerate(kernel):
        out += wide[dy:dy + height, dx:dx + width] * weight
    return out


def _bins(two_theta: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin of each pixel, equal steps from the smallest to the largest angle."""
    above = two_theta - two_theta.min()
    # the largest angle falls into the last bin, not beyond
    return np.floor(above * (n_bins / (above + 1e-10).max())).astype(np.intp)


def _quantile(ordered: np.ndarray, fraction: float) -> float:
    """Quantile of sorted values by linear interpolation, in DIALS' order of operations."""
    at = (len(ordered) - 1) * fraction
    low, high = int(np.floor(at)), int(np.ceil(at))
    weight = at - low
    return (1.0 - weight) * ordered[low] + weight * ordered[high]
