"""The end of integration: corrections, filters, the report, and which reflections are given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xdp.display import Displayed
from xdp.experiment import ExperimentList
from xdp.integration.options import IntegrateOptions
from xdp.integration.plan.prepare import Prepared
from xdp.integration.plan.selection import renumber_experiments
from xdp.integration.results.agreement import judge_fits
from xdp.integration.results.failures import report_failures
from xdp.integration.results.report import make_integration_report
from xdp.integration.results.spindle import replace_spindle_fits
from xdp.integration.shoeboxes.foreground import SHARES_BACKGROUND, SHARES_FOREGROUND
from xdp.prediction.centroids import centroids_to_mm
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.work.cores import count_driver_threads
from xdp.work.tasks import run_tasks

log = logging.getLogger(__name__)

MANY_STILLS = 10
"""Up to this many stills have tables of their own in the report; more are summed up in one. A choice."""


@dataclass(frozen=True, repr=False)
class Integrated(Displayed):
    """What :func:`xdp.integration.integrate.integrate` found.

    Attributes
    ----------
    experiments : ExperimentList
        With their profile models.
    reflections : ReflectionTable
        DIALS' columns; rows by experiment, then as predicted.
    report : Report
        Tables for the log and for ``output.report``.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    report: Report = field(default_factory=Report)

    def _facts(self) -> list[tuple[str, Any]]:
        n_summed, n_fitted = (int(np.count_nonzero(self.reflections.flags(flag)))
                              for flag in (Flag.INTEGRATED_SUM, Flag.INTEGRATED_PRF))
        return [("experiments", len(self.experiments)), ("reflections", len(self.reflections)),
                ("summed", n_summed), ("fitted", n_fitted)]


def finish_integration(prepared: Prepared, table: ReflectionTable, options: IntegrateOptions) -> Integrated:
    """Finish an integration: apply corrections and filters, make the report, and choose the reflections to return.

    Parameters
    ----------
    prepared : Prepared
    table : ReflectionTable
        All predicted reflections with what the tasks have found.
    options : IntegrateOptions

    Returns
    -------
    Integrated

    Raises
    ------
    XdpError
        If hardly any reflection was integrated, with the reason.
    """
    from xdp.integration.corrections.geometric import compute_correction_columns

    experiments = prepared.experiments
    table = drop_overlapping(apply_absorption(table, options), options)
    table = replace_spindle_fits(experiments, table)
    # the report counts failures too: it is made before they are left out
    makers: list[Callable] = [lambda: make_integration_report(*_merge_stills(experiments, table))]
    if not experiments[0].is_still:  # these columns are filled image by image there
        makers += [lambda: _compute_millimetres(experiments, table),
                   lambda: compute_correction_columns(experiments, table)]
    report, *columns = run_tasks(lambda _, make: make(), None, [(make,) for make in makers],
                                 n_threads=count_driver_threads(options.integration.mp))
    for found in columns:
        table = table.with_columns(**found)
    log.info("\n%s", report.text())
    agreement = judge_fits(experiments, table)
    if agreement.tables:
        log.info("\n%s", agreement.text())
        report = report + agreement
    keep = table.any_flags(Flag.INTEGRATED)
    if not experiments[0].is_still:  # those of stills were looked through where they were chosen
        report_failures(table, keep, options)
    if not options.output.output_unintegrated_reflections:
        log.info("%d of %d reflections could not be integrated and are left out", np.count_nonzero(~keep), len(keep))
        table = table.select(keep)
    unused_spots = prepared.unused_spots
    if options.significance_filter.enable:
        from xdp.integration.results.significance import filter_significant

        experiments, table, kept = filter_significant(experiments, table, options.significance_filter)
        unused_spots = None if unused_spots is None else renumber_experiments(unused_spots, kept, with_strays=True)
    if options.output.include_bad_reference and unused_spots is not None:
        table = _append_unused(table, unused_spots)
    return Integrated(experiments, table, report)


def _merge_stills(experiments: ExperimentList, table: ReflectionTable) -> tuple[ExperimentList, ReflectionTable]:
    """Merge many stills into one for the report, since a table for each would hide the rest."""
    if not experiments[0].is_still or len(experiments) <= MANY_STILLS:
        return experiments, table
    position = table["xyzcal.px"].copy()
    # all on one image, or the tables by image would have a row for each still
    position[:, 2] = position[0, 2] if len(position) else 0.0
    columns = {"id": np.zeros(len(table), np.int32), "xyzcal.px": position}
    return ExperimentList([experiments[0]]), table.with_columns(**columns)


def apply_absorption(table: ReflectionTable, options: IntegrateOptions) -> ReflectionTable:
    """Multiply intensities by the absorption factors that the tasks have found.

    Parameters
    ----------
    table : ReflectionTable
        With columns ``absorption.N`` where there are factors; they are taken away.
    options : IntegrateOptions

    Returns
    -------
    ReflectionTable
    """
    from xdp.integration.corrections.absorption import apply_factors

    columns = dict(table.items())
    for k in range(len(options.absorption_correction)):
        factors, sigmas = columns.pop(f"absorption.{k}", None), columns.pop(f"absorption_sigma.{k}", None)
        if factors is not None:
            # several models are applied one after the other
            columns |= apply_factors(columns, factors, sigmas)
    return ReflectionTable(columns, table.identifiers, len(table))


def drop_overlapping(table: ReflectionTable, options: IntegrateOptions) -> ReflectionTable:
    """Drop the reflections that the filters of overlaps reject, and the column that they use.

    Parameters
    ----------
    table : ReflectionTable
        With column ``shares``.
    options : IntegrateOptions

    Returns
    -------
    ReflectionTable
    """
    shares = table["shares"]
    table = table.copy()
    del table["shares"]
    filters = options.integration.overlaps_filter
    unwanted = np.zeros(len(table), bool)
    for chosen, bit in ((filters.foreground_foreground, SHARES_FOREGROUND),
                        (filters.foreground_background, SHARES_BACKGROUND)):
        if chosen.enable:
            unwanted |= (shares & int(bit)) != 0
    if not unwanted.any():
        return table
    log.info("Removing %d reflections that overlap with their neighbours", np.count_nonzero(unwanted))
    return table.select(~unwanted)


def _append_unused(table: ReflectionTable, unused_spots: ReflectionTable) -> ReflectionTable:
    """Append the reference spots that could not be used, flagged BAD_REFERENCE; columns that they lack are 0."""
    columns: dict[str, Any] = {}
    for name, column in table.items():
        if name in unused_spots:
            columns[name] = unused_spots[name]
        elif isinstance(column, Shoeboxes):
            columns[name] = Shoeboxes(np.zeros(len(unused_spots)), np.zeros((len(unused_spots), 6), np.int32),
                                      np.zeros(len(unused_spots) + 1, np.int64), np.zeros(0, np.float32),
                                      np.zeros(0, np.uint8))
        else:
            columns[name] = np.zeros((len(unused_spots), *column.shape[1:]), column.dtype)
    # spots of an earlier integration come with its flags: here they were not integrated
    columns["flags"] = (columns["flags"] & ~np.uint64(Flag.INTEGRATED)) | np.uint64(Flag.BAD_REFERENCE)
    return ReflectionTable.concatenate([table, ReflectionTable(columns, unused_spots.identifiers, len(unused_spots))])


def _compute_millimetres(experiments: ExperimentList, table: ReflectionTable) -> dict[str, np.ndarray]:
    """Compute the observed centroids in mm and radians, with variances."""
    value, variance = np.zeros((len(table), 3)), np.zeros((len(table), 3))
    for i, experiment in enumerate(experiments):
        rows = np.flatnonzero(table["id"] == i)
        value[rows], variance[rows] = centroids_to_mm(
            experiment, table["panel"][rows].astype(np.int64), table["xyzobs.px.value"][rows],
            table["xyzobs.px.variance"][rows])
    return {"xyzobs.mm.value": value, "xyzobs.mm.variance": variance}
