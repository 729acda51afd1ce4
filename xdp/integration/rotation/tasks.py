"""The tasks of integration: each reads what it needs, and leaves its result in the work folder.

Three passes over the blocks. The first decodes the frames and cuts the boxes. The second puts together the boxes that
end in a block, takes off the background, sums, and adds up reference profiles. The third fits them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xdp.experiment import Experiment
from xdp.integration.hot_pixels.counts import PixelCounts
from xdp.integration.hot_pixels.detect import BadPixels, find_bad_pixels
from xdp.integration.measure import Measured, Plan, exclude_other_lattices, measure_shoeboxes, outline_neighbourhood
from xdp.integration.plan.blocks import Block
from xdp.integration.plan.sweeps import Sweep
from xdp.integration.profiles.fit import fit_profiles
from xdp.integration.profiles.reference import ProfileGrid, ReferenceGrid, ReferenceProfiles
from xdp.integration.shoeboxes.extract import PackedBoxes, assemble, compute_box_offsets, extract
from xdp.integration.shoeboxes.packing import pack_counts, unpack_counts
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.work.store import Arrays, ResultStore

BATCH_PIXELS = 1 << 20
"""Boxes of about so many pixels are processed at a time, so that they stay in the processor's caches."""

_OF_BOXES = ("panel", "bbox", "offsets", "mask", "background")


@dataclass(frozen=True)
class BlockWork:
    """What all tasks share.

    Attributes
    ----------
    plan : Plan
    blocks : tuple of Block
    owner : (n,) int64
        The block that owns each reflection; -1 where it is not integrated.
    names : tuple of str
        Key of each block, in the names of its results.
    cut : str
        Key of how the frames are divided into blocks: the first pass sorts boxes by the blocks that own them.
    store : ResultStore
    bad : tuple of BadPixels
        Hot and dead pixels of each sweep, once they are known.
    grids : dict of int to ProfileGrid
        For each experiment whose profiles are fitted.
    partition : (n,) int64 or None
        Group of each reference reflection, where profiles are validated.
    profiles : dict of int to ReferenceProfiles
        The finished profiles of each experiment, once they are known.
    held_out : dict of (int, int) to ReferenceProfiles
        By experiment and group, profiles that were made without that group of references.
    """

    plan: Plan
    blocks: tuple[Block, ...]
    owner: np.ndarray
    names: tuple[str, ...]
    store: ResultStore
    bad: tuple[BadPixels, ...] = ()
    grids: Mapping[int, ProfileGrid] = field(default_factory=dict)
    partition: np.ndarray | None = None
    profiles: Mapping[int, ReferenceProfiles] = field(default_factory=dict)
    held_out: Mapping[tuple[int, int], ReferenceProfiles] = field(default_factory=dict)
    cut: str = ""

    @property
    def pass_results(self) -> dict[str, Any]:
        """The fields that one pass finds for those after it."""
        return {"bad": self.bad, "profiles": self.profiles, "held_out": self.held_out}

    def name_result(self, kind: str, number: int) -> str:
        """The name of a block's result of one kind."""
        return f"{kind}-{self.names[number]}{self.cut if kind == 'boxes' else ''}"

    def find_rows(self, block: Block) -> np.ndarray:
        """Reflections to integrate whose boxes meet the frames of a block, ascending."""
        table = self.plan.table
        rows = self.plan.sweeps[block.sweep].rows(table["id"], table["bbox"], block.first, block.last)
        rows = rows[self.owner[rows] >= 0]
        n_subsets = self.plan.options.integration.mp.multiprocessing.n_subset_split or 1
        return rows[rows % n_subsets == block.subset]


def extract_block(work: BlockWork, number: int) -> None:
    """First pass: the boxes of one block, as far as its frames hold them, sorted by the blocks that own them."""
    name = work.name_result("boxes", number)
    if work.store.has(name):
        return
    block, plan = work.blocks[number], work.plan
    source = plan.sources[block.sweep]
    counts = _make_counts(plan, source.sweep) if block.subset == 0 else None
    rows = work.find_rows(block)
    rows = rows[np.argsort(work.owner[rows], kind="stable")]
    boxes = extract(source, rows, plan.table["panel"], plan.table["bbox"], block.first, block.last,
                    None if counts is None else counts.add)
    arrays = {} if counts is None else {f"hot.{name}": array for name, array in counts.to_arrays().items()}
    for owner, part in boxes.split(work.owner[rows]):
        arrays |= part.arrays(_name_boxes(owner))
    work.store.save(name, arrays)


def _name_boxes(owner: int) -> str:
    """What the names of the boxes that block `owner` owns begin with."""
    return f"boxes.{owner}."


def _make_counts(plan: Plan, sweep: Sweep) -> PixelCounts | None:
    """What counts all pixels, where hot ones are sought."""
    if not plan.options.integration.hot_pixels.mask or sweep.model.is_still:
        return None
    detector = sweep.model.known.detector
    return PixelCounts((sweep.first, sweep.last), detector.panel_shapes, [p.trusted_range for p in detector])


def find_sweep_bad_pixels(work: BlockWork, number: int) -> BadPixels:
    """The hot and dead pixels of a sweep, from the counts of its blocks."""
    plan, source = work.plan, work.plan.sources[number]
    counts = _make_counts(plan, source.sweep) or PixelCounts((source.sweep.first, source.sweep.last),
                                                             source.sweep.model.known.detector.panel_shapes)
    if plan.options.integration.hot_pixels.mask and not source.sweep.model.is_still:
        for i, block in enumerate(work.blocks):
            if block.sweep == number and block.subset == 0:
                arrays = _load_result(work, i, "boxes", extract_block, ("hot.",))
                counts.merge(PixelCounts.from_arrays({name[4:]: array for name, array in arrays.items()
                                                      if name.startswith("hot.")}))
    return find_bad_pixels(source.sweep.experiments, counts, source.static_mask, plan.options.integration.hot_pixels,
                           models=[plan.models[i] for i in source.sweep.ids])


def load_boxes(work: BlockWork, number: int, owner: int) -> PackedBoxes | None:
    """Of the boxes of :func:`extract_block` those that block `owner` owns; None where there are none."""
    prefix = _name_boxes(owner)
    arrays = _load_result(work, number, "boxes", extract_block, (prefix,))
    return PackedBoxes(arrays, prefix) if f"{prefix}rows" in arrays else None


def process_block(work: BlockWork, number: int) -> None:
    """Second pass: the reflections that a block owns."""
    name = work.name_result("sums", number)
    if work.store.has(name):
        return
    plan, block = work.plan, work.blocks[number]
    rows = np.flatnonzero(work.owner == number)
    if not len(rows):
        work.store.save(name, {"rows": rows})
        return
    bbox = plan.table["bbox"]
    sweep = plan.sweeps[block.sweep]
    first = bbox[rows, 4].min()
    found = (load_boxes(work, i, number) for i, other in enumerate(work.blocks[:number + 1])
             if other.sweep == block.sweep and other.subset == block.subset and other.last > first)
    parts = [part for part in found if part is not None]
    outlines = outline_neighbourhood(plan, sweep, rows)
    bad = work.bad[block.sweep] if work.bad else None
    keep_full = plan.options.integration.debug.output
    done = []
    for batch in split_into_batches(rows, bbox):
        here = [part.between(int(batch[0]), int(batch[-1])) for part in parts]
        done.append(measure_shoeboxes(plan, sweep, assemble(batch, bbox, here), outlines, bad, keep_full))
    result = Measured.concatenate(done)
    work.store.save(name, pack_measured(result) | _sum_references(work, result) | _compute_absorption(work, result))


def _compute_absorption(work: BlockWork, result: Measured) -> Arrays:
    """Factors of each correction for absorption that looks at the pixels, and their standard deviations."""
    from xdp.integration.corrections.absorption import compute_absorption_factors

    arrays: Arrays = {}
    experiments = list_experiments(work.plan)
    for k, options in enumerate(work.plan.options.absorption_correction):
        if options.apply:
            table = work.plan.table.select(result.rows)
            factors, sigmas = compute_absorption_factors(experiments, table, result.cores, options)
            arrays[f"column.absorption.{k}"] = factors
            if sigmas is not None:
                arrays[f"column.absorption_sigma.{k}"] = sigmas
    return arrays


def list_experiments(plan: Plan) -> list[Experiment]:
    """The experiments in the order of their numbers."""
    found = {i: e for sweep in plan.sweeps for i, e in zip(sweep.ids, sweep.experiments, strict=True)}
    return [found[i] for i in sorted(found)]


def _sum_references(work: BlockWork, result: Measured) -> Arrays:
    """Sums of the reference reflections of each experiment; the used ones are flagged."""
    arrays: Arrays = {}
    flags = result.columns["flags"]
    for i, table, at in _split_by_experiment(work, result.rows, result.columns):
        reference = ReferenceGrid(work.grids[i], _count_partitions(work))
        part = None if work.partition is None else work.partition[result.rows[at]]
        used = reference.accumulate(table, result.cores if len(at) == len(flags) else result.cores.select(at), part)
        flags[at[used]] |= np.uint64(Flag.USED_IN_MODELLING)
        arrays |= {f"reference.{i}.{name}": array for name, array in _get_sums(reference).items()}
    return arrays


def _count_partitions(work: BlockWork) -> int:
    return 1 if work.partition is None else int(work.partition.max()) + 1


def _split_by_experiment(work: BlockWork, rows: np.ndarray, columns: Mapping[str, np.ndarray]
                         ) -> Iterator[tuple[int, ReflectionTable, np.ndarray]]:
    """Of each experiment whose profiles are fitted: its number, its reflections with their columns, and which they are.
    """
    table = work.plan.table
    ids = table["id"][rows]
    for i in work.grids if len(rows) else ():
        at = np.flatnonzero(ids == i)
        if len(at):
            found = {name: values[at] for name, values in columns.items() if name != "shares"}
            part = table.select(rows[at])
            yield i, part.with_columns(**(found | {"flags": part["flags"] | found["flags"]})), at


def merge_reference_sums(work: BlockWork) -> dict[int, ReferenceGrid]:
    """The sums of the reference reflections of all blocks, for each experiment."""
    total = {i: ReferenceGrid(grid, _count_partitions(work)) for i, grid in work.grids.items()}
    for number in range(len(work.blocks)):
        arrays = load_sums(work, number, ("reference.",))
        for i, reference in total.items():
            for name, array in _get_sums(reference).items():
                if f"reference.{i}.{name}" in arrays:
                    array += arrays[f"reference.{i}.{name}"]
    return total


def _get_sums(reference: ReferenceGrid) -> Arrays:
    """The arrays of whole numbers that a ReferenceGrid consists of."""
    return {name: array for name, array in vars(reference).items()
            if isinstance(array, np.ndarray) and not name.startswith("_")}


def fit_block(work: BlockWork, number: int) -> None:
    """Third pass: fit profiles to the reflections that a block owns."""
    name = work.name_result("fits", number)
    if work.store.has(name):
        return
    arrays = load_sums(work, number, ("rows", "column.", "core."))
    rows = arrays["rows"]
    columns: Arrays = {}
    validation = np.full(len(rows), np.nan)
    boxes = restore_boxes(arrays) if len(rows) else Shoeboxes.empty()
    for i, table, at in _split_by_experiment(work, rows, restore_columns(arrays)):
        part = boxes if len(at) == len(rows) else boxes.select(at)
        own, neighbours = _prepare_joint_fit(work, number, rows[at], part)
        fitted = fit_profiles(work.profiles[i], table, own, neighbours)
        for key, values in fitted.items():
            if key not in columns:
                columns[key] = np.full(len(rows), -1.0 if key.endswith("variance") else 0, values.dtype)
            columns[key][at] = values
        if work.held_out:
            validation[at] = _correlate_held_out(work, i, table, own, work.partition[rows[at]])  # type: ignore[index]
    fits = {f"column.{key}": values for key, values in columns.items()}
    work.store.save(name, {"rows": rows, "validation": validation} | fits)


def _prepare_joint_fit(work: BlockWork, number: int, rows: np.ndarray, boxes: Shoeboxes
                       ) -> tuple[Shoeboxes, ReflectionTable | None]:
    """Where neighbours are fitted too: boxes without pixels of other lattices, and all reflections of the lattice."""
    plan, i = work.plan, work.plan.table["id"][rows[0]]
    options = work.grids[i].options
    if options.fit_method != "detector_space" or not options.detector_space.deconvolution:
        return boxes, None
    sweep = plan.sweeps[work.blocks[number].sweep]
    return exclude_other_lattices(plan, sweep, rows, boxes), plan.table.select(plan.table["id"] == i)


def _correlate_held_out(work: BlockWork, i: int, table: ReflectionTable, boxes: Shoeboxes,
                        partition: np.ndarray) -> np.ndarray:
    """Correlations of reference reflections with the profiles that were made without them; NaN for others."""
    found = np.full(len(table), np.nan)
    is_reference = table.flags(Flag.USED_IN_MODELLING)
    for (number, group), profiles in work.held_out.items():
        mine = np.flatnonzero((partition == group) & is_reference)
        if number == i and len(mine):
            fitted = fit_profiles(profiles, table.select(mine), boxes.select(mine))
            is_fitted = fitted["intensity.prf.variance"] > 0
            found[mine[is_fitted]] = fitted["profile.correlation"][is_fitted]
    return found


def load_fits(work: BlockWork, number: int, wanted: tuple[str, ...] = ("",)) -> Arrays:
    """The result of :func:`fit_block`, as :func:`load_sums`."""
    return _load_result(work, number, "fits", fit_block, wanted)


def _load_result(work: BlockWork, number: int, kind: str, make: Callable[[BlockWork, int], None],
                 wanted: tuple[str, ...] = ("",)) -> Arrays:
    """A result from the store; one that is missing or damaged is made again."""
    return work.store.load_or_make(work.name_result(kind, number), lambda: make(work, number), wanted)


def split_into_batches(rows: np.ndarray, bbox: np.ndarray) -> list[np.ndarray]:
    """Rows in groups of about :data:`BATCH_PIXELS` pixels."""
    ends = compute_box_offsets(bbox[rows])[1:]
    return np.split(rows, np.flatnonzero(np.diff(ends // BATCH_PIXELS)) + 1)


def pack_measured(result: Measured) -> Arrays:
    """A result as plain arrays."""
    arrays = {"rows": result.rows} | {f"column.{name}": column for name, column in result.columns.items()}
    for kind, boxes in (("core", result.cores), ("full", result.full)):
        if boxes is not None:
            arrays |= {f"{kind}.{name}": getattr(boxes, name) for name in _OF_BOXES}
            arrays |= pack_counts(boxes.data, f"{kind}.data.")
    return arrays


def restore_columns(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The columns of a result."""
    return {name[7:]: array for name, array in arrays.items() if name.startswith("column.")}


def restore_boxes(arrays: Mapping[str, np.ndarray], kind: str = "core") -> Shoeboxes:
    """The cores of a result, or its whole boxes (`kind` "full")."""
    data = unpack_counts(arrays, f"{kind}.data.")
    return Shoeboxes(data=data, **{name: arrays[f"{kind}.{name}"] for name in _OF_BOXES})


def load_sums(work: BlockWork, number: int, wanted: tuple[str, ...] = ("",)) -> Arrays:
    """The result of :func:`process_block`; of a file only arrays whose names begin as `wanted`."""
    return _load_result(work, number, "sums", process_block, wanted)
