"""Spots per image: how many, how many of them outside of ice rings, and their summed intensity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment import Experiment
from xdp.experiment.pixels import resolution
from xdp.images.masks.options import IceRings

ICE_WIDTH = 0.004
"""Full width of an ice ring, 1/d² in Å⁻²: that of DIALS' table of images, twice what `ice_rings` masks."""


@dataclass
class SpotStatistics:
    """Statistics of the images of one experiment, or of a run of stills.

    Attributes
    ----------
    names : list of str
        The images' numbers.
    n_spots, n_without_ice : (n_images,) int64
        All spots whose centroid lies on the image, and those outside of the rings of hexagonal ice.
    intensity : (n_images,) float64
        Sum of the intensities of the latter.
    """

    names: list[str]
    n_spots: np.ndarray
    n_without_ice: np.ndarray
    intensity: np.ndarray

    @classmethod
    def empty(cls, names: list[str]) -> SpotStatistics:
        """No spots yet."""
        n = len(names)
        return cls(names, np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n))

    def add(self, image: np.ndarray, has_ice: np.ndarray, intensity: np.ndarray) -> None:
        """Add spots.

        Parameters
        ----------
        image : (n,) int
            Index of the image that each one's centroid lies on.
        has_ice : (n,) bool
            Whether it lies in an ice ring.
        intensity : (n,) float
            Summed counts.
        """
        n = len(self.names)
        self.n_spots += np.bincount(image, minlength=n)
        self.n_without_ice += np.bincount(image[~has_ice], minlength=n)
        self.intensity += np.bincount(image[~has_ice], weights=intensity[~has_ice], minlength=n)

    def format_table(self) -> str:
        """A table for the log."""
        head = ("image", "#spots", "#spots_no_ice", "total_intensity")
        rows = [head, *((name, str(n), str(m), f"{total:.0f}") for name, n, m, total in
                        zip(self.names, self.n_spots.tolist(), self.n_without_ice.tolist(), self.intensity.tolist(),
                            strict=True))]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def compute_spot_resolution(experiment: Experiment, panel: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Compute the resolution of spots.

    Parameters
    ----------
    experiment : Experiment
        With beam and detector.
    panel : (n,) int
    xy : (n, 2) float
        Fast and slow, pixels.

    Returns
    -------
    (n,) float64
        d in Å.
    """
    d = np.zeros(len(panel))
    for p in np.unique(panel).tolist():
        d[panel == p] = resolution(experiment.known.detector, experiment.known.beam, int(p), xy[panel == p])
    return d


def is_near_ice_ring(d: np.ndarray, width: float = ICE_WIDTH) -> np.ndarray:
    """Which spots lie within half of `width` of a powder ring of hexagonal ice.

    Parameters
    ----------
    d : (n,) float64
        Resolution, Å.
    width : float
        Full width of a ring, 1/d² in Å⁻².

    Returns
    -------
    (n,) bool

    Examples
    --------
    >>> is_near_ice_ring(np.array([3.90, 3.2])).tolist()
    [True, False]
    """
    from xdp.images.masks.resolution import compute_ring_positions

    if not len(d):
        return np.zeros(0, bool)
    # in 1/d² a ring of a given angular width is about equally wide at all resolutions
    star = 1.0 / d**2
    rings = compute_ring_positions(IceRings(), 1.0 / np.sqrt(star.max() + 0.5 * width))
    if not len(rings):
        return np.zeros(len(d), bool)
    nearest = np.searchsorted(rings, star)
    below = np.abs(star - rings[np.maximum(nearest - 1, 0)])
    above = np.abs(star - rings[np.minimum(nearest, len(rings) - 1)])
    return np.minimum(below, above) < 0.5 * width
