"""Plots of found spots: over frames, over resolution, on the detector; those that have no index beside those that "
"have."""

from __future__ import annotations

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.plot.binning import N_CELLS, average_bins, average_grid, count_histogram
from xdp.plot.data import Axis, Grid, Plot, Series
from xdp.plot.tables import bin_frames, find_resolution, find_rows_with_index, place_on_detector
from xdp.prediction.ice_rings import ICE_SPACINGS
from xdp.reflections.table import ReflectionTable

FRAME = Axis("frame")
#: Shells of equal volume in reciprocal space over which spots are counted.
N_SHELLS = 60


def spots_per_image(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count spots by the frame of their centroid; indexed ones apart where there are some.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if "xyzobs.px.value" not in table or not len(table):
        return None
    width, middles, index = bin_frames(table, experiments, "xyzobs.px.value")
    is_indexed = find_rows_with_index(table)
    groups = [("all spots", np.ones(len(table), bool))]
    if is_indexed.any():
        groups += [("indexed", is_indexed), ("not indexed", ~is_indexed)]
    n = len(middles)
    series = tuple(Series(name, middles, _count(index[rows], n) / width) for name, rows in groups)
    return Plot("spots_per_image", "Spots per image",
                "Good: a smooth line. A gap is a blank wedge; a slow fall, a crystal that leaves the beam or is "
                "damaged; "
                "single high or low images, ice or a fault of the read-out.", FRAME, Axis("spots"), series)


def _count(index: np.ndarray, n: int) -> np.ndarray:
    """How many of some numbers are 0, 1, ... n - 1."""
    return np.bincount(index[(index >= 0) & (index < n)], minlength=n).astype(np.float64)


def spots_by_resolution(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count spots in shells of equal volume of reciprocal space.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    d = find_resolution(table, experiments)
    if d is None or not np.isfinite(d).any():
        return None
    finite = d[np.isfinite(d) & (d > 0)]
    cubed = finite**-3.0
    edges = np.linspace(0.0, float(cubed.max()) * (1 + 1e-9), N_SHELLS + 1)
    # Shells are of equal volume, but the axis is in 1/d², in which users know resolution.
    middles = ((edges[1:] + edges[:-1]) / 2) ** (2 / 3)
    is_indexed = find_rows_with_index(table)[np.isfinite(d) & (d > 0)]
    groups = [("all spots", np.ones(len(finite), bool))]
    if is_indexed.any():
        groups += [("indexed", is_indexed), ("not indexed", ~is_indexed)]
    series = tuple(Series(name, middles, np.histogram(cubed[rows], edges)[0].astype(np.float64))
                   for name, rows in groups)
    marks = tuple((float(s) ** -2.0, "ice") for s in ICE_SPACINGS if s**-2.0 < middles[-1])
    return Plot("spots_by_resolution", "Spots by resolution",
                "Shells of equal volume. Good: a smooth fall towards fine resolution. A peak at a marked ring is ice; "
                "one elsewhere, salt or a bad pixel.", make_resolution_axis(middles[-1]), Axis("spots per shell"),
                series, marks=marks)


def make_resolution_axis(largest: float) -> Axis:
    """Make an axis of 1/d² that is labelled by d.

    Parameters
    ----------
    largest : float
        Greatest 1/d², Å⁻².
    """
    # Six labels at equal distances fit a phone's width.
    values = np.linspace(0.0, largest, 7)[1:]
    return Axis("resolution d", "Å", ticks=tuple((float(v), f"{v**-0.5:.2f}") for v in values if v > 0))


def _make_map(name: str, title: str, caption: str, table: ReflectionTable, experiments: ExperimentList | None,
              rows: np.ndarray) -> Plot | None:
    """Number of spots on the detector."""
    if "xyzobs.px.value" not in table or not rows.any():
        return None
    place = place_on_detector(table, experiments, "xyzobs.px.value")
    return make_detector_plot(name, title, caption, "spots", place, rows, None)


def make_detector_plot(name: str, title: str, caption: str, label: str, place: np.ndarray, rows: np.ndarray,
                       values: np.ndarray | None, is_signed: bool = False) -> Plot:
    """Make a map of the detector of counts or means.

    Parameters
    ----------
    name, title, caption, label : str
        Of the plot, and of its colours.
    place : (n, 2) float64
        Of all reflections, as :func:`xdp.plot.tables.place_on_detector` gives it.
    rows : (n,) bool
        Which are used.
    values : (n,) float64 or None
        Averaged in each cell; None: reflections are counted.
    is_signed : bool
        Whether zero is in the middle of the colours.
    """
    low, high = np.floor(place.min(axis=0)), np.ceil(place.max(axis=0)) + 1e-6
    high = np.maximum(high, low + 1.0)
    # Cells are square; the longer edge has N_CELLS.
    cell = float((high - low).max()) / N_CELLS
    shape = (max(1, int(np.ceil((high[1] - low[1]) / cell))), max(1, int(np.ceil((high[0] - low[0]) / cell))))
    x_range = (float(low[0]), float(low[0] + cell * shape[1]))
    y_range = (float(low[1]), float(low[1] + cell * shape[0]))
    found = average_grid(place[rows, 0], place[rows, 1], None if values is None else values[rows], x_range, y_range,
                         shape)
    return Plot(name, title, caption, Axis("fast", "px"), Axis("slow", "px"),
                grid=Grid(label, x_range, y_range, found, is_square=True, is_signed=is_signed))


def spots_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count all spots by their place on the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _make_map("spots_on_detector", "Spots on the detector",
                     "Good: denser towards the beam, the same on all sides. A dark sector is a shadow; a ring, ice; a "
                     "single bright cell, hot pixels.", table, experiments, np.ones(len(table), bool))


def indexed_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count indexed spots by their place on the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _make_map("indexed_on_detector", "Indexed spots on the detector", "Good: as all spots.", table, experiments,
                     find_rows_with_index(table))


def unindexed_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count spots without an index by their place on the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    rows = find_rows_with_index(table)
    if not rows.any():
        return None
    return _make_map("unindexed_on_detector", "Spots without an index on the detector",
                     "Good: few, anywhere. A ring is ice; rows are a second lattice; a single cell, hot pixels.", table,
                     experiments, ~rows)


def spots_per_panel(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count spots on each panel of a detector of several.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if "panel" not in table or not len(table) or int(table["panel"].max()) < 1:
        return None
    n = int(table["panel"].max()) + 1
    return Plot("spots_per_panel", "Spots per panel", "Good: panels at the same angle have like numbers. A panel "
                "without spots is dead or shaded; one with far too many is noisy.", Axis("panel"), Axis("spots"),
                (Series("spots", np.arange(n) + 0.5, np.bincount(table["panel"].astype(np.int64), minlength=n)
                        .astype(np.float64), "bars"),))


def spot_sizes(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count spots by their number of strong pixels.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if "n_signal" not in table or not len(table):
        return None
    sizes = table["n_signal"].astype(np.float64)
    high = float(np.percentile(sizes, 99.5)) + 1
    n_bins = int(min(high, 60))
    return Plot("spot_sizes", "Strong pixels of each spot", "Good: one broad peak. A pile at the smallest sizes is "
                "noise: "
                "raise min_spot_size or the threshold.", Axis("strong pixels"), Axis("spots"),
                (count_histogram(sizes, "spots", (0.5, high + 0.5), n_bins),))


def spot_intensity_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the summed counts and the strong pixels of spots over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if "intensity.sum.value" not in table or "xyzobs.px.value" not in table or not len(table):
        return None
    _, middles, index = bin_frames(table, experiments, "xyzobs.px.value")
    mean = average_bins(index, table["intensity.sum.value"].astype(np.float64), len(middles))
    return Plot("spot_intensity_by_frame", "Mean counts of spots by frame", "Good: steady or in slow waves. A "
                "steady fall "
                "is radiation damage.", FRAME, Axis("mean counts", is_log=bool(np.nanmin(mean) > 0)),
                (Series("counts", middles, mean),))
