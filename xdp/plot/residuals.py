"""Plots of residuals, calculated less observed positions, of indexed and refined spots."""

from __future__ import annotations

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.plot.binning import average_bins, count_histogram, make_scatter
from xdp.plot.data import Axis, Plot, Series
from xdp.plot.spots import FRAME, make_detector_plot
from xdp.plot.tables import bin_frames, find_used, place_on_detector
from xdp.reflections.table import ReflectionTable

#: Residuals along x, y and the rotation, by name.
_NAMES = ("x", "y", "z")


def compute_spot_residuals(table: ReflectionTable) -> np.ndarray | None:
    """Compute calculated less observed positions in pixels and frames, (n, 3); NaN for spots that are not used.

    Returns
    -------
    (n, 3) float64 or None
        None where the table has no calculated positions.
    """
    if not {"xyzcal.px", "xyzobs.px.value"} <= set(table) or not len(table):
        return None
    used = find_used(table)
    return None if not used.any() else np.where(used[:, None], table["xyzcal.px"] - table["xyzobs.px.value"], np.nan)


def residual_histogram(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count residuals in x, y (pixels) and z (frames).

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    residual = compute_spot_residuals(table)
    if residual is None:
        return None
    # One range for the three, so that their widths compare.
    reach = float(np.nanpercentile(np.abs(residual), 99.0)) or 1.0
    series = tuple(Series(f"{name} ({'px' if i < 2 else 'frames'})", s.x, s.y) for i, name in enumerate(_NAMES)
                   for s in [count_histogram(residual[:, i], name, (-reach, reach))])
    return Plot("residual_histogram", "Residuals", "Good: single narrow peaks about zero. A second peak is a second "
                "lattice or a wrong index; a shifted one, a model that is not refined.",
                Axis("calculated - observed", "px or frames"), Axis("spots"), series)


def _by_frame(table: ReflectionTable, experiments: ExperimentList | None, is_rmsd: bool) -> tuple[Series, ...]:
    """Means, or root mean squares, of the residuals by frame."""
    residual = compute_spot_residuals(table)
    if residual is None:
        return ()
    _, middles, index = bin_frames(table, experiments, "xyzobs.px.value")
    # Means of squares; their roots are taken after the mean.
    values = residual**2 if is_rmsd else residual
    means = [average_bins(index, values[:, i], len(middles)) for i in range(3)]
    return tuple(Series(f"{name} ({'px' if i < 2 else 'frames'})", middles, np.sqrt(mean) if is_rmsd else mean)
                 for i, (name, mean) in enumerate(zip(_NAMES, means, strict=True)))


def mean_residuals_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the residuals over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    series = _by_frame(table, experiments, False)
    return None if not series else Plot(
        "mean_residuals_by_frame", "Mean residuals by frame", "Good: noise about zero. Slow waves are a crystal or "
"beam "
        "that moves more than the model allows (scan_varying=True); a step, a crystal that slipped.", FRAME,
        Axis("mean residual", "px or frames"), series)


def rmsds_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Compute root mean square residuals over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    series = _by_frame(table, experiments, True)
    return None if not series else Plot(
        "rmsds_by_frame", "Rmsds by frame", "Good: level, below a third of a pixel and of a frame. A rise towards "
                                            "the end "
        "is damage.", FRAME, Axis("rmsd", "px or frames"), series)


def _on_detector(table: ReflectionTable, experiments: ExperimentList | None, i: int) -> Plot | None:
    """Mean residual on the detector."""
    residual = compute_spot_residuals(table)
    if residual is None:
        return None
    # Cells without spots stay empty: a mean of none would look like a sound one.
    place = place_on_detector(table, experiments, "xyzobs.px.value")
    return make_detector_plot(f"{_NAMES[i]}_residuals_on_detector", f"Mean residuals in {_NAMES[i]} on the detector",
                              "Good: no pattern. A pattern of panels is their geometry; one about the beam, the "
                              "distance "
                              "or parallax.", f"mean residual ({'px' if i < 2 else 'frames'})", place,
                              np.isfinite(residual[:, i]), residual[:, i], True)


def x_residuals_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the residuals in x over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _on_detector(table, experiments, 0)


def y_residuals_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the residuals in y over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _on_detector(table, experiments, 1)


def z_residuals_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the residuals along the rotation over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _on_detector(table, experiments, 2)


def _scatter(table: ReflectionTable, i: int, j: int) -> Plot | None:
    """Residuals of one direction over those of another."""
    residual = compute_spot_residuals(table)
    if residual is None:
        return None
    series, grid = make_scatter(residual[:, i], residual[:, j], "spots")
    units = ["px" if k < 2 else "frames" for k in (i, j)]
    return Plot(f"residuals_{_NAMES[i]}{_NAMES[j]}", f"Residuals in {_NAMES[j]} over {_NAMES[i]}",
                "Good: one round cloud about zero.", Axis(f"{_NAMES[i]}: calculated - observed", units[0]),
                Axis(f"{_NAMES[j]}: calculated - observed", units[1]), series, grid)


def residuals_xy(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the residuals in y over those in x.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _scatter(table, 0, 1)


def residuals_xz(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the residuals along the rotation over those in x.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _scatter(table, 0, 2)


def residuals_yz(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the residuals along the rotation over those in y.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _scatter(table, 1, 2)
