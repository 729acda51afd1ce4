"""Parameters of profile fitting: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.options import Options, option


class DetectorSpaceOptions(Options):
    """Fitting on the detector's own pixels."""

    deconvolution: bool = option(False, "Do deconvolution in detector space")


class FittingOptions(Options):
    """Reference profiles and how they are fitted."""

    scan_step: float | None = option(5.0, "Space between profiles in degrees", gt=0, phil="float(allow_none=True)")
    grid_size: int | None = option(
        5, "The size of the profile grid: 2 n + 1 points along each axis", ge=1,
        phil="int(allow_none=True)")
    threshold: float | None = option(
        0.02, "The threshold to use in reference profile", ge=0,
        phil="float(allow_none=True)")
    grid_method: Literal["single", "regular_grid", "circular_grid", "spherical_grid"] = option(
        "regular_grid", "Select the profile grid method")
    fit_method: Literal["reciprocal_space", "detector_space"] = option("reciprocal_space", "The fitting method")
    detector_space: DetectorSpaceOptions = option(DetectorSpaceOptions(), "Fitting on the detector's own pixels.")
