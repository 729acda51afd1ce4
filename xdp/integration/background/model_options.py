"""Parameters of ``xdp model_background``: names, types and defaults as in ``dials.model_background``."""

from __future__ import annotations

from typing import Literal

from xdp.options import Options, option
from xdp.prediction.options import PredictionOptions


class ModelOutputOptions(Options):
    """What is written. Each picture is PREFIX_PANEL.png; a prefix of None leaves it out."""

    model: str = option("background.pickle", "File for the model, as background.gmodel.model takes it.", file="output")
    log: str | None = option(
        "xdp.model_background.log", "File for the messages that are also on the screen; None: no file.", file="output")
    mean_image_prefix: str | None = option(
        "mean", "Picture of each pixel's mean count outside reflections.",
        file="output", names="{mean_image_prefix}_*.png")
    variance_image_prefix: str | None = option(
        "variance", "Picture of the variance of these counts.", file="output", names="{variance_image_prefix}_*.png")
    dispersion_image_prefix: str | None = option(
        "dispersion", "Picture of variance over mean, black at 0 and white at 2; photon counts give 1.",
        file="output", names="{dispersion_image_prefix}_*.png")
    mask_image_prefix: str | None = option(
        "mask", "Picture of the pixels that were background on min_images images (white).",
        file="output", names="{mask_image_prefix}_*.png")
    min_image_prefix: str | None = option(
        "min", "Picture of each pixel's lowest count outside reflections.",
        file="output", names="{min_image_prefix}_*.png")
    max_image_prefix: str | None = option(
        "max", "Picture of each pixel's highest count outside reflections.",
        file="output", names="{max_image_prefix}_*.png")
    model_image_prefix: str | None = option(
        "model", "Picture of the finished model.", file="output", names="{model_image_prefix}_*.png")
    polar_model_image_prefix: str | None = option(
        "polar", "Picture of the model before it comes back to the pixels: scattering angle across, azimuth down.",
        file="output", names="{polar_model_image_prefix}_*.png")


class ModellerOptions(Options):
    """How the model is made from the pixels' statistics."""

    min_images: int | None = option(
        10, "Pixels that are background on fewer images are filled in from their surroundings.", ge=1)
    filter_type: Literal["median", "mean"] = option(
        "median", "What smooths along circles about the beam: median, which ignores single outliers, or mean.")
    kernel_size: int | None = option(50, "Grid points on either side over which it smooths; 0: it does not.", ge=0)
    # a hundred times the default, a choice: without a bound a slip of the hand runs for hours
    niter: int | None = option(
        100, "How often pixels that were filled in are averaged with their neighbours; more makes larger holes smooth.",
        ge=1, le=10_000)
    image_type: Literal["min", "mean"] = option("mean", "Model the mean count of each pixel, or its lowest.")


class ModelLookupOptions(Options):
    """Files with one value a pixel."""

    mask: str | None = option(
        None, "Mask file, in addition to that of the images: pixels that are False in it are not used.", file="input")


class ModelIntegrationOptions(Options):
    """Which pixels are used."""

    lookup: ModelLookupOptions = option(ModelLookupOptions(), "Files with one value a pixel.")
    use_dynamic_mask: bool = option(True, "Leave out pixels that the goniometer shades, where its shape is known.")


class ModelBackgroundOptions(Options):
    """All parameters of ``xdp model_background``."""

    output: ModelOutputOptions = option(ModelOutputOptions(), "What is written.")
    modeller: ModellerOptions = option(ModellerOptions(), "How the model is made.")
    exclude_images: tuple[int, ...] | None = option(
        None, "Images that are not read, counted from 0: 0,1,2 leaves out the first three.")
    integration: ModelIntegrationOptions = option(ModelIntegrationOptions(), "Which pixels are used.")
    prediction: PredictionOptions = option(PredictionOptions(), "Which reflections are left out.")
