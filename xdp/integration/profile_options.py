"""Parameters of the profile model: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.integration.ellipsoid.options import EllipsoidOptions
from xdp.integration.fitting_options import FittingOptions
from xdp.options import Options, option


class MinSpotsOptions(Options):
    """How many spots a model needs; with fewer by both counts it shrinks towards a prior, with a warning."""

    overall: int | None = option(50, "The minimum number of spots needed to do the profile modelling", ge=0)
    per_degree: int | None = option(20, "The minimum number of spots needed to do the profile modelling", ge=0)


class ParametersOptions(Options):
    """Values given instead of estimated."""

    n_sigma: float | None = option(3.0, "Sigma multiplier for shoebox", gt=0)
    sigma_b: float | None = option(None, "Override the sigma_b value (degrees)", gt=0)
    sigma_m: float | None = option(None, "Override the sigma_m value (degrees)", ge=0)


class ZetaFilterOptions(Options):
    """Which spots the model is made of."""

    min_zeta: float | None = option(0.05, "Filter reflections by min zeta")


class GaussianRSOptions(Options):
    """The model of a Gaussian in reciprocal space (Kabsch 2010)."""

    scan_varying: bool = option(False, "Calculate a scan varying model")
    min_spots: MinSpotsOptions = option(
        MinSpotsOptions(), "Profile modelling needs at least `overall` spots, or `per_degree` spots a degree.")
    sigma_m_algorithm: Literal["basic", "extended"] = option("extended", "The algorithm to compute mosaicity")
    centroid_definition: Literal["com", "s1"] = option(
        "s1", "The centroid to use as beam divergence (centre of mass or s1)")
    parameters: ParametersOptions = option(ParametersOptions(), "Values given instead of estimated.")
    filter: ZetaFilterOptions = option(ZetaFilterOptions(), "Which spots the model is made of.")
    fitting: FittingOptions = option(FittingOptions(), "Profile fitting.")


class ProfileOptions(Options):
    """The profile model."""

    algorithm: Literal["ellipsoid", "gaussian_rs"] = option("gaussian_rs", "The choice of algorithm")
    ellipsoid: EllipsoidOptions = option(EllipsoidOptions(), "A normal distribution in reciprocal space.")
    gaussian_rs: GaussianRSOptions = option(GaussianRSOptions(), "A Gaussian in Kabsch's frame.")
