"""Fits near the rotation axis, which are replaced where they differ from sums.

A reflection near the axis passes the Ewald sphere slowly, and its spot drifts on the detector meanwhile. The profile,
learned from all references, does not know that. Weights that are all alike make of the fit a sum, which needs no
profile, and is nearly as good there, since these reflections are strong.
"""

from __future__ import annotations

import logging

import numpy as np

from xdp.experiment import ExperimentList
from xdp.experiment.image_files import name_sweep
from xdp.integration.results.agreement import compare_intensities, find_comparable, get_intensities
from xdp.logs import log_subject
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

GROUPS = (50, 50, 100, 200, 400)
"""Reflections of the groups that are looked at, from the smallest |zeta| on. A choice: the ratio of 50 strong
reflections is known to 1 %, and fits change fast there (on rot_dev 0.93, 0.97, 0.98, 0.99 and 1.00 of sums)."""
SURE = 4.0
"""Fits of a group differ from sums, and from the ratio far from the axis, if they do so by more standard deviations
than this; by chance, one set in 3000."""
RELEVANT = 0.02
"""... and by more than this. Fits are meant to be true within 2 %."""


def replace_spindle_fits(experiments: ExperimentList, table: ReflectionTable) -> ReflectionTable:
    """Replace the fits of reflections near the rotation axis by sums, as far out as they differ from these.

    Parameters
    ----------
    experiments : ExperimentList
    table : ReflectionTable
        All reflections of an integration, with ``zeta``.

    Returns
    -------
    ReflectionTable
        Whole reflections with a sum have it as their fit too. Others there have none: the flag
        FAILED_DURING_PROFILE_FITTING, intensity 0 and variance -1.
    """
    if "intensity.prf.value" not in table or "zeta" not in table:
        return table
    zeta, comparable = np.abs(table["zeta"]), find_comparable(table)
    replaced = np.zeros(len(table), bool)
    for i in range(len(experiments)):
        is_here = table["id"] == i
        rows = np.flatnonzero(is_here & comparable)
        # stable: equal values keep the order of rows
        rows = rows[np.argsort(zeta[rows], kind="stable")]
        n_off, ratio, sigma = _count_off(table, rows)
        if n_off:
            limit = float(zeta[rows[n_off - 1]])
            chosen = is_here & (zeta <= limit) & table.flags(Flag.INTEGRATED_PRF)
            replaced |= chosen
            with log_subject(name_sweep(experiments, i)):
                log.info("Near the rotation axis, |zeta| to %.3f, fits are %.1f +- %.1f %% %s sums: %d are fitted with "
                         "weights all alike, which makes them sums, and %d without a whole sum are left out", limit,
                         100.0 * abs(ratio - 1.0), 100.0 * sigma, "below" if ratio < 1.0 else "above",
                         np.count_nonzero(chosen & comparable), np.count_nonzero(chosen & ~comparable))
    return _replace(table, replaced & comparable, replaced & ~comparable) if replaced.any() else table


def _count_off(table: ReflectionTable, rows: np.ndarray) -> tuple[int, float, float]:
    """Count the first of `rows` whose fits differ from sums, group by group; the ratio of them all, and its error."""
    first, far = 0, rows[sum(GROUPS):]
    # profiles that are as wrong far from the axis are another matter, which is warned of
    elsewhere = compare_intensities(get_intensities(table.select(np.sort(far))))[0] if len(far) else 1.0
    for size in GROUPS:
        group = rows[first:first + size]
        if len(group) < size:
            break
        ratio, sigma = compare_intensities(get_intensities(table.select(np.sort(group))))
        if not min(abs(ratio - 1.0), abs(ratio - elsewhere)) > max(RELEVANT, SURE * sigma):
            break
        first += size
    if not first:
        return 0, 1.0, np.inf
    return first, *compare_intensities(get_intensities(table.select(np.sort(rows[:first]))))


def _replace(table: ReflectionTable, by_sum: np.ndarray, failed: np.ndarray) -> ReflectionTable:
    """Put sums in place of fits, and mark others as failed."""
    flags = table["flags"].copy()
    flags[failed] &= ~np.uint64(Flag.INTEGRATED_PRF)
    flags[failed] |= np.uint64(Flag.FAILED_DURING_PROFILE_FITTING)
    columns = {"flags": flags}
    for name, missing in (("value", 0.0), ("variance", -1.0)):
        fitted = np.where(by_sum, table[f"intensity.sum.{name}"], table[f"intensity.prf.{name}"])
        columns[f"intensity.prf.{name}"] = np.where(failed, missing, fitted)
    return table.with_columns(**columns)
