r"""Spots as Spotfinder counts them: pixels against a plane of background, peaks, and spots grown about peaks.

1. The image, or each of its tiles, is divided into boxes. In three passes a plane is fitted to the background of each
   box, and each pixel gets its distance from the plane in standard deviations, its score. Pixels with a high score in
   one pass are no background in the next.
2. Rings about the beam in which scores are high throughout are ice.
3. A peak is a pixel that is not below its neighbours, has a score above ``minimum_spot_height`` and enough neighbours
   that have, too. Connected pixels above that score make its spot.
4. Spots are dropped that touch ice, are too small, too large, or too stringy.

The height of a spot is the value of its highest peak in the image, *not* above the background.

References
----------
.. [1] Zhang, Z., Sauter, N. K., van den Bedem, H., Snell, G. & Deacon, A. M. (2006). *J. Appl. Cryst.* **39**,
   112-119. Automated diffraction image analysis and spot searching for high-throughput crystal screening.
   doi:10.1107/S0021889805040677
.. [2] Sauter, N. K. (2010). *Computational Crystallography Newsletter* **1**, 18-23.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from xdp.serial.hits._kernels_distl import Levels, clear_boxes, score_pixels
from xdp.serial.hits._kernels_grow import GrownSpots, SpotMarks, grow_spots, list_peaks
from xdp.serial.hits.distl_options import DistlOptions
from xdp.serial.hits.ice_rings import FlatGeometry, find_icy_rings, number_rings
from xdp.serial.hits.tiles import count_modules, make_boxes
from xdp.serial.hits.underload import find_underload, is_round

SIGNAL_HEIGHT, SPOT_HEIGHT, SPOT_AREA = 1.5, 3.5, 10
"""Spotfinder's own values where a parameter is None."""
LEAST_AREA = 4
"""Spots below this area are dropped before the percentiles of peaks are formed, where no area is given."""
AREA_FACTOR, PEAK_FACTOR = 5.0, 10.0
"""Spotfinder's own values of ``spot_area_maximum_factor`` and ``peak_intensity_maximum_factor``."""
PAIRS_WANTED = (0, -1, 0, 2, 4, 5, 7, 9, 12)
"""A spot of so many pixels (the index) is compact if it has more pairs of neighbours than this."""
PAIRS_PER_PIXEL = 2.0
"""A spot of 9 pixels and more is compact if it has more pairs of neighbours per pixel."""


class DistlSpots(NamedTuple):
    """Spots of one image, in the order of their peaks' rows and columns.

    Attributes
    ----------
    slow, fast : (n,) int64
        Peak pixel.
    height : (n,) int64
        Value of the peak pixel.
    area : (n,) int64
        Pixels.
    score : (n,) float32
        Of the peak: standard deviations above the background.
    resolution : (n,) float64
        Of the peak, Å.
    """

    slow: np.ndarray
    fast: np.ndarray
    height: np.ndarray
    area: np.ndarray
    score: np.ndarray
    resolution: np.ndarray


class DistlWork:
    """Arrays of one shape that are used again for each image; new ones of some megabytes would take longer to get.

    No two threads may use the same.

    Parameters
    ----------
    shape : (int, int)
        Of the images, (slow, fast).

    Attributes
    ----------
    image : (slow, fast) int32
        For an image that is put together of panels; 0 at first.
    scores : (slow, fast) float32
    marks : SpotMarks
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.image = np.zeros(shape, np.int32)
        self.scores = np.zeros(shape, np.float32)
        self.marks = SpotMarks(np.zeros(shape, np.int32), np.zeros(shape, np.uint8))
        self._boxes = np.zeros((0, 4), np.int64)

    def clear_scores(self, boxes: np.ndarray) -> np.ndarray:
        """Give the scores, all 0; `boxes` (n, 4) are those that will be scored now."""
        clear_boxes(self.scores, self._boxes)
        self._boxes = boxes
        return self.scores


def find_distl_spots(image: np.ndarray, geometry: FlatGeometry, options: DistlOptions | None = None, *,
                     tiles: Sequence[Sequence[int]] | None = None, work: DistlWork | None = None) -> DistlSpots:
    """Find the spots of one image by the Spotfinder recipe.

    Parameters
    ----------
    image : (slow, fast) array
        Corrected counts; not whole ones are rounded to the nearest.
    geometry : FlatGeometry
    options : DistlOptions, optional
        By default Spotfinder's own settings; ``CXI_SETTINGS`` are those of cctbx.xfel's hit finder.
    tiles : sequence of (slow0, fast0, slow1, fast1), optional
        Active areas, ends excluded: only these are searched, and pixels <= 0 are then no background. Without them the
        modules of a Pilatus or an Eiger are known by the image's shape (pixels <= -1 are no background); in any other
        image the value below which pixels are no background is found from the image.
    work : DistlWork, optional
        Of the image's shape: saves the time to allocate large arrays.

    Returns
    -------
    DistlSpots

    Examples
    --------
    >>> image = np.random.default_rng(1).poisson(20.0, (120, 120))
    >>> image[60:63, 70:73] += 60
    >>> geometry = FlatGeometry(0.1, 100.0, 1.0, (6.0, 6.0))
    >>> spots = find_distl_spots(image, geometry, DistlOptions(minimum_spot_area=4, peripheral_margin=1))
    >>> [bool(60 <= s <= 62 and 70 <= f <= 72) for s, f in zip(spots.slow, spots.fast)]
    [True]
    """
    options = options or DistlOptions()
    image = as_int_image(image)
    work = work or DistlWork(image.shape)
    levels = _make_levels(image, geometry, options, tiles)
    passes = _plan_passes(image, geometry, options, tiles)
    boxes = np.concatenate(passes)
    scores = work.clear_scores(boxes)
    # of an image whose background cannot be found pixels are scored as far as it goes, as Spotfinder does
    score_pixels(image, boxes, np.array([len(part) for part in passes]),
                 np.full(len(passes), float(_signal_height(options))), levels, scores)
    rings = number_rings(image.shape, geometry.beam_pixel)
    area = _bound_boxes(boxes, levels)
    icy = find_icy_rings(scores, rings, geometry, levels, area)
    # overloaded pixels begin spots wherever they are, if they are used; all other peaks lie in boxes
    inner = levels if options.report_overloads else levels._replace(
        first=np.maximum(area[:2] - 1, levels.first), last=np.minimum(area[2:], levels.last))
    peaks = list_peaks(image, scores, inner)
    grown = grow_spots(image, scores, peaks, rings, icy, levels, work.marks)
    return _describe(image, scores, geometry, reject_spots(grown, scores, options))


def as_int_image(image: np.ndarray) -> np.ndarray:
    """The image as whole counts: others are rounded to the nearest, and what 32 bits do not hold is cut off."""
    image = np.asarray(image)
    if image.dtype == np.int32:
        return np.ascontiguousarray(image)
    limits = np.iinfo(np.int32)
    if image.dtype.kind == "f":
        # a missing value is no count at all: below every trusted range
        image = np.rint(np.nan_to_num(image, nan=limits.min, posinf=limits.max, neginf=limits.min))
    return np.clip(image, limits.min, limits.max).astype(np.int32) if image.itemsize > 2 else image.astype(np.int32)


def _make_levels(image: np.ndarray, geometry: FlatGeometry, options: DistlOptions,
                 tiles: Sequence[Sequence[int]] | None) -> Levels:
    """The levels of this image."""
    area = LEAST_AREA if options.minimum_spot_area is None else options.minimum_spot_area
    height = max(options.minimum_spot_height if options.minimum_spot_height is not None else SPOT_HEIGHT,
                 _signal_height(options))
    margin, limits = options.peripheral_margin, np.iinfo(np.int32)
    if tiles is not None:
        underload = 0
    else:
        underload = -1 if count_modules(image.shape) is not None else find_underload(image)
    overload = int(min(geometry.saturation, limits.max))
    return Levels(underload, overload, options.report_overloads, float(height), min(4, area - 1),
                  np.array([margin, margin]), np.array(image.shape) - 1 - margin)


def _signal_height(options: DistlOptions) -> float:
    """Scores below it are background."""
    return SIGNAL_HEIGHT if options.minimum_signal_height is None else options.minimum_signal_height


def _plan_passes(image: np.ndarray, geometry: FlatGeometry, options: DistlOptions,
                 tiles: Sequence[Sequence[int]] | None) -> list[np.ndarray]:
    """The boxes of each pass."""
    margin = options.peripheral_margin
    fixed = None if tiles is None else tuple(tuple(tile) for tile in tiles)
    passes = [_make_boxes_once(image.shape, size, margin, fixed) for size in options.scanbox_windows]
    if options.res.outer is not None:
        passes = [_drop_fine_boxes(boxes, geometry, options.res.outer) for boxes in passes]
    if tiles is None and is_round(image):
        passes = [_drop_corner_boxes(boxes, image.shape) for boxes in passes]
    return passes


@lru_cache(maxsize=16)
def _make_boxes_once(shape: tuple[int, int], size: int, margin: int,
                     tiles: tuple[tuple[int, ...], ...] | None) -> np.ndarray:
    """The boxes of a pass, kept for the next image."""
    return make_boxes(shape, size, margin, tiles)


def _bound_boxes(boxes: np.ndarray, levels: Levels) -> np.ndarray:
    """slow0, fast0, slow1, fast1 of the part of the searched range that holds all boxes, ends excluded."""
    if not len(boxes):
        return np.zeros(4, np.int64)
    return np.concatenate([np.maximum(boxes[:, :2].min(0), levels.first),
                           np.minimum(boxes[:, 2:].max(0), levels.last + 1)])


def _box_corners(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the four corner pixels of each box, both (n, 4)."""
    slow0, fast0, slow1, fast1 = (boxes - [0, 0, 1, 1]).T
    return np.stack([slow0, slow0, slow1, slow1], 1), np.stack([fast0, fast1, fast0, fast1], 1)


def _drop_fine_boxes(boxes: np.ndarray, geometry: FlatGeometry, outer: float) -> np.ndarray:
    """The boxes of which a corner is coarser than `outer`."""
    slow, fast = _box_corners(boxes)
    beam = geometry.beam_pixel
    return boxes[(geometry.resolution((slow - beam[0]) ** 2 + (fast - beam[1]) ** 2) > outer).any(1)]


def _drop_corner_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The boxes that lie wholly inside a round image."""
    slow, fast = _box_corners(boxes)
    radius = shape[0] // 2
    return boxes[((slow - radius) ** 2 + (fast - radius) ** 2 <= radius * radius).all(1)]


def reject_spots(grown: GrownSpots, scores: np.ndarray, options: DistlOptions) -> GrownSpots:
    """Drop the spots that touch ice, are too small or large, too strong, or not compact.

    Parameters
    ----------
    grown : GrownSpots
    scores : (slow, fast) float32
    options : DistlOptions

    Returns
    -------
    GrownSpots
    """
    least = LEAST_AREA if options.minimum_spot_area is None else options.minimum_spot_area
    grown = _take(grown, ~grown.on_ice)
    grown = _take(grown, (grown.area >= least) & (grown.peak >= 0))
    if grown.peak.size:
        score = scores.reshape(-1)[grown.peak].astype(float)
        low, middle, high = np.sort(score)[[int((score.size - 1) * share) for share in (0.05, 0.50, 0.95)]]
        area_factor = AREA_FACTOR if options.spot_area_maximum_factor is None else options.spot_area_maximum_factor
        factor = PEAK_FACTOR if options.peak_intensity_maximum_factor is None else (
            options.peak_intensity_maximum_factor)
        grown = _take(grown, (score <= middle + factor * (high - low))
                      & (grown.area <= int(least * max(area_factor, 1.0))))
    # strictly more, as in Spotfinder
    grown = _take(grown, grown.area > (SPOT_AREA if options.minimum_spot_area is None else least))
    return _take(grown, is_compact(grown.area, grown.pairs)) if options.compactness_filter else grown


def is_compact(area: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Which spots have enough pairs of neighbouring pixels for their area.

    Parameters
    ----------
    area, pairs : (n,) int64

    Returns
    -------
    (n,) bool

    Examples
    --------
    >>> is_compact(np.array([4, 4, 9, 9]), np.array([4, 6, 18, 20])).tolist()
    [False, True, False, True]
    """
    wanted = np.array(PAIRS_WANTED)[np.minimum(area, 8)]
    return np.where(area >= 9, pairs > PAIRS_PER_PIXEL * area, pairs > wanted)


def _take(grown: GrownSpots, mask: np.ndarray) -> GrownSpots:
    """Some of the spots."""
    return GrownSpots(*(column[mask] for column in grown))


def _describe(image: np.ndarray, scores: np.ndarray, geometry: FlatGeometry, grown: GrownSpots) -> DistlSpots:
    """The spots with what is known of their peaks."""
    order = np.argsort(grown.peak)
    peak = grown.peak[order]
    slow, fast = np.divmod(peak, image.shape[1])
    beam = geometry.beam_pixel
    return DistlSpots(slow, fast, image.reshape(-1)[peak].astype(np.int64), grown.area[order],
                      scores.reshape(-1)[peak], geometry.resolution((slow - beam[0]) ** 2 + (fast - beam[1]) ** 2))


def count_high_spots(spots: DistlSpots, threshold: float, *, restrictive: bool = False, p90: float = 0.0) -> int:
    """How many spots are higher than a threshold, as cctbx.xfel's hit finder counts them.

    Parameters
    ----------
    spots : DistlSpots
    threshold : float
        A spot counts if its height is greater.
    restrictive : bool, default False
        Whether the height must also be about 2.5 times `p90`: 0.4 height / p90 > 255/256. Where p90 is not positive,
        a positive height is enough.
    p90 : float, default 0
        As :func:`compute_p90` gives it.

    Returns
    -------
    int

    Examples
    --------
    >>> spots = DistlSpots(*np.array([[1, 2], [1, 2], [450, 500], [9, 9], [20, 22], [4, 3]]))
    >>> count_high_spots(spots, 450), count_high_spots(spots, 450, restrictive=True, p90=220.0)
    (1, 0)
    """
    is_high = spots.height > threshold
    if restrictive:
        is_high &= (spots.height * (0.4 / p90) if p90 > 0 else spots.height.astype(float)) > (
            255 / 256 if p90 > 0 else 0.0)
    return int(is_high.sum())


def compute_p90(image: np.ndarray, tiles: Sequence[Sequence[int]] | None = None) -> int:
    """Element int(0.9 n) of the sorted pixels of the tiles, or of the whole image: the brightness of the background.

    Parameters
    ----------
    image : (slow, fast) array
    tiles : sequence of (slow0, fast0, slow1, fast1), optional

    Returns
    -------
    int

    Examples
    --------
    >>> compute_p90(np.arange(100).reshape(10, 10))
    90
    """
    image = as_int_image(image)
    pixels = image.reshape(-1) if tiles is None else np.concatenate(
        [image[a:c, b:d].reshape(-1) for a, b, c, d in tiles])
    at = int(0.9 * pixels.size)
    return int(np.partition(pixels, at)[at])
