"""All plots by name, and functions that draw them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from xdp.errors import XdpError

if TYPE_CHECKING:
    from xdp.experiment.experiment import ExperimentList
    from xdp.plot.data import Plot
    from xdp.reflections.table import ReflectionTable

_NAMES = {
    "spots": ("spots_per_image", "spots_by_resolution", "spots_on_detector", "indexed_on_detector",
              "unindexed_on_detector", "spots_per_panel", "spot_sizes", "spot_intensity_by_frame"),
    "residuals": ("residual_histogram", "mean_residuals_by_frame", "rmsds_by_frame", "x_residuals_on_detector",
                  "y_residuals_on_detector", "z_residuals_on_detector", "residuals_xy", "residuals_xz", "residuals_yz"),
    "models": ("cell_lengths_by_frame", "cell_angles_by_frame", "cell_volume_by_frame", "orientation_by_frame",
               "cell_length_histogram", "cell_angle_histogram"),
    "intensities": ("i_over_sigma_histogram", "i_over_sigma_by_frame", "i_over_sigma_by_resolution",
                    "summed_i_over_sigma_on_detector", "fitted_i_over_sigma_on_detector", "partiality_histogram",
                    "quantum_efficiency_on_detector", "background_on_detector", "background_by_frame",
                    "overlaps_by_frame", "profile_correlation_histogram", "profile_correlation_on_detector",
                    "profile_correlation_by_frame", "profile_correlation_by_resolution",
                    "profile_correlation_by_strength", "reference_spots_on_detector", "reference_spots_by_frame"),
    "merged": ("cc_half_by_resolution", "merged_i_over_sigma_by_resolution", "completeness_by_resolution",
               "multiplicity_by_resolution", "r_factors_by_resolution", "wilson_plot", "cumulative_intensities",
               "scales_by_frame", "r_merge_by_frame", "pull_histogram", "pull_probability", "pull_by_multiplicity",
               "pull_by_frame", "pull_by_intensity", "pull_by_strength"),
}
#: The module of ``xdp.plot`` that makes the plot of each name, in the order of a report.
BUILDERS: dict[str, str] = {name: module for module, names in _NAMES.items() for name in names}


def build_plot(name: str, table: ReflectionTable | None, experiments: ExperimentList | None = None) -> Plot | None:
    """Make one plot as data.

    Parameters
    ----------
    name : str
        A key of :data:`BUILDERS`.
    table : ReflectionTable or None
    experiments : ExperimentList, optional

    Returns
    -------
    Plot or None
        None where the data have nothing of the kind.
    """
    # Plots of models alone are made without a table; those of tables need one.
    if table is None and BUILDERS[name] != "models":
        return None
    return getattr(import_module(f"xdp.plot.{BUILDERS[name]}"), name)(table, experiments)


def make_drawing_function(name: str) -> Callable[..., Any]:
    """Give the public function that draws the plot of a name.

    Parameters
    ----------
    name : str
        A key of :data:`BUILDERS`.

    Returns
    -------
    callable
        ``function(table, experiments=None)`` gives a matplotlib figure.
    """
    def draw(table: ReflectionTable | None = None, experiments: ExperimentList | None = None) -> Any:
        from xdp.plot.drawing import draw_plot

        plot = build_plot(name, table, experiments)
        if plot is None:
            raise XdpError(f"{name}: the table or the experiments have nothing for this plot")
        return draw_plot(plot)

    draw.__name__ = draw.__qualname__ = name
    builder = getattr(import_module(f"xdp.plot.{BUILDERS[name]}"), name)
    draw.__doc__ = f"{builder.__doc__}\n\nGives a matplotlib figure; raises XdpError where the data have none of it."
    return draw
