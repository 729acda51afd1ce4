"""Absorption by the support of the crystal: Kapton tape, or the user's own model."""

from __future__ import annotations

from typing import Literal

from xdp.options import Options, option

# The values and their uncertainties are DIALS' defaults: a set-up of one's own has to be measured.


class HeightOptions(Options):
    """Height of the crystal."""

    value: float | None = option(0.02, "How far the crystal is above the tape, mm.")
    sigma: float | None = option(0.01, "How uncertain that is, mm; smart_sigmas uses it.")


class AngleOptions(Options):
    """Angle of the tape."""

    value: float | None = option(1.15, "How far the tape is turned about the beam from the vertical, degrees.")
    sigma: float | None = option(0.1, "How uncertain that is, degrees; smart_sigmas uses it.")


class HalfWidthOptions(Options):
    """Half the width of the tape."""

    value: float | None = option(1.5875, "How far the tape goes on downstream of the crystal, mm: half its width.")
    sigma: float | None = option(0.5, "How uncertain that is, mm; smart_sigmas uses it.")


class ThicknessOptions(Options):
    """Thickness of the tape."""

    value: float | None = option(0.05, "Thickness of the tape, mm.")
    sigma: float | None = option(0.005, "How uncertain that is, mm; smart_sigmas uses it.")


class KaptonOptions(Options):
    """A Kapton tape under the crystal."""

    xtal_height_above_kapton_mm: HeightOptions = option(HeightOptions(), "Height of the crystal.")
    rotation_angle_deg: AngleOptions = option(AngleOptions(), "Angle of the tape.")
    kapton_half_width_mm: HalfWidthOptions = option(HalfWidthOptions(), "Half the width of the tape.")
    kapton_thickness_mm: ThicknessOptions = option(ThicknessOptions(), "Thickness of the tape.")
    smart_sigmas: bool = option(
        False, "Add to the variances how much the factor changes when the tape lies otherwise, each property by its "
        "own sigma; the largest change counts.")
    within_spot_sigmas: bool = option(
        True, "Average the factor over the foreground pixels of each reflection; False: one ray for a reflection, "
        "which is faster.")


class AbsorptionOptions(Options):
    """Absorption by what holds the crystal."""

    apply: bool = option(False, "Multiply intensities by the factors of this model.")
    # "other" is no third tape: it calls what an installed package offers
    algorithm: Literal["fuller_kapton", "kapton_2019", "other"] | None = option(
        None, "fuller_kapton: a tape that ends downstream only; kapton_2019: a tape that ends on all sides; other: a "
        "model of your own, from an entry point of group xdp.absorption (docs/corrections.md).")
    name: str | None = option(
        None, "For algorithm=other: which entry point of group xdp.absorption; None: the only one installed.")
    fuller_kapton: KaptonOptions = option(KaptonOptions(), "The tape, for both Kapton algorithms.")
