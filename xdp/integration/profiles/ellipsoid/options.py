"""Parameters of the ellipsoid profile model (``profile.ellipsoid``)."""

from __future__ import annotations

from typing import Literal

from xdp.options import Options, option

#: Probability within three standard deviations of a normal distribution, erf(3/sqrt(2)).
FULL_PROBABILITY = 0.9973002039367398


class RlpMosaicityOptions(Options):
    """Shape of the reciprocal lattice points."""

    model: Literal["simple1", "simple6", "angular2", "angular4"] = option(
        "angular4", "Covariance of the reciprocal lattice points: one sphere (simple1) or ellipsoid (simple6) for all, "
        "or one that turns with the scattering vector, round (angular2) or not (angular4) across it.")


class WavelengthSpreadOptions(Options):
    """Spectrum of the beam."""

    model: Literal["delta"] = option("delta", "The spectrum: one wavelength")


class FixedOptions(Options):
    """Part of the crystal model that may be fixed."""

    fixed: bool = option(False, "Keep it as it was refined before")


class EllipsoidIndexingOptions(Options):
    """Indices of the spots that refine the model."""

    fail_on_bad_index: bool = option(False, "Give a shot up if a spot's index is not that nearest to it")


class EllipsoidRefinementOptions(Options):
    """How the model is refined."""

    # farther off it is probably another spot, or one with a wrong index
    max_separation: float | None = option(
        2.0, "Spots further than this from their prediction are left out, pixels", gt=0, phil="float(allow_none=True)")
    outlier_probability: float | None = option(
        0.975, "Spots outside this probability of the distribution of distances are left out", gt=0, lt=1,
        phil="float(allow_none=True)")
    n_macro_cycles: int | None = option(
        1, "Number of times that spots are measured and the model refined", ge=1,
        phil="int(allow_none=True)")
    n_cycles: int | None = option(
        3, "Number of times that mosaicity and crystal are refined in turn", ge=1,
        phil="int(allow_none=True)")
    min_n_reflections: int | None = option(10, "A shot with fewer spots is given up", ge=1, phil="int(allow_none=True)")


class EllipsoidPredictionOptions(Options):
    """Which reflections are predicted."""

    d_min: float | None = option(
        None, "The resolution limit, Å; None: prediction.d_min or the detector's corner", gt=0,
        phil="float(allow_none=True)")
    # three standard deviations, as far as foregrounds reach
    probability: float | None = option(
        FULL_PROBABILITY, "Reflections are predicted whose distance from the Ewald sphere is within this probability",
        gt=0, lt=1, phil="float(allow_none=True)")


class EllipsoidOptions(Options):
    """The ellipsoid model: a three-dimensional normal distribution about each reciprocal lattice point."""

    rlp_mosaicity: RlpMosaicityOptions = option(RlpMosaicityOptions(), "Shape of the reciprocal lattice points.")
    wavelength_spread: WavelengthSpreadOptions = option(WavelengthSpreadOptions(), "Spectrum of the beam.")
    unit_cell: FixedOptions = option(FixedOptions(), "Refinement of the unit cell.")
    orientation: FixedOptions = option(FixedOptions(), "Refinement of the orientation.")
    indexing: EllipsoidIndexingOptions = option(
        EllipsoidIndexingOptions(), "Indices of the spots that refine the model.")
    refinement: EllipsoidRefinementOptions = option(EllipsoidRefinementOptions(), "How the model is refined.")
    prediction: EllipsoidPredictionOptions = option(EllipsoidPredictionOptions(), "Which reflections are predicted.")
