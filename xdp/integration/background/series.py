"""Statistics of each pixel's background over a series of images, reflections left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import XdpError
from xdp.integration.background.model_options import ModelBackgroundOptions
from xdp.work.progress import Progress, no_progress

if TYPE_CHECKING:
    from xdp.experiment import ExperimentList
    from xdp.integration.shoeboxes.foreground import Footprints
    from xdp.integration.shoeboxes.frames import FrameSource

WIDER = 2.0
"""Foregrounds reach so many sigmas further than for integration, so that no tail is taken for background: 5 sigma
instead of 3 leave a 1,700,000th of a Gaussian outside. The number is that of ``dials.model_background``."""


@dataclass(frozen=True, eq=False)
class PixelStatistics:
    """What the background of each pixel of one panel was.

    Attributes
    ----------
    number, total, squares, lowest, highest : (slow, fast) float64
        How many images have the pixel as background, the sum of its counts and of their squares, and their range
        (0 without any).
    """

    number: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    def has_enough(self, min_images: int) -> np.ndarray:
        """Where at least `min_images` (and one) have the pixel as background, bool (slow, fast)."""
        return self.number >= max(min_images, 1)

    def mean(self, min_images: int = 1) -> np.ndarray:
        """Mean counts, float64 (slow, fast); 0 where fewer than `min_images` have the pixel as background.

        Examples
        --------
        >>> one = PixelStatistics(*np.array([[[4.0]], [[6.0]], [[10.0]], [[1.0]], [[2.0]]]))
        >>> one.mean().item(), one.variance().item(), one.mean(min_images=5).item()
        (1.5, 0.25, 0.0)
        """
        return np.where(self.has_enough(min_images), self.total / np.maximum(self.number, 1.0), 0.0)

    def variance(self, min_images: int = 1) -> np.ndarray:
        """Variance of the counts (over n), float64 (slow, fast); 0 where fewer than `min_images` have the pixel."""
        mean = self.mean(min_images)
        # The difference of two large numbers may round to just below 0.
        spread = np.maximum(self.squares / np.maximum(self.number, 1.0) - mean**2, 0.0)
        return np.where(self.has_enough(min_images), spread, 0.0)

    def dispersion(self, min_images: int = 1) -> np.ndarray:
        """Index of dispersion, variance over mean, float64 (slow, fast): 1 for photon counts; 0 where the mean is."""
        mean = self.mean(min_images)
        return np.divide(self.variance(min_images), mean, out=np.zeros_like(mean), where=mean > 0.0)


def gather_background_statistics(experiments: ExperimentList, options: ModelBackgroundOptions | None = None, *,
                          progress: Progress = no_progress) -> tuple[PixelStatistics, ...]:
    """Read all images of one image set and gather each pixel's background, panel by panel.

    Reflections are predicted with the experiments' own profile models, two sigmas wider than for integration.

    Parameters
    ----------
    experiments : ExperimentList
        With profile models, all on the same images.
    options : ModelBackgroundOptions, optional
    progress : Progress
        Shows how many frames are done.

    Raises
    ------
    XdpError
        If an experiment has no profile model, or there is more than one image set.
    """
    from xdp.images.reader import check_stacks
    from xdp.integration.background._kernels_series import add_frame, cover_outlines
    from xdp.integration.plan.sweeps import find_sweeps
    from xdp.integration.shoeboxes.frames import FrameSource, check_excluded_images

    options = options or ModelBackgroundOptions()
    _check_experiments(experiments)
    check_stacks(experiments)
    # One image set has one detector and one mask: pixels of several would be added that do not belong together.
    sweeps = find_sweeps(experiments)
    if len(sweeps) != 1:
        raise XdpError(f"a background is modelled for one image set at a time, got {len(sweeps)}")
    sweep = sweeps[0]
    source = FrameSource(sweep, lookup=options.integration.lookup.mask, dynamic=options.integration.use_dynamic_mask,
                         excluded=check_excluded_images(sweeps, options.exclude_images))
    footprints = _draw_footprints(experiments, options)
    outlines = footprints.outlines
    shapes = sweep.model.detector.panel_shapes  # type: ignore[union-attr]
    sums = [np.zeros((5, *shape)) for shape in shapes]
    with progress(sweep.n_frames, "images") as advance:
        for z in range(sweep.first, sweep.last):
            # Frame by frame: no more than one is in memory.
            for p, frame in enumerate(source.read(z) or ()):
                covered = np.zeros(shapes[p], bool)
                rows = np.flatnonzero((outlines.panel == p) & (outlines.bbox[:, 4] <= z) & (outlines.bbox[:, 5] > z))
                cover_outlines(rows, outlines.bbox, outlines.offsets[rows], outlines.pixels, covered)
                add_frame(frame.image, frame.valid, float(frame.low), float(frame.high), covered, sums[p])
            advance(1)
    _check_any_pixel(sums, source)
    return tuple(PixelStatistics(*panel) for panel in sums)  # the five sums, in the order of the attributes


def _check_experiments(experiments: ExperimentList) -> None:
    """Raise XdpError unless each experiment has a profile model and rotates."""
    for i, experiment in enumerate(experiments):
        if experiment.profile is None:
            raise XdpError(f"experiment {i} has no profile model: give integrated.expt, as integration writes it")
        if experiment.is_still:
            raise XdpError(f"experiment {i} is a still: a background is modelled over a rotation series")


def _check_any_pixel(sums: Sequence[np.ndarray], source: FrameSource) -> None:
    if not any(panel[0].any() for panel in sums):
        raise XdpError(f"no pixel of {source.sweep.n_frames} images is background: check masks and exclude_images")


def _draw_footprints(experiments: ExperimentList, options: ModelBackgroundOptions) -> Footprints:
    """Where the reflections of all experiments lie."""
    from xdp.integration.measure import compute_foreground_radius
    from xdp.integration.plan.boxes import compute_bounding_boxes
    from xdp.integration.profiles.model import reuse_model
    from xdp.integration.shoeboxes.foreground import Footprints
    from xdp.prediction.predict import predict
    from xdp.reflections.table import ReflectionTable

    models, tables = [], []
    for i, experiment in enumerate(experiments):
        model = reuse_model(experiment.profile)
        # Boxes grow with the outlines: they hold five sigma as well.
        model = replace(model, n_sigma=model.n_sigma + WIDER)
        table = predict(experiment, options.prediction, index=i)
        tables.append(table.with_columns(bbox=compute_bounding_boxes(model, experiment, table)))
        models.append(model)
    table = ReflectionTable.concatenate(tables)
    radius = compute_foreground_radius(models, experiments, table)
    first = experiments[0].known
    return Footprints.of(np.arange(len(table)), table, first.detector, radius, first.beam.s0)
