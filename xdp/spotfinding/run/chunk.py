"""One task of spot finding: a chunk of frames is read, thresholded, labelled and measured.

Spots that do not touch the chunk's borders are complete and are measured and filtered here; strong pixels of the
others are handed on, to be joined with those of the neighbouring chunks (:mod:`xdp.spotfinding.run.seams`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xdp.spotfinding.hot_pixels import find_always_strong
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.spots.background_slope import has_flat_background
from xdp.spotfinding.spots.filters import is_near_peak
from xdp.spotfinding.spots.label import Pixels, is_open, label_pixels
from xdp.spotfinding.spots.measure import find_peak_positions, measure_spots
from xdp.spotfinding.spots.ordered import MeasuredSpots, pack_table, unpack_table
from xdp.work.store import Arrays

COUNTS = ("found", "too_small", "too_large", "far", "sloping")
"""How many spots were found, and how many each filter took away, in the order of the filters."""


@dataclass(frozen=True)
class ChunkResult:
    """What one task found.

    Attributes
    ----------
    spots : MeasuredSpots
        Complete spots that passed the filters, in canonical order.
    open : Pixels
        Strong pixels of components that touch a border.
    n_strong, background : (n_frames,)
        Strong pixels and mean background of each frame.
    counts : (5,) int64
        See :data:`COUNTS`; of complete spots only.
    hot : tuple of (k,) int32
        For each panel the flat indices of pixels that are strong on all frames (empty unless asked for).
    noise : (k, 2) float64
        Mean and dispersion of the background of those frames that are sampled (:class:`BackgroundNoise`).
    """

    spots: MeasuredSpots
    open: Pixels
    n_strong: np.ndarray
    background: np.ndarray
    counts: np.ndarray
    hot: tuple[np.ndarray, ...] = field(default=())
    noise: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    def to_arrays(self) -> Arrays:
        """Take the result apart into named arrays, as they are stored in the work folder.

        Returns
        -------
        dict of ndarray
            Names have the form ``table/NAME``, ``open/NAME``, ``hot/PANEL``, or are those of this class.
        """
        # a slash cannot stand in a column name of our own making, so that the groups come apart again
        arrays = {f"table/{name}": a for name, a in pack_table(self.spots.table).items()}
        arrays |= {f"open/{name}": a for name, a in self.open._asdict().items()}
        arrays |= {f"hot/{i}": a for i, a in enumerate(self.hot)}
        return {"first": self.spots.first, "n_strong": self.n_strong, "background": self.background,
                "counts": self.counts, "noise": self.noise, **arrays}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> ChunkResult:
        """Put a result together from the arrays of :meth:`to_arrays`.

        Parameters
        ----------
        arrays : mapping of str to ndarray

        Returns
        -------
        ChunkResult
        """
        parts: dict[str, dict[str, np.ndarray]] = {"table": {}, "open": {}, "hot": {}}
        for name, array in arrays.items():
            if "/" in name:
                group, _, key = name.partition("/")
                parts[group][key] = array
        spots = MeasuredSpots(unpack_table(parts["table"]), arrays["first"])
        return cls(spots, Pixels(**parts["open"]), arrays["n_strong"], arrays["background"], arrays["counts"],
                   tuple(parts["hot"][str(i)] for i in range(len(parts["hot"]))), arrays["noise"])


@dataclass(frozen=True)
class SpotRules:
    """How components become spots: sizes and filters, and what is kept of each.

    Attributes
    ----------
    min_size, max_size : int
        Spots of fewer or more pixels are dropped.
    max_separation : float or None
        Largest distance of peak and centroid, pixels; None: no limit.
    gradient : (int, float) or None
        Pixels between a spot's box and the ring whose slope is measured, and the largest slope, counts a pixel.
    keep_shoeboxes : bool
        Keep the pixels of each spot.
    find_hot : bool
        Find the pixels that are strong on all frames.
    """

    min_size: int
    max_size: int
    max_separation: float | None
    gradient: tuple[int, float] | None
    keep_shoeboxes: bool
    find_hot: bool


def find_in_chunk(finder: FrameFinder, rules: SpotRules, first: int, last: int) -> ChunkResult:
    """Find the spots of the frames at positions `first` to `last` - 1 of a search.

    Parameters
    ----------
    finder : FrameFinder
        Finds the strong pixels of a frame.
    rules : SpotRules
        How components become spots.
    first, last : int
        Half-open range of positions in the search.

    Returns
    -------
    ChunkResult

    Raises
    ------
    XdpError
        If an image cannot be read, or too many of its pixels are strong.
    """
    search = finder.search
    frames = [finder.find(position) for position in range(first, last)]
    pixels = Pixels.concatenate(frame.pixels for frame in frames)
    labels = label_pixels(*pixels[:4], two_d=search.is_flat)
    # only pixels of spots that may go on beyond the chunk travel; of all others the measured spots do
    opened = is_open(labels, pixels.frame, _find_borders(finder, first, last))
    spots, counts = measure_components(finder, rules, pixels.select(~opened), labels[~opened])
    return ChunkResult(spots, pixels.select(opened), np.array([f.pixels.size for f in frames], np.int64),
                       np.array([f.background for f in frames]), counts, _find_hot_pixels(finder, rules, frames),
                       np.array([f.noise for f in frames if f.noise is not None]).reshape(-1, 2))


def make_empty_result(finder: FrameFinder, rules: SpotRules, first: int, last: int) -> ChunkResult:
    """Make the result of frames that are skipped: no strong pixel, no spot. None of the images is read.

    Parameters
    ----------
    finder : FrameFinder
    rules : SpotRules
        They tell which columns the empty table has.
    first, last : int
        Half-open range of positions in the search.

    Returns
    -------
    ChunkResult
        The mean background of the frames is NaN.
    """
    pixels = Pixels.empty()
    spots, counts = measure_components(finder, rules, pixels, np.zeros(0, np.int32))
    n = last - first
    return ChunkResult(spots, pixels, np.zeros(n, np.int64), np.full(n, np.nan), counts)


def _find_borders(finder: FrameFinder, first: int, last: int) -> list[int]:
    """Frames of a chunk beyond which there are more."""
    search = finder.search
    if search.is_flat:
        return []
    frames = search.label_frames
    # the outermost frames of the search are no borders: nothing comes before or after them
    return [int(frames[p]) for p, is_inner in ((first, first > 0), (last - 1, last < search.n_frames)) if is_inner]


def _find_hot_pixels(finder: FrameFinder, rules: SpotRules, frames: list) -> tuple[np.ndarray, ...]:
    if not rules.find_hot:
        return ()
    return tuple(
        find_always_strong(_flatten_index(frame.pixels.select(frame.pixels.panel == i), shape[1]) for frame in frames)
        for i, shape in enumerate(finder.detector.panel_shapes))


def _flatten_index(pixels: Pixels, width: int) -> np.ndarray:
    return pixels.slow * np.int32(width) + pixels.fast


def measure_components(finder: FrameFinder, rules: SpotRules, pixels: Pixels,
                       labels: np.ndarray) -> tuple[MeasuredSpots, np.ndarray]:
    """Measure labelled components and filter them.

    The filters come in this order: size, distance between peak and centroid, slope of the background.

    Parameters
    ----------
    finder : FrameFinder
        Its search tells the spots' experiments and z coordinates; its images are read if the slope is asked for.
    rules : SpotRules
        Sizes and filters.
    pixels : Pixels
        Strong pixels in canonical order.
    labels : (n,) int
        Component of each pixel; numbers may be left out.

    Returns
    -------
    spots : MeasuredSpots
        In canonical order, with z coordinates and ids of the search.
    counts : (5,) int64
        See :data:`COUNTS`.
    """
    search = finder.search
    # labels of open spots are left out: arrays a label must not hold rows for them
    labels = _close_gaps(labels)
    measurement = measure_spots(pixels, labels, min_size=rules.min_size, max_size=rules.max_size,
                                saturation=finder.find_saturation())
    table, first = measurement.table, np.column_stack([c[measurement.first] for c in pixels[:4]]).astype(np.int32)
    spots = MeasuredSpots(table, first.reshape(-1, 4))
    n_found = int(labels.max(initial=-1)) + 1
    counts = [n_found, measurement.n_too_small, measurement.n_too_large, 0, 0]
    # sums, positions and boxes are made for spots that this filter drops: it needs them
    if rules.max_separation is not None:
        near = is_near_peak(find_peak_positions(table["shoebox"]), table["xyzobs.px.value"], rules.max_separation)
        counts[3] = int(np.count_nonzero(~near))
        spots = spots if near.all() else spots.select(near)
    if rules.gradient is not None:
        flat = _has_flat_background(finder, rules.gradient, spots)
        counts[4] = int(np.count_nonzero(~flat))
        spots = spots.select(flat)
    return _place_in_search(search, spots, rules), np.array(counts, np.int64)


def _close_gaps(labels: np.ndarray) -> np.ndarray:
    """Labels without gaps, in the same order."""
    present = np.zeros(int(labels.max(initial=-1)) + 1, np.int32)
    present[labels] = 1
    return (np.cumsum(present, dtype=np.int32) - np.int32(1))[labels]


def _has_flat_background(finder: FrameFinder, gradient: tuple[int, float], spots: MeasuredSpots) -> np.ndarray:
    size, cutoff = gradient
    # boxes count frames as the scan does, readers from the first frame of the search
    start = int(finder.search.label_frames[0])
    panel = spots.table["panel"].astype(np.int64)
    return has_flat_background(lambda frame: finder.read(frame - start), panel, spots.table["bbox"],
                               shapes=finder.detector.panel_shapes,
                               limits=[p.trusted_range for p in finder.detector],
                               background_size=size, gradient_cutoff=cutoff)


def _place_in_search(search, spots: MeasuredSpots, rules: SpotRules) -> MeasuredSpots:
    """Spots with their ids and, for stills, with the z coordinate of their image instead of its position."""
    table = spots.table.copy()
    position = spots.first[:, 0] - (search.label_frames[0] if search.n_frames else 0)
    shift = (search.z_of - search.label_frames)[position]
    # of sweeps both are the same; of stills the labels count positions, so that images do not join
    if np.any(shift):
        boxes, bbox, centre = table["shoebox"], table["bbox"].copy(), table["xyzobs.px.value"].copy()
        bbox[:, 4:] += shift[:, None]
        centre[:, 2] += shift
        table = table.with_columns(**{"bbox": bbox, "xyzobs.px.value": centre, "shoebox": type(boxes)(
            boxes.panel, bbox, boxes.offsets, boxes.data, boxes.mask)})
    table["id"] = search.find_ids(position, table["xyzobs.px.value"][:, 2])
    if not rules.keep_shoeboxes:
        del table["shoebox"]
    return MeasuredSpots(table, spots.first)
