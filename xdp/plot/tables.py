"""What plots need of a table: frames, resolution, which rows have an index, places on the detector."""

from __future__ import annotations

import numpy as np

from xdp.experiment.detector import Detector
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.pixels import px_to_mm
from xdp.plot.binning import choose_frame_bins
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def find_frames(table: ReflectionTable, column: str) -> np.ndarray:
    """Frames of reflections, in frames (n,); of stills, the number of the experiment.

    Parameters
    ----------
    table : ReflectionTable
    column : str
        A column of positions in pixels and frames.
    """
    z = table[column][:, 2]
    # Centroids of stills are all at half a frame: there a table's order is that of its experiments.
    if "id" in table and len(table) and np.ptp(z) < 1.0 and int(table["id"].max()) > 0:
        return table["id"].astype(np.float64) + 0.5
    return z


def find_extent(table: ReflectionTable, experiments: ExperimentList | None) -> tuple[int, int]:
    """The first frame, and the one after the last: of the scans where they are known, else of the spots."""
    frame = find_frames(table, "xyzobs.px.value" if "xyzobs.px.value" in table else "xyzcal.px")
    finite = frame[np.isfinite(frame)]
    low, high = (int(np.floor(finite.min())), int(np.floor(finite.max())) + 1) if len(finite) else (0, 1)
    if experiments is not None and "id" in table:
        scans = [e.scan.array_range for e in experiments if e.scan is not None and not e.scan.is_still]
        if scans:
            return min(s[0] for s in scans), max(s[1] for s in scans)
    return low, high


def bin_frames(table: ReflectionTable, experiments: ExperimentList | None, column: str
               ) -> tuple[int, np.ndarray, np.ndarray]:
    """Sort reflections into bins of frames.

    Parameters
    ----------
    table : ReflectionTable
    experiments : ExperimentList or None
    column : str
        A column of positions in pixels and frames.

    Returns
    -------
    width : int
        Frames of a bin.
    middles : (n_bins,) float64
        Their middles, in frames.
    index : (n,) int64
        The bin of each reflection; -1 for those that have no place.
    """
    first, last = find_extent(table, experiments)
    width, middles = choose_frame_bins(first, last)
    frame = find_frames(table, column)
    finite = np.isfinite(frame)
    # Errors of centroids put some spots a little before the first frame, or after the last.
    index = np.clip(np.floor((np.where(finite, frame, first) - first) / width), 0, len(middles) - 1).astype(np.int64)
    return width, middles, np.where(finite, index, -1)


def find_rows_with_index(table: ReflectionTable) -> np.ndarray:
    """Which reflections have a Miller index, (n,) bool."""
    if "miller_index" not in table:
        return np.zeros(len(table), bool)
    return (table["miller_index"] != 0).any(axis=1)


def find_used(table: ReflectionTable) -> np.ndarray:
    """Which reflections were used in refinement, (n,) bool; all indexed ones where none is flagged so."""
    used = table.flags(Flag.USED_IN_REFINEMENT) if "flags" in table else np.zeros(len(table), bool)
    return used if used.any() else find_rows_with_index(table)


def find_resolution(table: ReflectionTable, experiments: ExperimentList | None) -> np.ndarray | None:
    """Resolution of each reflection in Å, (n,): of column d, of rlp, or of the place on the detector.

    Returns
    -------
    (n,) float64 or None
        None where neither a column nor models tell.
    """
    if "d" in table:
        return table["d"]
    if "rlp" in table and np.any(table["rlp"]):
        with np.errstate(divide="ignore"):
            return 1.0 / np.linalg.norm(table["rlp"], axis=1)
    if experiments is None or not len(experiments) or "xyzobs.px.value" not in table or "panel" not in table:
        return None
    first = experiments[0]
    if first.beam is None or first.detector is None:
        return None
    lab = _find_lab_positions(table["xyzobs.px.value"][:, :2], table["panel"], first.detector)
    unit = lab / np.linalg.norm(lab, axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return first.beam.wavelength / np.linalg.norm(unit - first.beam.unit_s0, axis=1)


def _find_lab_positions(px: np.ndarray, panel: np.ndarray, detector: Detector) -> np.ndarray:
    """Where pixels are in the laboratory, mm (n, 3)."""
    lab = np.full((len(px), 3), np.nan)
    for i in range(len(detector)):
        rows = panel == i
        if rows.any():
            mm = px_to_mm(detector[i], px[rows])
            lab[rows] = np.column_stack([mm, np.ones(len(mm))]) @ detector.d_matrix(i).T
    return lab


def place_on_detector(table: ReflectionTable, experiments: ExperimentList | None, column: str) -> np.ndarray:
    """Where reflections are on the whole detector, in pixels (n, 2).

    Parameters
    ----------
    table : ReflectionTable
    experiments : ExperimentList or None
        Panels are put where the first detector has them, seen along the beam; without it, and with one panel, the
        panel's own pixels are given.
    column : str
        A column of positions in pixels and frames.
    """
    px = table[column][:, :2]
    detector = experiments[0].detector if experiments is not None and len(experiments) else None
    if detector is None or len(detector) < 2 or "panel" not in table:
        return px
    lab = _find_lab_positions(px, table["panel"], detector)
    # Along the axes of the first panel, which is upright as users see it.
    first = detector[0]
    axes = np.array([first.fast_axis, first.slow_axis], np.float64)
    return (lab - np.asarray(first.origin)) @ axes.T / np.asarray(first.pixel_size)
