"""From models and reference spots to the list of reflections that will be integrated, with their boxes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment, ExperimentList
from xdp.experiment.image_files import name_sweep
from xdp.integration.corrections.absorption import check_absorption
from xdp.integration.options import IntegrateOptions, SamplingOptions
from xdp.integration.plan.matching import mark_reference, select_reference
from xdp.integration.plan.selection import renumber_experiments, split_for_scan_ranges
from xdp.integration.plan.unused import warn_of_unused
from xdp.logs import log_subject
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.work.cores import count_driver_threads
from xdp.work.tasks import run_tasks

log = logging.getLogger(__name__)

FULL_PARTIALITY = 0.997300203937 - 1e-7
"""Reflections of this partiality count as fully recorded: the part of a Gaussian within 3 sigma, less a rounding error.
Boxes reach to ``n_sigma`` = 3 sigma by default, and so never hold more."""


@dataclass(frozen=True)
class Prepared:
    """What is to be integrated.

    Attributes
    ----------
    experiments : ExperimentList
        Those that have reflections, their ``profile`` set.
    models : tuple
        The profile model of each.
    table : ReflectionTable
        All predicted reflections with ``bbox``, ``zeta``, ``partiality``, ``d`` and flags, in canonical order: by
        experiment, then as predicted.
    unused_spots : ReflectionTable or None
        Reference spots that could not be used.
    chosen : (n,) bool or None
        Which reflections are integrated; None: all. The others keep their pixels from their neighbours.
    listed : (n,) bool or None
        Which reflections the result has rows of; None: all. Those that are not integrated are only written where
        ``output_unintegrated_reflections`` asks for them.
    """

    experiments: ExperimentList
    models: tuple[Any, ...]
    table: ReflectionTable
    unused_spots: ReflectionTable | None
    chosen: np.ndarray | None = None
    listed: np.ndarray | None = None


def prepare(experiments: ExperimentList, reference: ReflectionTable | None, options: IntegrateOptions) -> Prepared:
    """Predict reflections, match them with the reference spots, make profile models and boxes.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals and images.
    reference : ReflectionTable or None
        The spots that the models were refined against; None: the experiments' own profile models serve.
    options : IntegrateOptions

    Returns
    -------
    Prepared

    Raises
    ------
    XdpError
        If models or reference spots do not serve.
    """
    unused_spots: list[ReflectionTable] = []
    if reference is not None:
        reference, unusable = select_reference(reference)
        unused_spots.append(_renumber_for_ranges(experiments, unusable, options))
    experiments, reference = split_for_scan_ranges(experiments, reference, options.scan_range)
    predicted = _predict_all(experiments, options)
    if reference is not None:
        observed = reference
        reference, is_unmatched = mark_reference(predicted, observed, count_driver_threads(options.integration.mp))
        unused_spots.append(observed.select(is_unmatched))
        experiments, predicted, reference, unused_spots = _keep_matched(experiments, predicted, reference,
                                                                          unused_spots)
    experiments, models = _make_models(experiments, reference, options)
    _add_boxes(experiments, models, predicted, options)
    # The sample is drawn before reflections are split into frames, so that all parts of one are in it or none.
    is_sampled = _find_sampled(experiments, predicted, options)
    if options.integration.integrator in ("2d", "single2d"):
        predicted = _split_frames(experiments, models, predicted)
    listed = _choose_rows(predicted, is_sampled, options)
    chosen = _leave_out_near_axis(predicted, listed, options)
    return Prepared(experiments, models, predicted, _concatenate_common(unused_spots), chosen, listed)


def _renumber_for_ranges(experiments: ExperimentList, spots: ReflectionTable, options: IntegrateOptions
                         ) -> ReflectionTable:
    """Spots with the numbers that experiments have once the scan is cut to its ranges."""
    return split_for_scan_ranges(experiments, spots, options.scan_range)[1] or ReflectionTable()


def _run_each(function: Callable, experiments: Sequence[Experiment], options: IntegrateOptions) -> list:
    """``function(experiment, i)`` of all experiments, on as many threads of this process as tasks run at a time."""
    def call_for(all_: Sequence[Experiment], i: int) -> Any:
        # Here, since what a thread logs does not know where it was started.
        with log_subject(name_sweep(all_, i)):
            return function(all_[i], i)

    return list(run_tasks(call_for, experiments, [(i,) for i in range(len(experiments))],
                          n_threads=count_driver_threads(options.integration.mp)))


def _predict_all(experiments: Sequence[Experiment], options: IntegrateOptions) -> ReflectionTable:
    """The reflections of all experiments, one after the other."""
    from xdp.prediction.predict import predict

    image_sets = {key: n for n, key in enumerate(dict.fromkeys(id(e.imageset) for e in experiments))}

    def of_one(experiment: Experiment, i: int) -> ReflectionTable:
        table = predict(experiment, options.prediction, index=i)
        table["imageset_id"] = np.full(len(table), image_sets[id(experiment.imageset)], np.int32)
        return table

    result = ReflectionTable.concatenate(_run_each(of_one, experiments, options))
    if not len(result):
        raise XdpError("no reflection is predicted on the images: check prediction.d_min, prediction.d_max and the "
                       "models")
    return result


def _keep_matched(experiments: ExperimentList, predicted: ReflectionTable, reference: ReflectionTable,
                    unused_spots: list[ReflectionTable]) -> tuple:
    """Only experiments with matched reference spots, where there are several."""
    has = np.isin(np.arange(len(experiments)), reference["id"])
    if len(experiments) == 1 or has.all():
        return experiments, predicted, reference, unused_spots
    for i in np.flatnonzero(~has).tolist():
        with log_subject(name_sweep(experiments, i)):
            log.warning("Experiment %d is left out: none of its reference spots was predicted", i)
    kept = ExperimentList([e for e, keep in zip(experiments, has, strict=True) if keep], experiments.extra)
    predicted, reference = (renumber_experiments(table, has) for table in (predicted, reference))
    return kept, predicted, reference, [renumber_experiments(t, has) for t in unused_spots]


def draw_sample(experiments: Sequence[Experiment], table: ReflectionTable, options: SamplingOptions) -> np.ndarray:
    """Draw a random sample of the reflections.

    Parameters
    ----------
    experiments : sequence of Experiment
    table : ReflectionTable
        With ``id``.
    options : SamplingOptions
        How many are drawn of each experiment, and the seed.

    Returns
    -------
    (k,) int64
        Rows, experiment by experiment, ascending.
    """
    generator = np.random.default_rng(options.random_seed)
    chosen = []
    for i, experiment in enumerate(experiments):
        rows = np.flatnonzero(table["id"] == i)
        size = len(rows)
        # Reflections for each degree, but never fewer than the minimum: a short wedge needs enough for its profiles.
        if not experiment.is_still and options.reflections_per_degree:
            width = abs(experiment.known.scan.oscillation[1]) * experiment.known.scan.n_frames
            size = int(options.reflections_per_degree * width)
        size = max(size, options.minimum_sample_size or 0)
        if options.maximum_sample_size:
            size = min(size, options.maximum_sample_size)
        chosen.append(rows if size >= len(rows) else np.sort(generator.choice(rows, size, replace=False)))
    return np.concatenate(chosen)


def _find_sampled(experiments: Sequence[Experiment], table: ReflectionTable, options: IntegrateOptions
             ) -> np.ndarray | None:
    """Which reflections are in the sample, bool (n,); None: all."""
    if options.sampling.integrate_all_reflections:
        return None
    is_sampled = np.zeros(len(table), bool)
    is_sampled[draw_sample(experiments, table, options.sampling)] = True
    return is_sampled


def _make_models(experiments: ExperimentList, reference: ReflectionTable | None, options: IntegrateOptions
              ) -> tuple[ExperimentList, tuple]:
    """The experiments with their profile models."""
    models = _run_each(lambda e, i: _make_one_model(i, e, reference, options), experiments, options)
    for i, (experiment, model) in enumerate(zip(experiments, models, strict=True)):
        if not experiment.is_still and not np.all(model.sigma_m > 0.0):
            raise XdpError(f"experiment {i} rotates, but its profile model has sigma_m = 0: give both "
                           "profile.gaussian_rs.parameters.sigma_b and sigma_m above 0")
    made = [replace(e, profile=m.to_dict()) for e, m in zip(experiments, models, strict=True)]
    return ExperimentList(made, experiments.extra), tuple(models)


def _make_one_model(i: int, experiment: Experiment, reference: ReflectionTable | None, options: IntegrateOptions
                    ) -> Any:
    """The profile model of an experiment: of its reference spots, else the one it has."""
    from xdp.integration.profiles.model import make_model

    if reference is not None:
        rows = reference["id"] == i
        reference = reference if rows.all() else reference.select(rows)
    try:
        return make_model(experiment, reference, options.profile.gaussian_rs, create=options.create_profile_model)
    except XdpError as error:
        raise type(error)(f"experiment {i}: {error}") from error


def _add_boxes(experiments: ExperimentList, models: Sequence[Any], table: ReflectionTable, options: IntegrateOptions
               ) -> None:
    """Columns that need the profile model: ``bbox``, ``partiality``, and flags of what is not to be integrated."""
    from xdp.integration.plan.boxes import compute_bounding_boxes, compute_recorded_fraction

    multiplier = options.integration.profile.sigma_b_multiplier or 1.0
    limits = np.searchsorted(table["id"], np.arange(len(experiments) + 1))
    names = [name for name in ("s1", "panel", "xyzcal.px", "zeta") if name in table]

    def of_one(experiment: Experiment, i: int) -> tuple[np.ndarray, np.ndarray]:
        part = ReflectionTable({name: table[name][limits[i]:limits[i + 1]] for name in names})
        part["bbox"] = compute_bounding_boxes(models[i], experiment, part, sigma_b_multiplier=multiplier)
        return part["bbox"], compute_recorded_fraction(models[i], experiment, part)

    boxes, shares = zip(*_run_each(of_one, experiments, options), strict=True)
    table["bbox"], table["partiality"] = np.concatenate(boxes), np.concatenate(shares)
    # Close to the rotation axis a reflection stays on the sphere for many frames: its Lorentz factor is hardly known.
    min_zeta = options.integration.filter.min_zeta or 0.0
    flags = table["flags"].copy()
    if "zeta" in table:
        flags[np.abs(table["zeta"]) < min_zeta] |= np.uint64(Flag.DONT_INTEGRATE)
    if options.integration.filter.ice_rings:
        from xdp.prediction.ice_rings import is_in_ice_ring

        flags[is_in_ice_ring(table["d"])] |= np.uint64(Flag.IN_POWDER_RING)
    table["flags"] = flags
    table["partial_id"] = np.arange(len(table), dtype=np.uint64)


def _split_frames(experiments: ExperimentList, models: Sequence[Any], table: ReflectionTable) -> ReflectionTable:
    """Each reflection as its parts on single frames, with the partiality of each."""
    from xdp.integration.plan.boxes import compute_recorded_fraction

    bbox = table["bbox"]
    depth = bbox[:, 5] - bbox[:, 4]
    # Row i `depth[i]` times, and how many frames into its box each copy lies.
    rows = np.repeat(np.arange(len(table)), depth)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(depth) - depth, depth)
    parts = table.select(rows)
    parts["bbox"] = np.column_stack([parts["bbox"][:, :4], bbox[rows, 4] + within, bbox[rows, 4] + within + 1])
    share = np.empty(len(parts))
    for i, (experiment, model) in enumerate(zip(experiments, models, strict=True)):
        mine = np.flatnonzero(parts["id"] == i)
        share[mine] = compute_recorded_fraction(model, experiment, parts.select(mine))
    parts["partiality"] = share
    log.info(" %d reflections are integrated frame by frame, in %d parts", len(table), len(parts))
    return parts


def _choose_rows(table: ReflectionTable, is_sampled: np.ndarray | None, options: IntegrateOptions) -> np.ndarray | None:
    """Which rows the result has, bool (n,); None: all.

    Those of the sample, less those whose boxes lie too far within the boxes of others. The rest, which remain as
    neighbours only, lose the flag REFERENCE_SPOT.
    """
    keep = np.ones(len(table), bool) if is_sampled is None else is_sampled[table["partial_id"]]
    limit = options.integration.filter.max_shoebox_overlap
    if limit is not None and limit < 1.0:
        from xdp.integration.shoeboxes.foreground import compute_covered_fraction

        is_covered = compute_covered_fraction(table["imageset_id"], table["panel"], table["bbox"]) > limit
        log.info("%d reflections are left out: more than %g of their shoeboxes lies in others",
                 np.count_nonzero(keep & is_covered), limit)
        keep &= ~is_covered
    if keep.all():
        return None
    if not keep.any():
        raise XdpError("no reflection is left to be integrated: raise sampling.minimum_sample_size or "
                       "integration.filter.max_shoebox_overlap")
    table["flags"] = np.where(keep, table["flags"], table["flags"] & ~np.uint64(Flag.REFERENCE_SPOT))
    return keep


def _concatenate_common(tables: Sequence[ReflectionTable]) -> ReflectionTable | None:
    """The rows of tables that may differ in columns: those that all have."""
    # Spots that were predicted have more columns than those that were not.
    tables = [t for t in tables if len(t)]
    if not tables:
        return None
    common = set(tables[0]).intersection(*tables[1:])
    return ReflectionTable.concatenate(
        [ReflectionTable({k: t[k] for k in tables[0] if k in common}, t.identifiers) for t in tables])


def _leave_out_near_axis(table: ReflectionTable, listed: np.ndarray | None, options: IntegrateOptions
                         ) -> np.ndarray | None:
    """Which of the listed rows are integrated, bool (n,): not those that `filter.min_zeta` has flagged; None: all."""
    is_near = table.flags(Flag.DONT_INTEGRATE)
    if not is_near.any():
        return listed
    chosen = ~is_near if listed is None else listed & ~is_near
    limit = options.integration.filter.min_zeta
    log.info("%d reflections are not integrated: they lie near the rotation axis, |zeta| is below %g",
             np.count_nonzero(is_near if listed is None else listed & is_near), limit)
    if not chosen.any():
        raise XdpError(f"no reflection is left to be integrated: |zeta| of all is below {limit:g}; lower "
                       "integration.filter.min_zeta")
    return chosen


def check_options(options: IntegrateOptions, experiments: Sequence[Experiment]) -> None:
    """Refuse parameters that contradict each other or the data, and warn of those that have no effect on them.

    Parameters
    ----------
    options : IntegrateOptions
    experiments : sequence of Experiment

    Raises
    ------
    OptionError
        If parameters contradict each other, or ask for stills where there is a rotation, or the reverse.
    XdpError
        If there are no experiments, or stills beside rotation data.
    """
    if not len(experiments):
        raise XdpError("there are no experiments to integrate")
    integrator = options.integration.integrator
    stills = [e.is_still for e in experiments]
    if integrator not in ("auto", "stills") and any(stills):
        raise OptionError(f"integration.integrator={integrator} is for rotation data, but experiment "
                          f"{stills.index(True)} is a still")
    if integrator == "stills" and not all(stills):
        raise OptionError(f"integration.integrator=stills is for stills, but experiment {stills.index(False)} rotates")
    if any(stills) and not all(stills):
        raise XdpError("stills and rotation data cannot be integrated together: split the experiments")
    check_absorption(options.absorption_correction)
    debug = options.integration.debug
    if debug.output and debug.during == "modelling" and not debug.separate_files:
        raise OptionError("integration.debug.separate_files=False works with debug.during=integration only")
    warn_of_unused(options, stills=all(stills))
