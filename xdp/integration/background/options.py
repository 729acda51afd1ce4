"""Parameters of the background under reflections: names, types and defaults as in DIALS (``shared/parameters.tsv``)."""

from __future__ import annotations

from typing import Literal

from xdp.options import Options, option

_TUNING = "Residuals are cut off at this many standard deviations, so that outliers weigh less; None: nothing is cut."
_MIN_PIXELS = "Fewest background pixels that will do; a reflection with fewer has failed."


class TuningOptions(Options):
    """Robust estimation by Huber's function."""

    tuning_constant: float | None = option(1.345, _TUNING, gt=0, phil="float(allow_none=True)")


class GlmModelOptions(Options):
    """The surface that is fitted."""

    algorithm: Literal["constant2d", "constant3d", "loglinear2d", "loglinear3d"] = option(
        "constant3d", "Fit one number (constant) or the exponential of a plane (loglinear) to each frame (2d) or to "
        "the whole shoebox (3d).")


class GlmOptions(Options):
    """Background by a robust generalised linear model of Poisson counts."""

    robust: TuningOptions = option(TuningOptions(), "Robust estimation.")
    model: GlmModelOptions = option(GlmModelOptions(), "The surface that is fitted.")
    min_pixels: int | None = option(10, _MIN_PIXELS, ge=1)


class GmodelRobustOptions(Options):
    """Robust estimation of the scale of a global model."""

    algorithm: bool = option(
        False, "Give less weight to pixels far from the scaled model; False: the scale is the ratio of the sums.")
    tuning_constant: float | None = option(
        1.345, "How far from the model pixels begin to lose weight. 1.345 means 3 standard deviations; other values "
        "move that in proportion.", gt=0, phil="float(allow_none=True)")


class GmodelOptions(Options):
    """Background from one image of the whole series' background, scaled to each reflection."""

    robust: GmodelRobustOptions = option(GmodelRobustOptions(), "Robust estimation of the scale.")
    min_pixels: int | None = option(10, _MIN_PIXELS, ge=1)
    model: str | None = option(
        None, "The model's file, which xdp model_background or dials.model_background has written.", file="input")


class MedianOptions(Options):
    """Background by the median of the counts; nothing to choose."""


class NsigmaOptions(Options):
    """Rejection of pixels far from the mean."""

    lower: float | None = option(
        3.0, "Pixels this many standard deviations below the mean are left out; None: none.", ge=0,
        phil="float(allow_none=True)")
    upper: float | None = option(
        3.0, "Pixels this many standard deviations above the mean are left out; None: none.", ge=0,
        phil="float(allow_none=True)")


class TruncatedOptions(Options):
    """Rejection of the pixels with the lowest and highest counts; of each fraction half is cut, as in DIALS."""

    lower: float | None = option(
        0.01, "Half this fraction of the pixels, those with the lowest counts, is left out; None: none.", ge=0, le=1,
        phil="float(allow_none=True)")
    upper: float | None = option(
        0.01, "Half this fraction of the pixels, those with the highest counts, is left out; None: none.", ge=0, le=1,
        phil="float(allow_none=True)")


class NormalOptions(Options):
    """Rejection of the highest pixels until the rest look normally distributed."""

    min_pixels: int | None = option(
        10, "Fewest pixels that rejection leaves; a shoebox with fewer from the start has failed. simple.min_pixels "
        "does not count here.", ge=1, phil="int(allow_none=True)")


class PlaneOptions(Options):
    """Rejection of pixels far from a plane, frame by frame, after MOSFLM."""

    fraction: float | None = option(
        1.0, "Fraction of a frame's pixels, from the lowest, through which the plane is laid.", gt=0, le=1,
        phil="float(allow_none=True)")
    n_sigma: float | None = option(
        4.0, "Pixels are left out that lie further from the plane than this times the root of its level; None: none.",
        gt=0, phil="float(allow_none=True)")


class TukeyOptions(Options):
    """Rejection of pixels far outside the quartiles."""

    lower: float | None = option(
        1.5, "Pixels this many interquartile ranges below the lower quartile are left out; None: none.", ge=0,
        phil="float(allow_none=True)")
    upper: float | None = option(
        1.5, "Pixels this many interquartile ranges above the upper quartile are left out; None: none.", ge=0,
        phil="float(allow_none=True)")


class OutlierOptions(Options):
    """Which pixels are left out before the fit."""

    algorithm: Literal["null", "nsigma", "truncated", "normal", "plane", "tukey"] = option(
        "null", "How pixels that are not background are recognised; null takes all.")
    nsigma: NsigmaOptions = option(NsigmaOptions(), "Limits for nsigma.", expert=1)
    truncated: TruncatedOptions = option(TruncatedOptions(), "Limits for truncated.", expert=1)
    normal: NormalOptions = option(NormalOptions(), "Limit for normal.", expert=1)
    plane: PlaneOptions = option(PlaneOptions(), "Limits for plane, which suits linear2d.", expert=1)
    tukey: TukeyOptions = option(TukeyOptions(), "Limits for tukey.", expert=1)


class SimpleModelOptions(Options):
    """The surface that is fitted."""

    algorithm: Literal["constant2d", "constant3d", "linear2d", "linear3d"] = option(
        "constant3d", "Fit one number (constant) or a plane (linear) to each frame (2d) or to the whole shoebox (3d).")


class SimpleOptions(Options):
    """Background by least squares."""

    outlier: OutlierOptions = option(OutlierOptions(), "Which pixels are left out before the fit.")
    model: SimpleModelOptions = option(SimpleModelOptions(), "The surface that is fitted.")
    min_pixels: int | None = option(
        10, "Fewest background pixels that a fit may use; with fewer the reflection has failed.", ge=1)


class BackgroundOptions(Options):
    """How the background under reflections is estimated."""

    algorithm: Literal["Auto", "glm", "gmodel", "median", "null", "simple"] = option(
        "Auto", "How the background is estimated (docs/background.md). Auto: glm where pixels count photons (gain 1, "
        "no pedestal, type PAD; whole numbers, none below 0, variance as mean), else simple; null: no background.")
    # of xdp: DIALS keeps boxes level, and asks users to choose a plane
    follow_slopes: bool = option(
        True, "With algorithm=Auto, levels that are fitted to whole shoeboxes (constant3d) follow the radial profile "
        "of the sweep's background, and slopes that the pixels around a reflection clearly have, where that matters "
        "(docs/background.md). False: every shoebox has a level background, as in DIALS.")
    glm: GlmOptions = option(GlmOptions(), "A robust generalised linear model of Poisson counts.")
    gmodel: GmodelOptions = option(GmodelOptions(), "A global background model, scaled to each reflection.")
    median: MedianOptions = option(MedianOptions(), "The median of the counts.")
    simple: SimpleOptions = option(SimpleOptions(), "Least squares, after rejection of outliers.")
