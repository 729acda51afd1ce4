"""What is done with whole shoeboxes: masks, background, summation, and the cores that profiles are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xdp.integration import _kernels_sum
from xdp.integration.background import fit_background
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


@dataclass(frozen=True)
class Plan:
    """All that a task must know; it travels to workers once.

    Attributes
    ----------
    sources : tuple of FrameSource
        One a sweep.
    models : tuple
        Profile model of each experiment.
    table : ReflectionTable
        All predicted reflections.
    radius : (n,) float64
        Half opening angle of each reflection's foreground, radians.
    options : IntegrateOptions
    background : str
        The background algorithm, Auto decided.
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

    def keep_task_columns(self) -> Plan:
        """Only with the columns that tasks look at, since each worker gets them all."""
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
        """All rows, one part after the other."""
        columns = {name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns}
        full = None if parts[0].full is None else Shoeboxes.concatenate([p.full for p in parts if p.full is not None])
        return cls(np.concatenate([p.rows for p in parts]), columns,
                   Shoeboxes.concatenate([p.cores for p in parts]), full)


def compute_foreground_radius(models: Sequence[Any], experiments: Sequence[Any], table: ReflectionTable) -> np.ndarray:
    """Half opening angle of each reflection's foreground, n sigma of the divergence, radians (n,)."""
    radius = np.zeros(len(table))
    for i, (model, experiment) in enumerate(zip(models, experiments, strict=True)):
        rows = np.flatnonzero(table["id"] == i)
        radius[rows] = model.n_sigma * model.compute_widths(experiment, table["xyzcal.px"][rows, 2])[0]
    return radius


def outline_neighbourhood(plan: Plan, sweep: Sweep, rows: np.ndarray) -> Footprints:
    """The outlines of reflections and of all whose boxes share pixels with theirs."""
    bbox, table = plan.table["bbox"], plan.table
    first, last = (int(bbox[rows, 4].min()), int(bbox[rows, 5].max())) if len(rows) else (0, 0)
    near = sweep.rows(table["id"], bbox, first, last)
    detector = sweep.model.known.detector
    rows = add_neighbours(rows, near, table["panel"], bbox, detector)
    return Footprints.of(rows, table, detector, plan.radius)


def exclude_other_lattices(plan: Plan, sweep: Sweep, rows: np.ndarray, boxes: Shoeboxes) -> Shoeboxes:
    """Boxes of reflections of one experiment; pixels that belong to reflections of other experiments are not valid.

    The boxes may be smaller than those of the table.
    """
    if len(sweep.ids) == 1:
        return boxes
    table, ids, detector = plan.table, plan.table["id"], sweep.model.known.detector
    bbox = table["bbox"].copy()
    bbox[rows] = boxes.bbox
    near = np.isin(ids, sweep.ids) & (ids != ids[rows[0]])
    near &= (bbox[:, 4] < bbox[rows, 5].max()) & (bbox[:, 5] > bbox[rows, 4].min())
    found = add_neighbours(rows, np.flatnonzero(near), table["panel"], bbox, detector)
    outlines = Footprints.of(found, table.with_columns(bbox=bbox), detector, plan.radius)
    marked = replace(boxes, mask=np.zeros_like(boxes.mask))
    outlines.claiming(found[near[found]], detector).mark(rows, marked, sweep.first, sweep.last)
    is_foreign = (marked.mask & np.uint8(MaskCode.OVERLAPPED)) != 0
    return replace(boxes, mask=np.where(is_foreign, boxes.mask & ~np.uint8(MaskCode.VALID), boxes.mask))


def measure_shoeboxes(plan: Plan, sweep: Sweep, boxes: Boxes, outlines: Footprints, bad: BadPixels | None = None,
            keep_full: bool = False) -> Measured:
    """Mask, take the background from, and sum the boxes of one batch.

    Parameters
    ----------
    plan : Plan
    sweep : Sweep
        To which the boxes belong.
    boxes : Boxes
        Whole ones; their masks are changed.
    outlines : Footprints
        Of them and their neighbours.
    bad : BadPixels, optional
        Hot and dead pixels, which are not used.
    keep_full : bool
        Give the whole boxes too.
    """
    table, options = plan.table, plan.options.integration
    found = make_shoeboxes(boxes, table["panel"])
    if bad is not None and len(bad):
        mask_bad_pixels(found, bad)
    shares = outlines.mark(boxes.rows, found, sweep.first, sweep.last)
    if options.integrator == "flat3d":
        found = flatten_frames(found)
    background = fit_background(found, options.background, algorithm=plan.background)
    sums = sum_intensities(found)
    found.mask[:] &= ~np.uint8(_kernels_sum.OVERLOAD)
    flags = sums.flags.copy()
    flags[background.failed] &= ~np.uint64(Flag.INTEGRATED_SUM)  # what is summed is not the reflection's alone
    flags[background.failed] |= np.uint64(Flag.FAILED_DURING_BACKGROUND_MODELLING | Flag.FAILED_DURING_SUMMATION
                                          | Flag.DONT_INTEGRATE)
    threshold = options.profile.valid_foreground_threshold or 0.0
    flags[sums.valid_fraction < threshold] |= np.uint64(Flag.DONT_INTEGRATE)
    flags[shares & SHARES_FOREGROUND > 0] |= np.uint64(Flag.OVERLAPPED_FG)
    columns = {**sums.columns, **background.columns, "flags": flags, "shares": shares}
    return Measured(boxes.rows, columns, cut_cores(found), found if keep_full else None)


def flatten_frames(boxes: Shoeboxes) -> Shoeboxes:
    """Boxes with their frames summed into the middle one; a pixel is valid if it is on all of them."""
    bbox = boxes.bbox.copy()
    bbox[:, 4] = (boxes.bbox[:, 4] + boxes.bbox[:, 5]) // 2
    bbox[:, 5] = bbox[:, 4] + 1
    offsets = compute_box_offsets(bbox)
    data, mask = np.empty(offsets[-1], np.float32), np.empty(offsets[-1], np.uint8)
    _kernels_sum.flatten_boxes(boxes.offsets, offsets, boxes.data, boxes.mask, data, mask)
    return Shoeboxes(boxes.panel, bbox, offsets, data, mask)


def cut_cores(boxes: Shoeboxes) -> Shoeboxes:
    """The smallest boxes that hold the foreground of each."""
    bbox = boxes.bbox.copy()
    _kernels_sum.find_cores(boxes.bbox, boxes.offsets, boxes.mask, bbox)
    offsets = compute_box_offsets(bbox)
    parts = []
    for source in (boxes.data, boxes.mask, boxes.background):
        parts.append(np.empty(offsets[-1], source.dtype))
        _kernels_sum.copy_cores(boxes.bbox, bbox, boxes.offsets, offsets, source, parts[-1])
    return Shoeboxes(boxes.panel, bbox, offsets, *parts)
