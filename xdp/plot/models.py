"""Plots of crystals that vary over a scan, and of the cells of many crystals."""

from __future__ import annotations

import numpy as np

from xdp.experiment.crystal import Crystal, b_matrix, cell_of
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.plot.binning import MAX_FRAMES, count_histogram
from xdp.plot.data import Axis, Plot, Series
from xdp.plot.spots import FRAME
from xdp.reflections.table import ReflectionTable


def _list_varying(experiments: ExperimentList | None) -> list[tuple[int, Experiment, Crystal]]:
    """Number, experiment and crystal of those whose crystal varies."""
    return [(i, e, e.crystal) for i, e in enumerate(experiments or ())
            if e.crystal is not None and e.crystal.A_at_scan_points and e.scan is not None]


def compute_cells(crystal: Crystal) -> np.ndarray:
    """Compute the cell at each scan point: Å and degrees, (n, 6)."""
    points = np.reshape(np.asarray(crystal.A_at_scan_points, np.float64), (-1, 3, 3))
    return np.array([cell_of(np.linalg.inv(A)) for A in points])


def compute_turns(crystal: Crystal) -> np.ndarray:
    """Compute the rotation vector from the static orientation to that at each scan point, degrees (n, 3)."""
    points = np.reshape(np.asarray(crystal.A_at_scan_points, np.float64), (-1, 3, 3))
    turns = np.zeros((len(points), 3))
    for i, A in enumerate(points):
        U = A @ np.linalg.inv(b_matrix(cell_of(np.linalg.inv(A))))
        # The antisymmetric part of a rotation is its axis times the sine of its angle, which is below 90 degrees here.
        R = U @ crystal.U.T
        axis = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2.0
        sine = min(1.0, float(np.linalg.norm(axis)))
        turns[i] = np.degrees(axis * (np.arcsin(sine) / sine if sine > 0 else 1.0))
    return turns


def _make_lines(experiments: ExperimentList | None, compute, names: tuple[str, ...], columns: slice
                ) -> tuple[Series, ...]:
    """A line for each value of each crystal that varies, over frames."""
    found = _list_varying(experiments)
    lines = []
    for i, experiment, crystal in found:
        values = compute(crystal)[:, columns]
        frames = experiment.known.scan.array_range[0] + np.arange(len(values), dtype=np.float64)
        # As many points as a screen has columns.
        step = -(-len(values) // MAX_FRAMES)
        suffix = f", crystal {i}" if len(found) > 1 else ""
        lines += [Series(f"{name}{suffix}", frames[::step], values[::step, k]) for k, name in enumerate(names)]
    return tuple(lines)


def cell_lengths_by_frame(table: ReflectionTable | None, experiments: ExperimentList | None = None) -> Plot | None:
    """Show the change of a, b and c over the scan, in parts of each.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    def compute(crystal: Crystal) -> np.ndarray:
        # Edges of 40 and of 200 Å are compared by their relative changes.
        lengths = compute_cells(crystal)[:, :3]
        return 100.0 * (lengths / lengths.mean(axis=0) - 1.0)

    series = _make_lines(experiments, compute, ("a", "b", "c"), slice(0, 3))
    return None if not series else Plot(
        "cell_lengths_by_frame", "Cell edges over the scan", "Good: within a tenth of a per cent. A steady rise is "
        "radiation damage or warming.", FRAME, Axis("change from the mean", "%"), series)


def cell_angles_by_frame(table: ReflectionTable | None, experiments: ExperimentList | None = None) -> Plot | None:
    """Show alpha, beta and gamma over the scan.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    series = _make_lines(experiments, compute_cells, ("alpha", "beta", "gamma"), slice(3, 6))
    return None if not series else Plot(
        "cell_angles_by_frame", "Cell angles over the scan", "Good: level; those that symmetry fixes do not move at "
"all.",
        FRAME, Axis("angle", "degrees"), series)


def cell_volume_by_frame(table: ReflectionTable | None, experiments: ExperimentList | None = None) -> Plot | None:
    """Show the volume of the cell over the scan.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    def compute(crystal: Crystal) -> np.ndarray:
        points = np.reshape(np.asarray(crystal.A_at_scan_points, np.float64), (-1, 3, 3))
        return 1.0 / np.abs(np.linalg.det(points))[:, None]

    series = _make_lines(experiments, compute, ("volume",), slice(0, 1))
    return None if not series else Plot("cell_volume_by_frame", "Cell volume over the scan",
                                        "Good: level. A steady rise is radiation damage.", FRAME, Axis("volume", "Å³"),
                                        series)


def orientation_by_frame(table: ReflectionTable | None, experiments: ExperimentList | None = None) -> Plot | None:
    """Show the turn of the crystal from its static orientation, about the axes of the laboratory.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    series = _make_lines(experiments, compute_turns, ("about x", "about y", "about z"), slice(0, 3))
    return None if not series else Plot(
        "orientation_by_frame", "Orientation over the scan", "Good: within a few hundredths of a degree. A step is a "
        "crystal that slipped.", FRAME, Axis("turn", "degrees"), series)


def _count_cells(name: str, title: str, label: str, unit: str, names: tuple[str, ...], columns: slice,
                 experiments: ExperimentList | None) -> Plot | None:
    """Histograms of the cells of many crystals; None for fewer than ten, which fit a table."""
    # Less than ten crystals are listed by xdp show.
    cells = np.array([e.crystal.unit_cell for e in experiments or () if e.crystal is not None])
    if len(cells) < 10:
        return None
    series = tuple(count_histogram(cells[:, columns][:, k], axis) for k, axis in enumerate(names))
    return Plot(name, title, "Good: one peak for each. Two peaks of one edge are two forms of the crystal, or a wrong "
                "index.", Axis(label, unit), Axis("crystals"), tuple(Series(s.name, s.x, s.y) for s in series))


def cell_length_histogram(table: ReflectionTable | None, experiments: ExperimentList | None = None) -> Plot | None:
    """Count the cell edges of many crystals.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _count_cells("cell_length_histogram", "Cell edges of the crystals", "edge", "Å", ("a", "b", "c"),
                        slice(0, 3), experiments)


def cell_angle_histogram(table: ReflectionTable | None, experiments: ExperimentList | None = None) -> Plot | None:
    """Count the cell angles of many crystals.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _count_cells("cell_angle_histogram", "Cell angles of the crystals", "angle", "degrees",
                        ("alpha", "beta", "gamma"), slice(3, 6), experiments)
