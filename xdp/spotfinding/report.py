"""What a search tells its user: strong pixels per image, spots before and after each filter, spots along the images."""

from __future__ import annotations

import logging
import math

import numpy as np

from xdp.spotfinding.searches import Search
from xdp.spotfinding.task import SpotRules

log = logging.getLogger("xdp.spotfinding")

RULE = "-" * 80


def log_search(search: Search) -> None:
    """Say what is searched."""
    kind = "sweep" if search.id_of is None else "stills"
    log.info("%s\nFinding strong spots in imageset %d (%s)\n%s", RULE, search.number, kind, RULE)
    log.info("\nFinding spots in image %s to %s...", *image_names(search, 0, search.n_frames - 1))


def image_names(search: Search, *positions: int) -> list[str]:
    """Numbers by which a user knows images: of a sweep those of its files, of stills their number in the search."""
    if search.id_of is None:
        return [str(int(search.z_of[p]) + 1) for p in positions]
    return [str(p + 1) for p in positions]


def log_frames(search: Search, first: int, n_strong: np.ndarray, background: np.ndarray) -> None:
    """Say how many strong pixels each frame of a chunk has, and its mean background where it was computed."""
    for i, (n, mean) in enumerate(zip(n_strong.tolist(), background.tolist(), strict=True)):
        name, = image_names(search, first + i)
        if math.isnan(mean):
            log.info("Found %d strong pixels on image %s", n, name)
        else:
            log.info("Found %d strong pixels on image %s with average background %f", n, name, mean)


def log_counts(counts: np.ndarray, rules: SpotRules) -> None:
    """Say how many spots were found and how many the filters left."""
    found, small, large, far, sloping = counts.tolist()
    log.info("\nExtracted %d spots", found)
    log.info("Removed %d spots with size < %d pixels", small, rules.min_size)
    log.info("Removed %d spots with size > %d pixels", large, rules.max_size)
    left = found - small - large
    log.info("Calculated %d spot centroids", left)
    log.info("Calculated %d spot intensities", left)
    if rules.max_separation is not None:
        log_filter(left - far, left, "peak-centroid distance")
    if rules.gradient is not None:
        log_filter(left - far - sloping, left - far, "background gradient")


def log_filter(after: int, before: int, name: str) -> None:
    """Say how many spots a filter left."""
    log.info("Filtered %d of %d spots by %s", after, before, name)


def histogram(z: np.ndarray, first: int, last: int, width: int = 60, height: int = 10) -> str:
    """Spots along the images, as a picture of characters.

    Parameters
    ----------
    z : (n,) float64
        Centroids' frame coordinates.
    first, last : int
        Half-open range of frames.
    width, height : int
        Of the picture, in characters.
    """
    n_images = last - first
    title = f"{len(z)} spots found on {n_images} image{'' if n_images == 1 else 's'}"
    if not len(z) or n_images <= 1:
        return title
    width = min(width, n_images)
    # an image lies in the bin of its middle; images are shared out evenly, so some bins may hold one more
    image = np.clip(np.floor(z).astype(np.int64) - first, 0, n_images - 1)
    counts = np.bincount(image * width // n_images, minlength=width)
    bars = np.rint(counts * (height / counts.max())).astype(int)
    rows = ["".join("*" if bar >= level else " " for bar in bars) for level in range(height, 0, -1)]
    low, high = str(first + 1), str(last)
    gap = width - len(low) - len(high)
    axis = low + ("image" if gap >= 7 else "").center(max(gap, 1)) + high
    return "\n".join([f"{title} (max {counts.max()} / bin)", *rows, axis])
