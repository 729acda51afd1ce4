"""Absorption by the support of the crystal: Kapton tape, or the user's own model."""

from __future__ import annotations

from typing import Literal

from xdp.options import Options, option


class HeightOptions(Options):
    """Height of the crystal."""

    value: float | None = option(
        0.02, "height of the beam (or the irradiated crystal) above the kapton tape")
    sigma: float | None = option(0.01, "Standard deviation of the height, mm.")


class AngleOptions(Options):
    """Angle of the tape."""

    value: float | None = option(1.15, "angle of the tape from vertical")
    sigma: float | None = option(0.1, "Standard deviation of the angle, degrees.")


class HalfWidthOptions(Options):
    """Half the width of the tape."""

    value: float | None = option(
        1.5875, "forward distance from irradiated crystal to edge of tape nearest detector")
    sigma: float | None = option(0.5, "Standard deviation of the half width, mm.")


class ThicknessOptions(Options):
    """Thickness of the tape."""

    value: float | None = option(0.05, "tape thickness")
    sigma: float | None = option(0.005, "Standard deviation of the thickness, mm.")


class KaptonOptions(Options):
    """A Kapton tape under the crystal."""

    xtal_height_above_kapton_mm: HeightOptions = option(HeightOptions(), "Height of the crystal.")
    rotation_angle_deg: AngleOptions = option(AngleOptions(), "Angle of the tape.")
    kapton_half_width_mm: HalfWidthOptions = option(HalfWidthOptions(), "Half the width of the tape.")
    kapton_thickness_mm: ThicknessOptions = option(ThicknessOptions(), "Thickness of the tape.")
    smart_sigmas: bool = option(False, "apply spot-specific sigma corrections using kapton param sigmas")
    within_spot_sigmas: bool = option(
        True, "calculate initial per-spot sigmas based on variance across pixels in the spot. turn this off to get a "
        "major speed-up")


class AbsorptionOptions(Options):
    """Absorption by what holds the crystal."""

    apply: bool = option(False, "Correct for absorption.")
    algorithm: Literal["fuller_kapton", "kapton_2019", "other"] | None = option(
        None, "a specific absorption correction, or implementation thereof; kapton_2019 is a more general "
        "implementation of fuller_kapton for use on single/multi-panel detectors; other: a model that an installed "
        "package offers as an entry point of group xdp.absorption (docs/corrections.md)")
    name: str | None = option(
        None, "For algorithm=other: which entry point of group xdp.absorption; None: the only one installed.")
    fuller_kapton: KaptonOptions = option(KaptonOptions(), "The tape, for both Kapton algorithms.")
