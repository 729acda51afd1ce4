"""Parameters of profile fitting: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.options import AUTO, Auto, Options, option


class DetectorSpaceOptions(Options):
    """Fitting on the detector's own pixels."""

    deconvolution: bool = option(
        False, "With fit_method=detector_space: fit a reflection together with the neighbours that it overlaps; False "
        "fits each for itself.")


class ProfileFittingOptions(Options):
    """Reference profiles and how they are fitted."""

    # profiles change over a scan as the crystal turns, bends and decays
    scan_step: float | None = option(
        5.0, "Rotation after which new reference profiles begin, degrees.", gt=0, phil="float(allow_none=True)")
    grid_size: int | None = option(
        5, "Profiles have 2 n + 1 points along each axis.", ge=1, phil="int(allow_none=True)")
    threshold: float | None = option(
        0.02, "Points of a reference profile below this fraction of its highest point are not fitted, unless they hold "
        "more signal than background.", ge=0, phil="float(allow_none=True)")
    grid_method: Literal["single", "regular_grid", "circular_grid", "spherical_grid"] = option(
        "regular_grid", "Where reference profiles stand. single: one place; regular_grid: 3 x 3 on the panel; "
        "circular_grid: one in the middle and 8 around it; spherical_grid: 57 about the beam. On several panels the "
        "two middle ones are as single.")
    # xdp's own: k^2 of docs/profile_fitting.md
    shape_scatter: float | Auto = option(
        AUTO, "k^2 of the scatter of spot shapes about their profile: the variance of a part of a shape is k^2 times "
        "the part. The larger it is, the less do strong reflections depend on the profile. Auto: estimated from the "
        "reference spots.", ge=0)
    # the grid resamples counts, pixels need profiles that are interpolated to each reflection
    fit_method: Literal["reciprocal_space", "detector_space"] = option(
        "reciprocal_space", "reciprocal_space: fit on the grid on which profiles are learned; detector_space: fit the "
        "pixels themselves.")
    detector_space: DetectorSpaceOptions = option(DetectorSpaceOptions(), "Fitting on the detector's own pixels.")
