"""Parameters of the profile model: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.integration.profiles.ellipsoid.options import EllipsoidOptions
from xdp.integration.profiles.fitting_options import ProfileFittingOptions
from xdp.integration.profiles.mosaic.options import MosaicOptions
from xdp.options import Options, option

# The model itself is in model.py; what is estimated from spots, in spot_spread.py.


class MinSpotsOptions(Options):
    """How many spots a model needs; with fewer by both counts it shrinks towards a prior, with a warning."""

    overall: int | None = option(50, "With this many reference spots the model is made of them alone.", ge=0)
    per_degree: int | None = option(
        20, "With this many reference spots per degree of rotation it is made of them alone as well.", ge=0)


class ParametersOptions(Options):
    """Values given instead of estimated."""

    n_sigma: float | None = option(
        3.0, "The foreground reaches this many sigma_b and sigma_m from the predicted position.", gt=0)
    sigma_b: float | None = option(
        None, "Angular spread of the diffracted beam, degrees, instead of the estimate; for rotation data sigma_m must "
        "be given too.", gt=0)
    # degrees as in files, though the program works in radians
    sigma_m: float | None = option(
        None, "Mosaicity, degrees, instead of the estimate; sigma_b must be given too.", ge=0)


class ZetaFilterOptions(Options):
    """Which spots the model is made of."""

    min_zeta: float | None = option(
        0.05, "Spots with |zeta| below this, near the rotation axis, are not measured for the model.")


class GaussianRSOptions(Options):
    """The model of a Gaussian in reciprocal space (Kabsch 2010)."""

    scan_varying: bool = option(
        False, "Give each frame its own sigma_b and sigma_m, smoothed over 51 frames; False: one pair for the whole "
        "scan.")
    min_spots: MinSpotsOptions = option(
        MinSpotsOptions(), "With fewer spots than both numbers ask for, the widths are drawn towards usual values, "
        "with a warning.")
    sigma_m_algorithm: Literal["basic", "extended"] = option(
        "extended", "What sigma_m is estimated from. basic: on which frames a spot was seen; extended: also how its "
        "counts are shared among them.")
    # s1 contains the error of the prediction, which foregrounds have to cover too
    centroid_definition: Literal["com", "s1"] = option(
        "s1", "What the spread of a spot is measured about. s1: its predicted direction; com: its centre of mass.")
    parameters: ParametersOptions = option(ParametersOptions(), "Values given instead of estimated.")
    filter: ZetaFilterOptions = option(ZetaFilterOptions(), "Which spots the model is made of.")
    # of xdp: in DIALS one sigma_b serves all reflections
    mosaic: MosaicOptions = option(
        MosaicOptions(), "Widths that grow with resolution, as mosaic rotation, domain size and bandwidth make them.")
    fitting: ProfileFittingOptions = option(ProfileFittingOptions(), "Profile fitting.")


class ProfileOptions(Options):
    """The profile model."""

    algorithm: Literal["ellipsoid", "gaussian_rs"] = option(
        "gaussian_rs", "gaussian_rs: one Gaussian for all reflections (rotation data and stills); ellipsoid: "
        "ellipsoidal lattice points, for stills.")
    ellipsoid: EllipsoidOptions = option(EllipsoidOptions(), "A normal distribution in reciprocal space.")
    gaussian_rs: GaussianRSOptions = option(GaussianRSOptions(), "A Gaussian in Kabsch's frame.")
