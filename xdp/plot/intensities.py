"""Plots of integrated and scaled intensities: strengths, profiles, background, partiality, how observations agree."""

from __future__ import annotations

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.plot.binning import average_bins, count_histogram, make_scatter
from xdp.plot.data import Axis, Plot, Series
from xdp.plot.spots import FRAME, make_detector_plot, make_resolution_axis
from xdp.plot.tables import bin_frames, place_on_detector
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

#: Shells of equal width in 1/d² of plots over resolution.
N_SHELLS = 20
#: Words for the two kinds of intensities.
_KINDS = {"sum": "summed", "prf": "fitted"}
_FLAGS = {"sum": Flag.INTEGRATED_SUM, "prf": Flag.INTEGRATED_PRF}


def _compute_significance(table: ReflectionTable, kind: str) -> np.ndarray | None:
    """I/sigma of each reflection, NaN for those without; None where the table has no such intensities."""
    value, variance = table.get(f"intensity.{kind}.value"), table.get(f"intensity.{kind}.variance")
    if value is None or variance is None or "xyzcal.px" not in table or "flags" not in table or not len(table):
        return None
    # What was not integrated has zeros, not intensities.
    good = table.any_flags(_FLAGS[kind]) & (variance > 0)
    if not good.any():
        return None
    return np.where(good, value / np.sqrt(np.where(good, variance, 1.0)), np.nan)


def _list_significances(table: ReflectionTable) -> list[tuple[str, np.ndarray]]:
    """Word and I/sigma of each kind that the table has."""
    found = [(_KINDS[kind], _compute_significance(table, kind)) for kind in ("sum", "prf")]
    return [(word, values) for word, values in found if values is not None]


def _get_column(table: ReflectionTable, name: str) -> np.ndarray | None:
    """A column of integrated reflections, NaN for the others; None where there is none."""
    if name not in table or "flags" not in table or "xyzcal.px" not in table or not len(table):
        return None
    # Predictions that were not integrated have no profile and no background.
    good = table.any_flags(Flag.INTEGRATED)
    return np.where(good, table[name], np.nan) if good.any() else None


def _average_by_frame(table: ReflectionTable, experiments: ExperimentList | None,
                      values: list[tuple[str, np.ndarray]]) -> tuple[Series, ...]:
    """Means of some quantities over frames."""
    _, middles, index = bin_frames(table, experiments, "xyzcal.px")
    return tuple(Series(name, middles, average_bins(index, v, len(middles))) for name, v in values)


def _average_by_resolution(table: ReflectionTable, values: list[tuple[str, np.ndarray]]
                           ) -> tuple[Axis, tuple[Series, ...]] | None:
    """Means of some quantities in shells of equal width in 1/d²."""
    if "d" not in table:
        return None
    with np.errstate(divide="ignore"):
        squared = np.where(table["d"] > 0, table["d"], np.inf) ** -2.0
    largest = float(squared.max())
    if not largest > 0:
        return None
    index = np.minimum((squared / largest * N_SHELLS).astype(np.int64), N_SHELLS - 1)
    middles = (np.arange(N_SHELLS) + 0.5) * largest / N_SHELLS
    return make_resolution_axis(largest), tuple(Series(name, middles, average_bins(index, v, N_SHELLS))
                                                for name, v in values)


def i_over_sigma_histogram(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count log10(I/sigma) of reflections with positive intensities.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    found = _list_significances(table)
    if not found:
        return None
    # Negative intensities are half of the noise; a logarithm shows the rest.
    with np.errstate(all="ignore"):
        logs = [(name, np.log10(np.where(v > 0, v, np.nan))) for name, v in found]
    pooled = np.concatenate([v[np.isfinite(v)] for _, v in logs])
    if not len(pooled):
        return None
    limits = (float(np.percentile(pooled, 0.5)), float(pooled.max()) + 1e-9)
    series = tuple(Series(name, s.x, s.y) for name, v in logs for s in [count_histogram(v, name, limits)])
    return Plot("i_over_sigma_histogram", "Significance of the intensities", "Good: a broad peak well above 0. One "
                "at 0 "
                "with a tail: most reflections are noise; cut the resolution.", Axis("log10(I/σ)"), Axis("reflections"),
                series)


def i_over_sigma_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average I/sigma over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    found = _list_significances(table)
    return None if not found else Plot(
        "i_over_sigma_by_frame", "Mean I/σ by frame", "Good: level, or slow waves. A steady fall is radiation "
                                                      "damage; a "
        "gap, blank images.", FRAME, Axis("mean I/σ"), _average_by_frame(table, experiments, found))


def i_over_sigma_by_resolution(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average I/sigma in shells of resolution.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    found = _list_significances(table)
    shells = _average_by_resolution(table, found) if found else None
    return None if shells is None else Plot(
        "i_over_sigma_by_resolution", "Mean I/σ by resolution", "Good: a smooth fall. A dip or peak is ice; below 1, "
        "single observations say little.", shells[0], Axis("mean I/σ"), shells[1])


def _significance_on_detector(table: ReflectionTable, experiments: ExperimentList | None, kind: str) -> Plot | None:
    """Mean I/sigma on the detector."""
    values = _compute_significance(table, kind)
    if values is None:
        return None
    name = {"sum": "summed_i_over_sigma_on_detector", "prf": "fitted_i_over_sigma_on_detector"}[kind]
    return make_detector_plot(name, f"Mean I/σ of {_KINDS[kind]} intensities on the detector", "Good: a fall with "
                              "resolution, the same on all sides. A weak sector is a shadow.", "mean I/σ",
                              place_on_detector(table, experiments, "xyzcal.px"), np.isfinite(values), values)


def summed_i_over_sigma_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average I/sigma of summed intensities over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _significance_on_detector(table, experiments, "sum")


def fitted_i_over_sigma_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average I/sigma of fitted intensities over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    return _significance_on_detector(table, experiments, "prf")


def partiality_histogram(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count the recorded fractions of reflections.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "partiality")
    return None if values is None else Plot(
        "partiality_histogram", "Recorded fraction", "Good for rotation data: nearly all at 1; the rest begin or end "
        "outside the scan.", Axis("partiality"), Axis("reflections"), (count_histogram(values, "reflections", (0, 1)),))


def quantum_efficiency_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the quantum efficiency of the sensor over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "qe")
    if values is None:
        return None
    return make_detector_plot("quantum_efficiency_on_detector", "Quantum efficiency of the sensor", "Good: rises "
                              "smoothly "
                              "with the angle of the rays.", "efficiency",
                              place_on_detector(table, experiments, "xyzcal.px"), np.isfinite(values), values)


def background_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the background under reflections over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "background.mean")
    if values is None:
        return None
    return make_detector_plot("background_on_detector", "Background on the detector", "Good: smooth, with a broad "
                              "ring of "
                              "solvent. Sharp rings are ice; a dark sector is a shadow.", "counts per pixel",
                              place_on_detector(table, experiments, "xyzcal.px"), np.isfinite(values), values)


def background_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the background under reflections over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "background.mean")
    return None if values is None else Plot(
        "background_by_frame", "Background by frame", "Good: level or in slow waves. A step is a shadow or a change of "
        "the beam.", FRAME, Axis("counts per pixel"), _average_by_frame(table, experiments, [("background", values)]))


def overlaps_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Fraction of reflections whose foreground overlaps a neighbour's, over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if "flags" not in table or "xyzcal.px" not in table or not len(table) or not table.any_flags(Flag.INTEGRATED).any():
        return None
    # Of all predictions: those that overlap may be left out of integration.
    part = 100.0 * table.any_flags(Flag.OVERLAPPED_FG).astype(np.float64)
    return Plot("overlaps_by_frame", "Overlapping reflections by frame", "Good: below a few per cent. More: spots "
                "are too "
                "close, or the mosaicity is overestimated.", FRAME, Axis("overlapping", "%"),
                _average_by_frame(table, experiments, [("overlapping", part)]))


def profile_correlation_histogram(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count the correlations of profiles with the reference, of all reflections and those that made it.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "profile.correlation")
    if values is None:
        return None
    groups = [("reflections", values)]
    reference = table.flags(Flag.REFERENCE_SPOT)
    if reference.any():
        groups.append(("reference spots", np.where(reference, values, np.nan)))
    return Plot("profile_correlation_histogram", "Correlation with the reference profile", "Good: a peak towards 1, "
                "and "
                "noise about 0 of weak ones. Strong reflections at low values have another shape: split spots.",
                Axis("correlation"), Axis("reflections"),
                tuple(Series(name, s.x, s.y) for name, v in groups for s in [count_histogram(v, name, (-0.2, 1.0))]))


def _split_reference(table: ReflectionTable, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Values of all reflections, and of the spots that made the reference where these are flagged."""
    reference = table.flags(Flag.REFERENCE_SPOT)
    more = [("reference spots", np.where(reference, values, np.nan))] if reference.any() else []
    return [("reflections", values), *more]


def profile_correlation_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the correlations of profiles over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "profile.correlation")
    if values is None:
        return None
    return make_detector_plot("profile_correlation_on_detector", "Correlation with the reference profile on the "
                              "detector",
                              "Good: falls only with intensity. A poor sector has spots of another shape.",
                              "mean correlation", place_on_detector(table, experiments, "xyzcal.px"),
                              np.isfinite(values), values)


def profile_correlation_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the correlations of profiles over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "profile.correlation")
    return None if values is None else Plot(
        "profile_correlation_by_frame", "Correlation with the reference profile by frame", "Good: level. A dip is a "
"crystal "
        "that is split or off centre there.", FRAME, Axis("mean correlation"),
        _average_by_frame(table, experiments, _split_reference(table, values)))


def profile_correlation_by_resolution(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Average the correlations of profiles in shells of resolution.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "profile.correlation")
    shells = _average_by_resolution(table, _split_reference(table, values)) if values is not None else None
    return None if shells is None else Plot(
        "profile_correlation_by_resolution", "Correlation with the reference profile by resolution", "Good: falls "
"as I/σ "
        "does.", shells[0], Axis("mean correlation"), shells[1])


def profile_correlation_by_strength(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Plot the correlations of profiles over log10(I/sigma).

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    values = _get_column(table, "profile.correlation")
    significance = _compute_significance(table, "prf")
    if values is None or significance is None:
        return None
    with np.errstate(all="ignore"):
        series, grid = make_scatter(np.log10(np.where(significance > 0, significance, np.nan)), values, "reflections")
    return Plot("profile_correlation_by_strength", "Correlation with the reference profile by strength", "Good: one "
                "curve "
                "that reaches 1. Strong reflections below it have another shape.", Axis("log10(I/σ)"),
                Axis("correlation"), series, grid)


def reference_spots_on_detector(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count the spots that made the reference profiles over the detector.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if "flags" not in table or "xyzcal.px" not in table or not (rows := table.flags(Flag.REFERENCE_SPOT)).any():
        return None
    return make_detector_plot("reference_spots_on_detector", "Spots that made the reference profiles, on the detector",
                              "Good: some everywhere. Empty regions borrow their profiles from neighbours.", "spots",
                              place_on_detector(table, experiments, "xyzcal.px"), rows, None)


def reference_spots_by_frame(table: ReflectionTable, experiments: ExperimentList | None = None) -> Plot | None:
    """Count the spots that made the reference profiles over frames.

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    if "flags" not in table or "xyzcal.px" not in table or not (rows := table.flags(Flag.REFERENCE_SPOT)).any():
        return None
    width, middles, index = bin_frames(table, experiments, "xyzcal.px")
    counts = np.bincount(index[rows & (index >= 0)], minlength=len(middles)) / width
    return Plot("reference_spots_by_frame", "Spots that made the reference profiles, by frame", "Good: some on every "
                "frame.", FRAME, Axis("spots"), (Series("spots", middles, counts),))
