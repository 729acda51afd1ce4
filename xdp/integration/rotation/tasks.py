"""The tasks of integration: each reads what it needs, and saves its result in the work folder.

There are three passes over the blocks of frames:

1. :func:`extract_block` decodes the frames of a block and cuts shoeboxes out of them.
2. :func:`process_block` assembles the shoeboxes of the reflections that the block owns, fits their backgrounds, sums
   their intensities, and adds the references among them to the reference profiles.
3. :func:`fit_block` fits the reference profiles to the shoeboxes (:func:`~xdp.integration.profiles.fit.fit_profiles`).

A task that needs the result of another one loads it, or makes it again where it is missing or damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from xdp.integration.background.slopes.fit import BackgroundShape
from xdp.integration.background.slopes.profile import estimate_radial_profile
from xdp.integration.hot_pixels.counts import PixelCounts
from xdp.integration.hot_pixels.detect import BadPixels, find_bad_pixels
from xdp.integration.measure import Measured, Plan, exclude_other_lattices, measure_shoeboxes, outline_neighbourhood
from xdp.integration.plan.sweeps import Sweep
from xdp.integration.profiles.fit import fit_profiles
from xdp.integration.profiles.reference import ReferenceGrid
from xdp.integration.rotation.block_work import BlockWork, list_experiments
from xdp.integration.rotation.measured_arrays import pack_measured, restore_boxes, restore_columns
from xdp.integration.rotation.scatter_sample import pack_scatter_sample
from xdp.integration.shoeboxes.extract import PackedBoxes, assemble, compute_box_offsets, extract
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.work.store import Arrays

BATCH_PIXELS = 1 << 20
"""Boxes of about this many pixels are measured at a time: their counts, masks and backgrounds take 9 MB, which stay in
the caches of a processor from pass to pass over them. A choice."""


def extract_block(work: BlockWork, number: int) -> None:
    """First pass: cut boxes out of the frames of one block, and save them sorted by the blocks that own them.

    A box that reaches into the next block is cut in parts, one in each block's result.

    Parameters
    ----------
    work : BlockWork
    number : int
        The block.
    """
    name = work.name_result("boxes", number)
    if work.store.has(name):
        return
    block, plan = work.blocks[number], work.plan
    source = plan.sources[block.sweep]
    # frames are read once for each subset, but their pixels are to be counted once
    counts = _make_counts(plan, source.sweep) if block.subset == 0 else None
    rows = work.find_rows(block)
    # by owner, and by row within an owner: so that each owner's boxes are one stretch, in order
    rows = rows[np.argsort(work.owner[rows], kind="stable")]
    boxes = extract(source, rows, plan.table["panel"], plan.table["bbox"], block.first, block.last,
                    None if counts is None else counts.add)
    arrays = {} if counts is None else {f"hot.{name}": array for name, array in counts.to_arrays().items()}
    for owner, part in boxes.split(work.owner[rows]):
        arrays |= part.arrays(_name_boxes(owner))
    work.store.save(name, arrays)


def _name_boxes(owner: int) -> str:
    """Name the boxes that block `owner` owns, in the result of another block."""
    return f"boxes.{owner}."


def _make_counts(plan: Plan, sweep: Sweep) -> PixelCounts | None:
    """Make the counter of all pixels; None where neither hot pixels nor the shape of the background are looked for."""
    if not (plan.options.integration.hot_pixels.mask or plan.follows_slopes) or sweep.model.is_still:
        return None
    detector = sweep.model.known.detector
    trusted = [(low, high) for low, high in (panel.trusted_range for panel in detector)]
    return PixelCounts((sweep.first, sweep.last), detector.panel_shapes, trusted)


def examine_sweep(work: BlockWork, number: int) -> tuple[BadPixels, BackgroundShape | None]:
    """Find the hot and dead pixels of a sweep and the shape of its background, from the counts of its blocks.

    Parameters
    ----------
    work : BlockWork
        After its first pass.
    number : int
        The sweep.

    Returns
    -------
    bad : BadPixels
        None of them, with the reason, where they are not looked for.
    shape : BackgroundShape or None
        None where backgrounds stay level.
    """
    plan, source = work.plan, work.plan.sources[number]
    counts = _make_counts(plan, source.sweep)
    is_counted = counts is not None
    if counts is None:
        counts = PixelCounts((source.sweep.first, source.sweep.last), source.sweep.model.known.detector.panel_shapes)
    else:
        for i, block in enumerate(work.blocks):
            if block.sweep == number and block.subset == 0:
                arrays = _load_result(work, i, "boxes", extract_block, ("hot.",))
                counts.merge(PixelCounts.from_arrays({name[4:]: array for name, array in arrays.items()
                                                      if name.startswith("hot.")}))
    bad = find_bad_pixels(source.sweep.experiments, counts, source.static_mask, plan.options.integration.hot_pixels,
                          models=[plan.models[i] for i in source.sweep.ids])
    if not (is_counted and plan.follows_slopes):
        return bad, None
    profile = estimate_radial_profile(source.sweep.model, counts, source.static_mask)
    return bad, None if profile is None else BackgroundShape(source.sweep.model, profile)


def load_boxes(work: BlockWork, number: int, owner: int) -> PackedBoxes | None:
    """Load the boxes that one block owns from the frames of another.

    Parameters
    ----------
    work : BlockWork
    number : int
        The block whose frames were read.
    owner : int
        The block that owns the boxes.

    Returns
    -------
    PackedBoxes or None
        None where there are none.
    """
    prefix = _name_boxes(owner)
    arrays = _load_result(work, number, "boxes", extract_block, (prefix,))
    return PackedBoxes(arrays, prefix) if f"{prefix}rows" in arrays else None


def process_block(work: BlockWork, number: int) -> None:
    """Second pass: measure the reflections that a block owns, and add up its references.

    Parameters
    ----------
    work : BlockWork
        With the bad pixels that were found after the first pass.
    number : int
        The block.
    """
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
    # a block owns reflections that end in it: their parts are in its own frames and in those of blocks before it
    first = bbox[rows, 4].min()
    found = (load_boxes(work, i, number) for i, other in enumerate(work.blocks[:number + 1])
             if other.sweep == block.sweep and other.subset == block.subset and other.last > first)
    parts = [part for part in found if part is not None]
    outlines = outline_neighbourhood(plan, sweep, rows)
    bad = work.bad[block.sweep] if work.bad else None
    shape = work.shapes[block.sweep] if work.shapes else None
    # whole boxes are several times as large as cores: they are kept only to be written
    keep_full = plan.options.integration.debug.output
    done = []
    # in batches, so that the many passes over the pixels of a box find them in the cache
    for batch in split_into_batches(rows, bbox):
        here = [part.between(int(batch[0]), int(batch[-1])) for part in parts]
        done.append(measure_shoeboxes(plan, sweep, assemble(batch, bbox, here), outlines, bad, keep_full,
                                      shape))
    result = Measured.concatenate(done)
    references = _sum_references(work, result)  # it sets flags that the other arrays hold
    work.store.save(name, pack_measured(result) | references | pack_scatter_sample(work, result)
                    | _compute_absorption(work, result))


def _compute_absorption(work: BlockWork, result: Measured) -> Arrays:
    """Compute the factors of each absorption correction and their standard deviations, while the pixels are here."""
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


def _sum_references(work: BlockWork, result: Measured) -> Arrays:
    """Sum the profiles of the references of each experiment, and flag those that were used."""
    arrays: Arrays = {}
    flags = result.columns["flags"]
    for i, table, at in _split_by_experiment(work, result.rows, result.columns):
        reference = ReferenceGrid(work.grids[i], _count_partitions(work))
        part = None if work.partition is None else work.partition[result.rows[at]]
        used = reference.accumulate(table, result.cores if len(at) == len(flags) else result.cores.select(at), part)
        # the flag tells users which reflections the profiles were learned from
        flags[at[used]] |= np.uint64(Flag.USED_IN_MODELLING)
        arrays |= {f"reference.{i}.{name}": array for name, array in _get_sums(reference).items()}
    return arrays


def _count_partitions(work: BlockWork) -> int:
    """Count the groups of references: one where profiles are not validated."""
    return 1 if work.partition is None else int(work.partition.max()) + 1


def _split_by_experiment(work: BlockWork, rows: np.ndarray, columns: Mapping[str, np.ndarray]
                         ) -> Iterator[tuple[int, ReflectionTable, np.ndarray]]:
    """Give, of each experiment whose profiles are fitted, its number, its reflections with columns, and their places.
    """
    table = work.plan.table
    ids = table["id"][rows]
    for i in work.grids if len(rows) else ():
        at = np.flatnonzero(ids == i)
        if len(at):
            # shares is no column of reflection tables: it says what overlaps, for the filters at the end
            found = {name: values[at] for name, values in columns.items() if name != "shares"}
            part = table.select(rows[at])
            yield i, part.with_columns(**(found | {"flags": part["flags"] | found["flags"]})), at


def merge_reference_sums(work: BlockWork) -> dict[int, ReferenceGrid]:
    """Add up the profile sums of the references of all blocks.

    Parameters
    ----------
    work : BlockWork
        After its second pass.

    Returns
    -------
    dict of int to ReferenceGrid
        By experiment. Sums are whole numbers, so that they do not depend on the order of blocks.
    """
    total = {i: ReferenceGrid(grid, _count_partitions(work)) for i, grid in work.grids.items()}
    for number in range(len(work.blocks)):
        arrays = load_sums(work, number, ("reference.",))
        for i, reference in total.items():
            for name, array in _get_sums(reference).items():
                if f"reference.{i}.{name}" in arrays:
                    array += arrays[f"reference.{i}.{name}"]
    return total


def _get_sums(reference: ReferenceGrid) -> Arrays:
    """Get the arrays of whole numbers of a ReferenceGrid, by name; names with an underscore are caches."""
    return {name: array for name, array in vars(reference).items()
            if isinstance(array, np.ndarray) and not name.startswith("_")}


def fit_block(work: BlockWork, number: int) -> None:
    """Third pass: fit profiles to the reflections that a block owns.

    Parameters
    ----------
    work : BlockWork
        With the reference profiles.
    number : int
        The block.
    """
    name = work.name_result("fits", number)
    if work.store.has(name):
        return
    arrays = load_sums(work, number, ("rows", "column.", "core."))
    rows = arrays["rows"]
    columns: Arrays = {}
    validation = np.full(len(rows), np.nan)  # NaN: not validated
    boxes = restore_boxes(arrays) if len(rows) else Shoeboxes.empty()
    for i, table, at in _split_by_experiment(work, rows, restore_columns(arrays)):
        part = boxes if len(at) == len(rows) else boxes.select(at)
        own, neighbours = _prepare_joint_fit(work, number, rows[at], part)
        fitted = fit_profiles(work.profiles[i], table, own, neighbours)
        for key, values in fitted.items():
            if key not in columns:
                # a variance of -1 says that there is no fit, here for experiments whose profiles are not fitted
                columns[key] = np.full(len(rows), -1.0 if key.endswith("variance") else 0, values.dtype)
            columns[key][at] = values
        if work.held_out:
            validation[at] = _correlate_held_out(work, i, table, own, work.partition[rows[at]])  # type: ignore[index]
    fits = {f"column.{key}": values for key, values in columns.items()}
    work.store.save(name, {"rows": rows, "validation": validation} | fits)


def _prepare_joint_fit(work: BlockWork, number: int, rows: np.ndarray, boxes: Shoeboxes
                       ) -> tuple[Shoeboxes, ReflectionTable | None]:
    """Prepare a fit with neighbours: take the pixels of other lattices out, and select all reflections of the lattice.
    """
    plan, i = work.plan, work.plan.table["id"][rows[0]]
    options = work.grids[i].options
    if options.fit_method != "detector_space" or not options.detector_space.deconvolution:
        return boxes, None
    sweep = plan.sweeps[work.blocks[number].sweep]
    return exclude_other_lattices(plan, sweep, rows, boxes), plan.table.select(plan.table["id"] == i)


def _correlate_held_out(work: BlockWork, i: int, table: ReflectionTable, boxes: Shoeboxes,
                        partition: np.ndarray) -> np.ndarray:
    """Correlate references with the profiles that were made without them; NaN for other reflections."""
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
    """Load the result of :func:`fit_block`.

    Parameters
    ----------
    work : BlockWork
    number : int
        The block.
    wanted : tuple of str
        Only arrays whose names begin with one of these are read: ``rows``, ``validation``, ``column.``.

    Returns
    -------
    dict of str to array
    """
    return _load_result(work, number, "fits", fit_block, wanted)


def _load_result(work: BlockWork, number: int, kind: str, make: Callable[[BlockWork, int], None],
                 wanted: tuple[str, ...] = ("",)) -> Arrays:
    """Load a result from the store; one that is missing or damaged is made again."""
    return work.store.load_or_make(work.name_result(kind, number), lambda: make(work, number), wanted)


def split_into_batches(rows: np.ndarray, bbox: np.ndarray) -> list[np.ndarray]:
    """Split rows into groups whose boxes have about :data:`BATCH_PIXELS` pixels.

    Parameters
    ----------
    rows : (n,) int64
        Rows of `bbox`.
    bbox : (m, 6) int32
        Half-open limits: fast, fast, slow, slow, frame, frame.

    Examples
    --------
    Four boxes of 512 x 512 pixels, two of which make a group:

    >>> import numpy as np
    >>> bbox = np.tile(np.array([0, 512, 0, 512, 0, 2], np.int32), (4, 1))
    >>> [batch.tolist() for batch in split_into_batches(np.arange(4), bbox)]
    [[0], [1, 2], [3]]
    """
    ends = compute_box_offsets(bbox[rows])[1:]
    return np.split(rows, np.flatnonzero(np.diff(ends // BATCH_PIXELS)) + 1)


def load_sums(work: BlockWork, number: int, wanted: tuple[str, ...] = ("",)) -> Arrays:
    """Load the result of :func:`process_block`.

    Parameters
    ----------
    work : BlockWork
    number : int
        The block.
    wanted : tuple of str
        Only arrays whose names begin with one of these are read: ``rows``, ``column.``, ``core.``, ``full.``,
        ``reference.``.

    Returns
    -------
    dict of str to array
    """
    return _load_result(work, number, "sums", process_block, wanted)
