"""Parameters of the background under reflections: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.options import Options, option

_TUNING = "The tuning constant for robust estimation: residuals beyond so many standard deviations are cut off."
_MIN_PIXELS = "The minimum number of background pixels a reflection must have."


class TuningOptions(Options):
    """Robust estimation by Huber's function."""

    tuning_constant: float | None = option(1.345, _TUNING, gt=0, phil="float(allow_none=True)")


class GlmModelOptions(Options):
    """The surface that is fitted."""

    algorithm: Literal["constant2d", "constant3d", "loglinear2d", "loglinear3d"] = option(
        "constant3d", "The background model to fit: one number a frame or a shoebox, or the exponential of a plane.")


class GlmOptions(Options):
    """Background by a robust generalised linear model of Poisson counts."""

    robust: TuningOptions = option(TuningOptions(), "Robust estimation.")
    model: GlmModelOptions = option(GlmModelOptions(), "The surface that is fitted.")
    min_pixels: int | None = option(10, _MIN_PIXELS, ge=1)


class GmodelRobustOptions(Options):
    """Robust estimation of the scale of a global model."""

    algorithm: bool = option(False, "Use the robust algorithm")
    tuning_constant: float | None = option(
        1.345, "The tuning constant for robust estimation. Its default 1.345 keeps the cut at 3 standard deviations "
        "that DIALS 3.12 has whatever this says; other values move the cut in proportion.", gt=0,
        phil="float(allow_none=True)")


class GmodelOptions(Options):
    """Background from one image of the whole series' background, scaled to each reflection."""

    robust: GmodelRobustOptions = option(GmodelRobustOptions(), "Robust estimation of the scale.")
    min_pixels: int | None = option(10, _MIN_PIXELS, ge=1)
    model: str | None = option(None, "The model filename, as xdp model_background or dials.model_background write it.")


class MedianOptions(Options):
    """Background by the median of the counts; nothing to choose."""


class NsigmaOptions(Options):
    """Rejection of pixels far from the mean."""

    lower: float | None = option(3.0, "Lower n sigma", ge=0, phil="float(allow_none=True)")
    upper: float | None = option(3.0, "Upper n sigma", ge=0, phil="float(allow_none=True)")


class TruncatedOptions(Options):
    """Rejection of the lowest and highest pixels; half of each fraction is cut, as in DIALS."""

    lower: float | None = option(0.01, "Lower bound", ge=0, le=1, phil="float(allow_none=True)")
    upper: float | None = option(0.01, "Upper bound", ge=0, le=1, phil="float(allow_none=True)")


class NormalOptions(Options):
    """Rejection of the highest pixels until the rest look normally distributed."""

    min_pixels: int | None = option(
        10, "The minimum number of pixels to use in calculating the background intensity. With this algorithm it "
        "takes the place of simple.min_pixels too.", ge=1, phil="int(allow_none=True)")


class PlaneOptions(Options):
    """Rejection of pixels far from a plane, frame by frame, after MOSFLM."""

    fraction: float | None = option(
        1.0, "The fraction of pixels to use in determining the initial plane used for outlier rejection.", gt=0, le=1,
        phil="float(allow_none=True)")
    n_sigma: float | None = option(
        4.0, "The number of standard deviations above the threshold plane to use in rejecting outliers from "
        "background calculation.", gt=0, phil="float(allow_none=True)")


class TukeyOptions(Options):
    """Rejection of pixels far outside the quartiles."""

    lower: float | None = option(1.5, "Lower IQR multiplier", ge=0, phil="float(allow_none=True)")
    upper: float | None = option(1.5, "Upper IQR multiplier", ge=0, phil="float(allow_none=True)")


class OutlierOptions(Options):
    """Which pixels are left out before the fit."""

    algorithm: Literal["null", "nsigma", "truncated", "normal", "plane", "tukey"] = option(
        "null", "The outlier rejection algorithm.")
    nsigma: NsigmaOptions = option(NsigmaOptions(), "Parameters for nsigma outlier rejector", expert=1)
    truncated: TruncatedOptions = option(TruncatedOptions(), "Parameters for truncated outlier rejector", expert=1)
    normal: NormalOptions = option(NormalOptions(), "Parameters for normal outlier rejector", expert=1)
    plane: PlaneOptions = option(
        PlaneOptions(), "Parameters for mosflm-like outlier rejector. This algorithm is mainly used in conjunction "
        "with a linear 2d background.", expert=1)
    tukey: TukeyOptions = option(TukeyOptions(), "Parameters for tukey outlier rejector", expert=1)


class SimpleModelOptions(Options):
    """The surface that is fitted."""

    algorithm: Literal["constant2d", "constant3d", "linear2d", "linear3d"] = option(
        "constant3d", "The choice of background model")


class SimpleOptions(Options):
    """Background by least squares."""

    outlier: OutlierOptions = option(OutlierOptions(), "Outlier rejection prior to background fit")
    model: SimpleModelOptions = option(SimpleModelOptions(), "Background model")
    min_pixels: int | None = option(10, "The minimum number of pixels to compute the background", ge=1)


class BackgroundOptions(Options):
    """How the background under reflections is estimated."""

    algorithm: Literal["Auto", "glm", "gmodel", "median", "null", "simple"] = option(
        "Auto", "The choice of algorithm. Auto: glm where all gains are 1, every panel is a PAD and no pedestal is "
        "taken off, else simple.")
    glm: GlmOptions = option(GlmOptions(), "A robust generalised linear model of Poisson counts.")
    gmodel: GmodelOptions = option(GmodelOptions(), "A global background model, scaled to each reflection.")
    median: MedianOptions = option(MedianOptions(), "The median of the counts.")
    simple: SimpleOptions = option(SimpleOptions(), "Least squares, after rejection of outliers.")
