"""The tables of an integration, for the log and for files.

The tables, their names and columns are those of DIALS' integration report, so that programs which read its JSON or XML
file read ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.integration.results.statistics import STATISTICS_COLUMNS, Statistics, compute_statistics
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table

#: Titles of the columns, by their names in the file.
_BINNED = {"n_full": "# full", "n_part": "# part", "n_over": "# over", "n_ice": "# ice", "n_sum": "# sum",
           "n_prf": "# prf", "ibg": "Ibg", "ios_sum": "I/sigI\n (sum)", "ios_prf": "I/sigI\n (prf)",
           "cc_prf": "CC prf", "rmsd_xy": "RMSD XY"}
#: The statistics in these columns, in this order.
_BINNED_KEYS = ("n_full", "n_partial", "n_overload", "n_ice", "n_summed", "n_fitted", "mean_background", "ios_sum",
                "ios_prf", "cc_prf", "rmsd_xy")
#: The statistics of an experiment, by their titles.
_OVERALL = {"dmin": "dmin", "dmax": "dmax", "number fully recorded": "n_full",
            "number partially recorded": "n_partial", "number with invalid background pixels": "n_invalid_bg",
            "number with invalid foreground pixels": "n_invalid_fg", "number with overloaded pixels": "n_overload",
            "number in powder rings": "n_ice", "number processed with summation": "n_summed",
            "number processed with profile fitting": "n_fitted",
            "number failed in background modelling": "n_failed_background",
            "number failed in summation": "n_failed_summation",
            "number failed in profile fitting": "n_failed_fitting", "ibg": "mean_background",
            "i/sigi (summation)": "ios_sum", "i/sigi (profile fitting)": "ios_prf", "cc prf": "cc_prf",
            "cc_pearson sum/prf": "cc_pearson_sum_prf", "cc_spearman sum/prf": "cc_spearman_sum_prf"}


def make_integration_report(experiments: ExperimentList, table: ReflectionTable, n_bins: int = 20) -> Report:
    """Sum up integrated reflections per image, per shell of resolution, and over all of each experiment.

    Parameters
    ----------
    experiments : ExperimentList
        The experiments that column ``id`` refers to.
    table : ReflectionTable
        All predicted reflections after integration, also those that failed.
    n_bins : int
        Number of shells.

    Returns
    -------
    Report
        Tables ``integration.image.summary``, ``integration.resolution.summary``, ``integration.overall.summary``.
    """
    found = []
    # tables of all columns would be copied for each experiment
    table = ReflectionTable({name: table[name] for name in ("id", *STATISTICS_COLUMNS) if name in table})
    for number, experiment in enumerate(experiments):
        part = table if len(experiments) == 1 else table.select(table["id"] == number)
        if len(part):
            found.append((number, compute_statistics(experiment, part, n_bins)))
    image = Table("integration.image.summary", "Summary vs image number", {"id": "ID", "image": "Image", **_BINNED},
                  tuple(row for number, s in found for row in _list_bin_rows(number, s.image, "{:.0f}", 1)))
    shells = Table("integration.resolution.summary", "Summary vs resolution", {"id": "ID", "dmin": "d min", **_BINNED},
                   tuple(row for number, s in found for row in _list_bin_rows(number, s.resolution, "{:.2f}", 0)))
    return Report((image, shells, *(_make_overall_table(number, s, len(found)) for number, s in found)))


def make_profile_report(profiles: Iterable[tuple[int, int, bool, Sequence[float], int]],
                        arrays: Mapping[tuple[int, int], np.ndarray] | None = None) -> Report:
    """List the reference profiles.

    Parameters
    ----------
    profiles : iterable of (id, number, valid, (x, y, z), n_reflections)
        Each profile of each experiment: where it stands (px, px, images), and how many spots made it.
    arrays : mapping of (id, number) to array, optional
        The profiles themselves, for the file.

    Returns
    -------
    Report
    """
    rows = tuple((str(i), str(number), str(bool(valid)), *(f"{v:.2f}" for v in xyz), str(n))
                 for i, number, valid, xyz, n in profiles)
    columns = {"id": "ID", "profile": "Profile", "created": "Created", "x": "X (px)", "y": "Y (px)", "z": "Z (im)",
               "n_reflections": "# reflections"}
    named = {f"profile.model.{i}.{number}": (f"Profile model (id: {i}, profile: {number})", array)
             for (i, number), array in (arrays or {}).items()}
    return Report((Table("profile.summary", "Summary of profile model", columns, rows),), named)


def make_validation_report(table: ReflectionTable, n_experiments: int, n_partitions: int) -> Report:
    """How well held-out spots fit the reference profiles that were made without them.

    Parameters
    ----------
    table : ReflectionTable
        With ``profile.index`` (the partition), ``profile.correlation`` and ``id``; held-out spots that were fitted.
    n_experiments, n_partitions : int
        How many of each there are.

    Returns
    -------
    Report
        A row for each experiment and partition: spots that were fitted, and their mean correlation.
    """
    rows = []
    for number in range(n_experiments):
        for partition in range(n_partitions):
            chosen = (table["id"] == number) & (table["profile.index"] == partition)
            n = int(chosen.sum())
            cc = float(table["profile.correlation"][chosen].mean()) if n else 0.0
            rows.append((str(number), str(partition), str(n), f"{cc:.2f}"))
    columns = {"id": "ID", "subsample": "Sub-sample", "n_valid": "# validated", "cc": "<CC>"}
    return Report((Table("validation.summary", "Summary of profile validation ", columns, tuple(rows)),))


def _list_bin_rows(number: int, bins: Mapping[str, np.ndarray], style: str, offset: int) -> Iterable[tuple[str, ...]]:
    """List the rows of one experiment: one for each image or shell."""
    for i, edge in enumerate(bins["bins"][:-1]):
        yield (str(number), style.format(edge + offset), *(_format_cell(bins[key][i]) for key in _BINNED_KEYS))


def _make_overall_table(number: int, found: Statistics, n_tables: int) -> Table:
    """Make the summary table of one experiment."""
    rows = tuple((label, *(_format_cell(part[key]) for part in (found.overall, found.low, found.high)))
                 for label, key in _OVERALL.items())
    # names must differ in the file; with one experiment it is the name that programs look for
    name = "integration.overall.summary" + (f".{number}" if n_tables > 1 else "")
    return Table(name, f"Summary for experiment {number}",
                 {"item": "Item", "overall": "Overall", "low": "Low", "high": "High"}, rows)


def _format_cell(value: float) -> str:
    """Write counts as they are, other numbers with two decimals."""
    return str(value) if isinstance(value, int | np.integer) else f"{value:.2f}"


