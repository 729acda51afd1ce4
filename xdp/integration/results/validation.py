"""Cross-validation of reference profiles, and the tables of reference profiles in the report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xdp.integration.options import ValidationOptions
from xdp.integration.profiles.reference import ReferenceGrid, ReferenceProfiles
from xdp.integration.profiles.scatter.shape_scatter import make_scatter_report
from xdp.integration.results.report import make_profile_report, make_validation_report
from xdp.integration.rotation.block_work import BlockWork
from xdp.integration.rotation.tasks import load_fits
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report


def draw_partitions(table: ReflectionTable, options: ValidationOptions) -> np.ndarray | None:
    """Draw the group of each reference spot.

    Parameters
    ----------
    table : ReflectionTable
        With flags.
    options : ValidationOptions
        There are ``number_of_partitions`` groups, fewer where they would have fewer than ``min_partition_size`` spots.

    Returns
    -------
    (n,) int64 or None
        0 for reflections that are no reference spots; None without validation.
    """
    rows = np.flatnonzero(table.flags(Flag.REFERENCE_SPOT))
    n_groups = min(options.number_of_partitions or 1, len(rows) // (options.min_partition_size or 1))
    if n_groups < 2:
        return None
    group = np.zeros(len(table), np.int64)
    # a fixed seed: results must not change from run to run
    group[rows] = np.random.default_rng(0).permutation(np.arange(len(rows)) % n_groups)
    return group


def make_held_out_profiles(sums: Mapping[int, ReferenceGrid]) -> dict[tuple[int, int], ReferenceProfiles]:
    """Make profiles without one group of references, for each experiment and group.

    Parameters
    ----------
    sums : mapping of int to ReferenceGrid
        By experiment, with sums kept apart by group.

    Returns
    -------
    dict of (int, int) to ReferenceProfiles
        By experiment and group; empty where there is one group only.
    """
    return {(i, group): grid.finish(without=group) for i, grid in sums.items() for group in range(len(grid.counts))
            if len(grid.counts) > 1}


def make_reports(work: BlockWork) -> Report:
    """Make the tables of reference profiles and, where they are validated, of how well held-out spots fit them.

    Parameters
    ----------
    work : BlockWork
        After its last pass.

    Returns
    -------
    Report
        Empty where no profiles were fitted.
    """
    if not work.profiles:
        return Report()
    listed, arrays = [], {}
    # profiles without references are listed too: reflections near them are fitted with the mean of the others
    for i, profiles in work.profiles.items():
        centres = profiles.grid.sampler.list_coordinates()
        for k, (centre, weight) in enumerate(zip(centres, profiles.n_references, strict=True)):
            listed.append((i, k, bool(weight > 0), tuple(centre), round(float(weight))))
            arrays[i, k] = profiles.get_cube(k)
    scatter = make_scatter_report({i: profiles.scatter for i, profiles in work.profiles.items()})
    report = make_profile_report(listed, arrays) + scatter
    if not work.held_out or work.partition is None:
        return report
    held_out = _collect_held_out(work, work.partition)
    return report + make_validation_report(held_out, len(work.plan.models), int(work.partition.max()) + 1)


def _collect_held_out(work: BlockWork, partition: np.ndarray) -> ReflectionTable:
    """Collect the held-out spots that were fitted: experiment, group and correlation."""
    parts = [load_fits(work, number, ("rows", "validation")) for number in range(len(work.blocks))]
    rows = np.concatenate([part["rows"] for part in parts])
    values = np.concatenate([part["validation"] for part in parts])
    # NaN is a reflection that was not held out, or not fitted
    good = np.isfinite(values)
    return ReflectionTable({"id": work.plan.table["id"][rows[good]], "profile.correlation": values[good],
                            "profile.index": partition[rows[good]].astype(np.int32)})
