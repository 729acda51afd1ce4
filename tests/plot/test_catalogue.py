"""All plots by name: each is made where it is said to be, each plot of dials.report has its counterpart."""

from __future__ import annotations

from importlib import import_module

import pytest
from report_data import make_clean

import xdp.plot
from xdp.errors import XdpError
from xdp.plot.catalogue import BUILDERS, build_plot, make_drawing_function

#: Plots of dials.report 3.12 by their names there, and those that show the same here.
COUNTERPARTS = {
    "scan_varying_cell": "cell_lengths_by_frame cell_angles_by_frame cell_volume_by_frame",
    "scan_varying_orientation": "orientation_by_frame",
    "spot_count_per_image": "spots_per_image", "spot_count_per_panel": "spots_per_panel",
    "n_unindexed_vs_xy": "unindexed_on_detector", "n_indexed_vs_xy": "indexed_on_detector",
    "centroid_difference_histogram": "residual_histogram",
    "centroid_differences_x": "x_residuals_on_detector", "centroid_differences_y": "y_residuals_on_detector",
    "centroid_differences_z": "z_residuals_on_detector",
    "centroid_mean_differences_vs_phi": "mean_residuals_by_frame", "centroid_rmsd_vs_phi": "rmsds_by_frame",
    "residuals_xy": "residuals_xy", "residuals_xz": "residuals_xz", "residuals_zy": "residuals_yz",
    "log_i_over_sigma_histogram": "i_over_sigma_histogram",
    "i_over_sigma_sum_vs_xy": "summed_i_over_sigma_on_detector",
    "i_over_sigma_prf_vs_xy": "fitted_i_over_sigma_on_detector",
    "i_over_sigma_vs_z": "i_over_sigma_by_frame", "partiality_histogram": "partiality_histogram",
    "qe_map": "quantum_efficiency_on_detector",
    "z_score_histogram": "pull_histogram", "normal_probability_plot": "pull_probability",
    "z_score_vs_multiplicity": "pull_by_multiplicity", "z_score_time_series": "pull_by_frame",
    "z_score_vs_I": "pull_by_intensity", "z_score_vs_I_over_sigma": "pull_by_strength",
    "reflection_cc_vs_resolution": "profile_correlation_by_resolution",
    "n_reference_profiles_vs_xy": "reference_spots_on_detector",
    "n_reference_profiles_vs_z": "reference_spots_by_frame",
    **{f"{kind}_{suffix}": name for kind in ("reference", "reflection") for suffix, name in {
        "correlation_histogram": "profile_correlation_histogram", "cc_vs_xy": "profile_correlation_on_detector",
        "cc_vs_z": "profile_correlation_by_frame", "cc_vs_i_over_sigma": "profile_correlation_by_strength"}.items()},
    "cc_one_half": "cc_half_by_resolution", "i_over_sig_i": "merged_i_over_sigma_by_resolution",
    "completeness": "completeness_by_resolution", "multiplicity": "multiplicity_by_resolution",
    "r_pim": "r_factors_by_resolution", "scale_rmerge_vs_batch": "scales_by_frame r_merge_by_frame",
    "wilson_intensity_plot": "wilson_plot", "cumulative_intensity_distribution": "cumulative_intensities",
}


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_each_plot_of_dials_report_has_a_counterpart(name):
    assert set(COUNTERPARTS[name].split()) <= set(BUILDERS)


def test_each_name_has_a_function_in_its_module_and_at_the_front():
    for name, module in BUILDERS.items():
        assert getattr(import_module(f"xdp.plot.{module}"), name).__name__ == name
        assert name in dir(xdp.plot)
    with pytest.raises(AttributeError, match="no attribute 'spots_per_imag'"):
        xdp.plot.spots_per_imag  # noqa: B018


def test_drawing_gives_a_figure_or_says_that_there_is_nothing():
    experiments, table = make_clean()
    draw = make_drawing_function("spots_per_image")
    assert draw.__name__ == "spots_per_image"
    assert "Count spots" in draw.__doc__
    assert draw(table, experiments).axes[0].get_ylabel() == "spots"
    with pytest.raises(XdpError, match="nothing for this plot"):
        xdp.plot.i_over_sigma_by_frame(table)
    assert build_plot("spots_per_image", None) is None
