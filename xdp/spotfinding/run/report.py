"""What a search tells its user: strong pixels per image, spots before and after each filter, spots along the images."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from xdp.report.tables import Table
from xdp.spotfinding.noise import BackgroundNoise, judge_noise
from xdp.spotfinding.options import ThresholdOptions
from xdp.spotfinding.run.chunk import SpotRules
from xdp.spotfinding.run.seams import View
from xdp.spotfinding.run.searches import Search

log = logging.getLogger("xdp.spotfinding")

RULE = "-" * 80
"""A line across the log, of the 80 characters that DIALS' own have."""


def log_search(search: Search) -> None:
    """Say what is searched."""
    kind = "sweep" if search.id_of is None else "stills"
    log.info("%s\nImage set %d (%s)\n%s", RULE, search.number, kind, RULE)
    log.info("\nImages %s to %s are searched for spots", *number_images(search, 0, search.n_frames - 1))


def number_images(search: Search, *positions: int) -> list[str]:
    """Numbers by which a user knows images.

    Parameters
    ----------
    search : Search
    *positions : int
        In the search, from 0.

    Returns
    -------
    list of str
        Of a sweep the numbers of its files; of stills their number in the search, from 1.
    """
    if search.id_of is None:
        return [str(int(search.z_of[p]) + 1) for p in positions]
    return [str(p + 1) for p in positions]


def log_frames(search: Search, first: int, n_strong: np.ndarray, background: np.ndarray) -> None:
    """Say how many strong pixels each frame of a chunk has, and its mean background where it was computed.

    Parameters
    ----------
    search : Search
        It knows the frames' names.
    first : int
        Position of the chunk's first frame in the search.
    n_strong : (n_frames,) int
        Strong pixels of each frame.
    background : (n_frames,) float
        Mean counts outside of them; NaN where it was not computed.
    """
    # users look for these lines with grep: their words stay
    for i, (n, mean) in enumerate(zip(n_strong.tolist(), background.tolist(), strict=True)):
        name, = number_images(search, first + i)
        if math.isnan(mean):
            log.info("Found %d strong pixels on image %s", n, name)
        else:
            log.info("Found %d strong pixels on image %s with average background %f", n, name, mean)


def log_counts(counts: np.ndarray, rules: SpotRules) -> None:
    """Say how many spots were found and how many the filters left.

    Parameters
    ----------
    counts : (5,) int
        See :data:`xdp.spotfinding.run.chunk.COUNTS`.
    rules : SpotRules
        Filters that were not asked for are not named.
    """
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


def log_noise(search: Search, noise: Sequence[BackgroundNoise], threshold: ThresholdOptions) -> None:
    """Say in one line where the background is not as the threshold takes it to be.

    Parameters
    ----------
    search : Search
    noise : sequence of BackgroundNoise
        Of the frames that were sampled.
    threshold : ThresholdOptions
        Its gain is what the noise is compared with; the radial profile does not use it.
    """
    finding = judge_noise(noise, threshold.dispersion.gain, uses_gain=threshold.algorithm != "radial_profile")
    if finding is not None:
        level = logging.WARNING if finding.is_serious else logging.INFO
        log.log(level, "Image set %d: %s", search.number, finding.text)


def _find_images(search: Search, view: View) -> np.ndarray:
    """Index of the image, from the search's first, that each spot's centroid lies on."""
    if search.id_of is not None:
        return view.column("first")[:, 0]
    z = np.floor(view.column("xyzobs.px.value")[:, 2]).astype(np.int64)
    # a centroid may round out of the scan by its last bit
    return np.clip(z - int(search.z_of[0]), 0, search.n_frames - 1)


def count_by_image(search: Search, views: Sequence[View]) -> np.ndarray:
    """Count the spots whose centroid lies on each frame of a search.

    Parameters
    ----------
    search : Search
    views : sequence of View

    Returns
    -------
    (n_frames,) int64
    """
    counts = np.zeros(search.n_frames, np.int64)
    for view in views:
        counts += np.bincount(_find_images(search, view), minlength=search.n_frames)
    return counts


def log_histogram(search: Search, views: Sequence[View]) -> None:
    """Show how many spots there are along the images of a search."""
    first, last = number_images(search, 0, search.n_frames - 1)
    picture = draw_histogram(count_by_image(search, views), first, last)
    log.info("\nHistogram of per-image spot count for imageset %d:\n%s", search.number, picture)


def log_statistics(search: Search, views: Sequence[View]) -> None:
    """Show a table of the images' statistics."""
    from xdp.spotfinding.run.statistics import SpotStatistics, compute_spot_resolution, is_near_ice_ring

    statistics = SpotStatistics.empty(number_images(search, *range(search.n_frames)))
    for view in views:
        xy = view.column("xyzobs.px.value")[:, :2]
        has_ice = is_near_ice_ring(compute_spot_resolution(search.model, view.column("panel"), xy))
        statistics.add(_find_images(search, view), has_ice, view.column("intensity.sum.value"))
    log.info("\nNumber of centroids per image for imageset %d:\n%s", search.number, statistics.format_table())


def make_image_table(searches: Sequence[Search], n_spots: Sequence[np.ndarray],
                     n_strong: Sequence[np.ndarray]) -> Table:
    """Make the table of spots and strong pixels, a row an image.

    Parameters
    ----------
    searches : sequence of Search
    n_spots, n_strong : sequence of (n_frames,) int
        Spots and strong pixels on each frame, an array a search.

    Returns
    -------
    Table
    """
    rows = [(name, str(n), str(k)) for search, spots, strong in zip(searches, n_spots, n_strong, strict=True)
            for name, n, k in zip(number_images(search, *range(search.n_frames)), spots.tolist(), strong.tolist(),
                                  strict=True)]
    heads = {"image": "image", "spots": "spots", "strong": "strong pixels"}
    return Table("spots_by_image", "Spots and strong pixels on each image", heads, tuple(rows))


def draw_histogram(counts: np.ndarray, first: str, last: str, width: int = 60, height: int = 10) -> str:
    """Draw spots along the images as a picture of characters.

    Parameters
    ----------
    counts : (n_images,) int
        Spots whose centroid lies on each image.
    first, last : str
        Names of the first and the last image.
    width, height : int
        Largest size of the picture, in characters.

    Returns
    -------
    str
        Only the title where there are no spots, or one image.

    Examples
    --------
    >>> print(draw_histogram(np.array([1, 2, 4]), "7", "9", height=2))
    7 spots found on 3 images (max 4 / bin)
      *
     **
    7 9
    """
    n_images, total = len(counts), int(counts.sum())
    title = f"{total} spots found on {n_images} image{'' if n_images == 1 else 's'}"
    if not total or n_images <= 1:
        return title
    width = min(width, n_images)
    # images are shared out evenly: with more images than columns some columns hold one image more
    bins = np.bincount(np.arange(n_images) * width // n_images, weights=counts, minlength=width)
    # heights relative to the fullest column; its number stands in the title
    bars = np.rint(bins * (height / bins.max())).astype(int)
    rows = ["".join("*" if bar >= level else " " for bar in bars).rstrip() for level in range(height, 0, -1)]
    gap = width - len(first) - len(last)
    axis = first + ("image" if gap >= 7 else "").center(max(gap, 1)) + last
    return "\n".join([f"{title} (max {int(bins.max())} / bin)", *rows, axis])
