"""Makes the global background model of a series of images, and pictures of what it is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xdp.integration.background.global_model import GlobalModel
from xdp.integration.background.model_options import ModelBackgroundOptions, ModelOutputOptions
from xdp.integration.background.polar import PolarGrid, smooth_background
from xdp.integration.background.series import PixelStatistics, gather_background_statistics
from xdp.work.progress import Progress, no_progress

if TYPE_CHECKING:
    from xdp.experiment import ExperimentList


@dataclass(frozen=True, eq=False)
class ModelledBackground:
    """A model and what it was made from.

    Attributes
    ----------
    model : GlobalModel
    polar : tuple of float64 (azimuth, radius)
        The model on the polar grid of each panel.
    statistics : tuple of PixelStatistics
    min_images : int
        Images a pixel needed.
    """

    model: GlobalModel
    polar: tuple[np.ndarray, ...]
    statistics: tuple[PixelStatistics, ...]
    min_images: int


def model_background(experiments: ExperimentList, options: ModelBackgroundOptions | None = None, *,
                     progress: Progress = no_progress) -> ModelledBackground:
    """Model the background of a series: mean (or lowest) counts of each pixel, smoothed along the azimuth.

    Parameters
    ----------
    experiments : ExperimentList
        As integration writes them, with profile models; all on the same images.
    options : ModelBackgroundOptions, optional
    progress : Progress
        Shows how many frames are done.

    Raises
    ------
    XdpError
        See :func:`~xdp.integration.background.series.gather_background_statistics`.
    """
    options = options or ModelBackgroundOptions()
    statistics = gather_background_statistics(experiments, options, progress=progress)
    model = experiments[0]
    modeller = options.modeller
    # A short series has no pixel on ten images: it is modelled from as many as there are.
    n_images = max(int(panel.number.max()) for panel in statistics)
    min_images = min(modeller.min_images or 1, n_images)
    panels, polar = [], []
    for p, found in enumerate(statistics):
        image = found.lowest if modeller.image_type == "min" else found.mean(min_images)
        grid = PolarGrid.of(model.detector, model.beam, p)  # type: ignore[arg-type]
        # The lowest of several counts is no mean: what is known of means of few counts does not hold for it.
        number = None if modeller.image_type == "min" else found.number
        smooth, on_grid = smooth_background(image, found.has_enough(min_images), grid, modeller, number)
        # Masked pixels hold no background: a model of 0 there leaves them out of every scale.
        panels.append(np.where(_find_unmasked(model, p), smooth, 0.0))
        polar.append(on_grid)
    return ModelledBackground(GlobalModel(tuple(panels)), tuple(polar), statistics, min_images)


def _find_unmasked(experiment: object, panel: int) -> np.ndarray | bool:
    """Pixels that the static mask leaves."""
    from xdp.images.masks.static import read_static_mask

    mask = read_static_mask(experiment)  # type: ignore[arg-type]
    return True if mask is None else mask[panel]


def write_pictures(found: ModelledBackground, output: ModelOutputOptions) -> list[Path]:
    """Draw the statistics and the model of each panel as PREFIX_PANEL.png, grey from 0 to the 99th percentile.

    The dispersion is drawn up to 2, the mask black and white.
    """
    enough = found.min_images
    drawn: dict[str | None, Callable[[int], tuple[np.ndarray, float | None]]] = {
        output.mean_image_prefix: lambda p: (found.statistics[p].mean(enough), None),
        output.variance_image_prefix: lambda p: (found.statistics[p].variance(enough), None),
        output.dispersion_image_prefix: lambda p: (found.statistics[p].dispersion(enough), 2.0),
        output.mask_image_prefix: lambda p: (found.statistics[p].has_enough(enough).astype(float), 1.0),
        output.min_image_prefix: lambda p: (found.statistics[p].lowest, None),
        output.max_image_prefix: lambda p: (found.statistics[p].highest, None),
        output.model_image_prefix: lambda p: (found.model.panels[p], None),
        output.polar_model_image_prefix: lambda p: (found.polar[p], None),
    }
    written = []
    for prefix, picture in drawn.items():
        for p in range(len(found.statistics)) if prefix else ():
            values, top = picture(p)
            written.append(Path(f"{prefix}_{p}.png"))
            _draw_grey(written[-1], values, top)
    return written


def _draw_grey(path: Path, values: np.ndarray, top: float | None) -> None:
    """One grey picture."""
    from PIL import Image

    from xdp.files import atomic_output

    # A percentile rather than the highest: one hot pixel would make the picture black.
    top = float(np.percentile(values, 99)) if top is None else top
    grey = np.clip(values / top if top > 0 else values, 0.0, 1.0) * 255.0
    with atomic_output(path) as part:
        Image.fromarray(grey.astype(np.uint8)).save(part, format="PNG")
