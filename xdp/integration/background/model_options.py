"""Parameters of ``xdp model_background``: names, types and defaults as in ``dials.model_background``."""

from __future__ import annotations

from typing import Literal

from xdp.options import Options, option
from xdp.prediction.options import PredictionOptions


class ModelOutputOptions(Options):
    """What is written. Each picture is PREFIX_PANEL.png; a prefix of None leaves it out."""

    model: str = option("background.pickle", "The output filename")
    log: str | None = option("xdp.model_background.log", "The log filename")
    mean_image_prefix: str | None = option("mean", "The mean background image")
    variance_image_prefix: str | None = option("variance", "The variance background image")
    dispersion_image_prefix: str | None = option("dispersion", "The dispersion background image")
    mask_image_prefix: str | None = option("mask", "The mask background image")
    min_image_prefix: str | None = option("min", "The min background image")
    max_image_prefix: str | None = option("max", "The max background image")
    model_image_prefix: str | None = option("model", "The model background image")
    polar_model_image_prefix: str | None = option("polar", "The polar model background image")


class ModellerOptions(Options):
    """How the model is made from the pixels' statistics."""

    min_images: int | None = option(10, "The minimum number of images per pixel", ge=1)
    filter_type: Literal["median", "mean"] = option(
        "median", "The filter to use on the polar transformed image")
    kernel_size: int | None = option(
        50, "The kernel size for the filter: half its width along the azimuth, in grid points; 0 for none", ge=0)
    niter: int | None = option(100, "The number of iterations for filling holes", ge=1)
    image_type: Literal["min", "mean"] = option("mean", "Which image to use")


class ModelLookupOptions(Options):
    """Files with one value a pixel."""

    mask: str | None = option(None, "The path to the mask file.")


class ModelIntegrationOptions(Options):
    """Which pixels are used."""

    lookup: ModelLookupOptions = option(ModelLookupOptions(), "Files with one value a pixel.")
    use_dynamic_mask: bool = option(True, "Use dynamic mask if available")


class ModelBackgroundOptions(Options):
    """All parameters of ``xdp model_background``."""

    output: ModelOutputOptions = option(ModelOutputOptions(), "What is written.")
    modeller: ModellerOptions = option(ModellerOptions(), "How the model is made.")
    exclude_images: tuple[int, ...] | None = option(None, "Exclude images (e.g. 1,2,3,4,5 etc)")
    integration: ModelIntegrationOptions = option(ModelIntegrationOptions(), "Which pixels are used.")
    prediction: PredictionOptions = option(PredictionOptions(), "Which reflections are left out.")
