"""Measure whole shoeboxes: mask pixels, fit the background, sum, and cut the cores that profiles are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xdp.integration import _kernels_sum
from xdp.integration.background import BackgroundResult, fit_background
from xdp.integration.background.slopes.fit import BackgroundShape, bend_backgrounds
from xdp.integration.hot_pixels.detect import BadPixels, mask_bad_pixels
from xdp.integration.options import IntegrateOptions
from xdp.integration.plan.sweeps import Sweep
from xdp.integration.shoeboxes.extract import Boxes, compute_box_offsets, make_shoeboxes
from xdp.integration.shoeboxes.foreground import SHARES_FOREGROUND, Footprints, add_neighbours
from xdp.integration.shoeboxes.frames import FrameSource
from xdp.integration.summation import sum_intensities
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

_TASK_COLUMNS = ("id", "panel", "bbox", "s1", "xyzcal.px", "flags", "partiality")
"""The columns of the predictions that tasks read; others stay in the driver."""


@dataclass(frozen=True)
class Plan:
    """All that a task must know; it is sent to workers once.

    Attributes
    ----------
    sources : tuple of FrameSource
        One a sweep.
    models : tuple
        Profile model of each experiment.
    table : ReflectionTable
        All predicted reflections.
    radius : (n, 2) or (n,) float64
        How far each reflection's foreground reaches, along e1 and e2 where these differ; radians.
    options : IntegrateOptions
    background : str
        The background algorithm; Auto has been resolved.
    chosen : (n,) bool or None
        Which reflections are integrated; None: all. The others are neighbours only.
    """

    sources: tuple[FrameSource, ...]
    models: tuple[Any, ...]
    table: ReflectionTable
    radius: np.ndarray
    options: IntegrateOptions
    background: str
    chosen: np.ndarray | None = None

    @property
    def sweeps(self) -> tuple[Sweep, ...]:
        """The sweeps of the sources."""
        return tuple(source.sweep for source in self.sources)

    @property
    def follows_slopes(self) -> bool:
        """Whether level backgrounds are to follow the slopes around them: not where the user chose an algorithm."""
        chosen = self.options.integration.background
        surfaces = {"glm": chosen.glm.model.algorithm, "simple": chosen.simple.model.algorithm}
        return chosen.follow_slopes and chosen.algorithm == "Auto" and surfaces.get(self.background) == "constant3d"

    def keep_task_columns(self) -> Plan:
        """Drop the columns that no task reads: each worker gets the whole table.

        Returns
        -------
        Plan
            The same plan, with ``id``, ``panel``, ``bbox``, ``s1``, ``xyzcal.px``, ``flags``, ``partiality`` and, where
            absorption is corrected, ``xyzcal.mm``.
        """
        # a user's absorption model is given the rotation angle, which is in xyzcal.mm
        names = (*_TASK_COLUMNS, "xyzcal.mm") if self.options.absorption_correction else _TASK_COLUMNS
        table = ReflectionTable({name: self.table[name] for name in names}, self.table.identifiers, len(self.table))
        return replace(self, table=table)


@dataclass
class Measured:
    """Integrated reflections, without profile fitting.

    Attributes
    ----------
    rows : (n,) int64
        Rows of the table.
    columns : dict of str to array
        What was found; ``flags`` holds bits to be set.
    cores : Shoeboxes
        The parts of their boxes that hold foreground.
    full : Shoeboxes or None
        The whole boxes, where they are asked for.
    """

    rows: np.ndarray
    columns: dict[str, np.ndarray]
    cores: Shoeboxes
    full: Shoeboxes | None = None

    @classmethod
    def concatenate(cls, parts: Sequence[Measured]) -> Measured:
        """Put parts together, one after the other.

        Parameters
        ----------
        parts : sequence of Measured
            At least one; all with the same columns.
        """
        columns = {name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns}
        full = None if parts[0].full is None else Shoeboxes.concatenate([p.full for p in parts if p.full is not None])
        return cls(np.concatenate([p.rows for p in parts]), columns,
                   Shoeboxes.concatenate([p.cores for p in parts]), full)


def compute_foreground_radius(models: Sequence[Any], experiments: Sequence[Any], table: ReflectionTable) -> np.ndarray:
    """How far each reflection's foreground reaches along e1 and e2: ``n_sigma`` times its sigma_b there.

    Parameters
    ----------
    models : sequence of GaussianRSModel
        Profile model of each experiment.
    experiments : sequence of Experiment
    table : ReflectionTable
        With ``id``, ``xyzcal.px``, ``s1`` and ``panel``.

    Returns
    -------
    (n, 2) float64, or (n,) where no model tells the axes apart
        Radians.
    """
    radius = np.zeros((len(table), 2))
    for i, (model, experiment) in enumerate(zip(models, experiments, strict=True)):
        rows = np.flatnonzero(table["id"] == i)
        part = ReflectionTable({name: table[name][rows] for name in ("s1", "panel", "xyzcal.px") if name in table})
        radius[rows] = model.n_sigma * model.compute_axis_widths(experiment, part)
    return radius[:, 0] if all(getattr(model, "spread", None) is None for model in models) else radius


def outline_neighbourhood(plan: Plan, sweep: Sweep, rows: np.ndarray) -> Footprints:
    """Outline reflections and all others whose boxes share pixels with theirs.

    Parameters
    ----------
    plan : Plan
    sweep : Sweep
        That of the reflections.
    rows : (n,) int64
        Rows of the plan's table.

    Returns
    -------
    Footprints
        Of the reflections and their neighbours, also those that are not integrated themselves.
    """
    bbox, table = plan.table["bbox"], plan.table
    first, last = (int(bbox[rows, 4].min()), int(bbox[rows, 5].max())) if len(rows) else (0, 0)
    # only boxes on the same frames can share pixels: this leaves few to compare
    near = sweep.rows(table["id"], bbox, first, last)
    detector = sweep.model.known.detector
    rows = add_neighbours(rows, near, table["panel"], bbox, detector)
    return Footprints.of(rows, table, detector, plan.radius, sweep.model.known.beam.s0)


def exclude_other_lattices(plan: Plan, sweep: Sweep, rows: np.ndarray, boxes: Shoeboxes) -> Shoeboxes:
    """Make pixels invalid that belong to reflections of other lattices on the same images.

    Parameters
    ----------
    plan : Plan
    sweep : Sweep
        That of the reflections.
    rows : (n,) int64
        Rows of the plan's table, all of one experiment.
    boxes : Shoeboxes
        Theirs; they may be smaller than ``bbox`` of the table.

    Returns
    -------
    Shoeboxes
        With masks of their own where the sweep has several lattices.
    """
    if len(sweep.ids) == 1:
        return boxes
    table, ids, detector = plan.table, plan.table["id"], sweep.model.known.detector
    bbox = table["bbox"].copy()
    bbox[rows] = boxes.bbox
    near = np.isin(ids, sweep.ids) & (ids != ids[rows[0]])
    near &= (bbox[:, 4] < bbox[rows, 5].max()) & (bbox[:, 5] > bbox[rows, 4].min())
    found = add_neighbours(rows, np.flatnonzero(near), table["panel"], bbox, detector)
    outlines = Footprints.of(found, table.with_columns(bbox=bbox), detector, plan.radius, sweep.model.known.beam.s0)
    # marked in an empty mask, so that bits which are set already do not count
    marked = replace(boxes, mask=np.zeros_like(boxes.mask))
    outlines.claiming(found[near[found]], detector).mark(rows, marked, sweep.first, sweep.last)
    is_foreign = (marked.mask & np.uint8(MaskCode.OVERLAPPED)) != 0
    return replace(boxes, mask=np.where(is_foreign, boxes.mask & ~np.uint8(MaskCode.VALID), boxes.mask))


def measure_shoeboxes(plan: Plan, sweep: Sweep, boxes: Boxes, outlines: Footprints, bad: BadPixels | None = None,
                      keep_full: bool = False, shape: BackgroundShape | None = None) -> Measured:
    """Mask the boxes of one batch, fit their backgrounds, and sum their intensities.

    Parameters
    ----------
    plan : Plan
    sweep : Sweep
        To which the boxes belong.
    boxes : Boxes
        Whole ones; their masks are changed.
    outlines : Footprints
        Of these reflections and their neighbours.
    bad : BadPixels, optional
        Hot and dead pixels, which are not used.
    keep_full : bool
        Return the whole boxes too, not only their cores.
    shape : BackgroundShape, optional
        Of the sweep's background, which levels follow; None: they stay level.

    Returns
    -------
    Measured
    """
    table, options = plan.table, plan.options.integration
    found = make_shoeboxes(boxes, table["panel"])
    # bad pixels first: neither outlines nor backgrounds may count on them
    if bad is not None and len(bad):
        mask_bad_pixels(found, bad)
    shares = outlines.mark(boxes.rows, found, sweep.first, sweep.last)
    if options.integrator == "flat3d":
        found = flatten_frames(found)
    background = fit_background(found, options.background, algorithm=plan.background)
    if shape is not None:
        _bend_backgrounds(plan, shape, boxes.rows, found, background)
    sums = sum_intensities(found)
    # the bit has been used by the sums, and readers of the file would take it for another
    found.mask[:] &= ~np.uint8(_kernels_sum.OVERLOAD)
    flags = sums.flags.copy()
    # without its background the sum is not the reflection's alone
    flags[background.failed] &= ~np.uint64(Flag.INTEGRATED_SUM)
    flags[background.failed] |= np.uint64(Flag.FAILED_DURING_BACKGROUND_MODELLING | Flag.FAILED_DURING_SUMMATION
                                          | Flag.DONT_INTEGRATE)
    threshold = options.profile.valid_foreground_threshold or 0.0
    flags[sums.valid_fraction < threshold] |= np.uint64(Flag.DONT_INTEGRATE)
    flags[shares & SHARES_FOREGROUND > 0] |= np.uint64(Flag.OVERLAPPED_FG)
    columns = {**sums.columns, **background.columns, "flags": flags, "shares": shares}
    return Measured(boxes.rows, columns, cut_cores(found), found if keep_full else None)


def _bend_backgrounds(plan: Plan, shape: BackgroundShape, rows: np.ndarray, boxes: Shoeboxes, level: BackgroundResult
                      ) -> None:
    """Let the level backgrounds of boxes follow the slopes around them."""
    glm = plan.options.integration.background.glm
    # by least squares the variance is that of the pixels, and residuals count whole
    tuning = glm.robust.tuning_constant if plan.background == "glm" else None
    bend_backgrounds(boxes, shape, plan.table["xyzcal.px"][rows, :2], mean=level.columns["background.mean"],
                     tuning=tuning, dispersion=level.columns.get("background.dispersion"))


def flatten_frames(boxes: Shoeboxes) -> Shoeboxes:
    """Sum the frames of each box into its middle frame.

    Parameters
    ----------
    boxes : Shoeboxes
        With data and masks.

    Returns
    -------
    Shoeboxes
        Of one frame each; a pixel is valid if it is valid on all frames.
    """
    bbox = boxes.bbox.copy()
    bbox[:, 4] = (boxes.bbox[:, 4] + boxes.bbox[:, 5]) // 2
    bbox[:, 5] = bbox[:, 4] + 1
    offsets = compute_box_offsets(bbox)
    data, mask = np.empty(offsets[-1], np.float32), np.empty(offsets[-1], np.uint8)
    _kernels_sum.flatten_boxes(boxes.offsets, offsets, boxes.data, boxes.mask, data, mask)
    return Shoeboxes(boxes.panel, bbox, offsets, data, mask)


def cut_cores(boxes: Shoeboxes) -> Shoeboxes:
    """Cut the smallest box around the foreground out of each box.

    Profile fitting looks at the foreground only, and the background around it is several times as large.

    Parameters
    ----------
    boxes : Shoeboxes
        With masks and backgrounds.

    Returns
    -------
    Shoeboxes
        A box without foreground has no pixels.
    """
    bbox = boxes.bbox.copy()
    _kernels_sum.find_cores(boxes.bbox, boxes.offsets, boxes.mask, bbox)
    offsets = compute_box_offsets(bbox)
    parts = []
    for source in (boxes.data, boxes.mask, boxes.background):
        parts.append(np.empty(offsets[-1], source.dtype))
        _kernels_sum.copy_cores(boxes.bbox, bbox, boxes.offsets, offsets, source, parts[-1])
    return Shoeboxes(boxes.panel, bbox, offsets, *parts)
