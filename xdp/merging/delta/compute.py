"""Find the data sets, or groups of images, that lower CC1/2."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.mtz import check_exportable, median_cell, spacings
from xdp.files import atomic_output
from xdp.merging.average import find_scaled_rows
from xdp.merging.delta.incremental import DeltaCcHalf, leave_out_parts
from xdp.merging.delta.options import DeltaCcHalfOptions
from xdp.merging.delta.parts import DataParts, number_parts, select_sets
from xdp.merging.unique import find_unique
from xdp.options.named import make_options
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class DeltaFiltered(Displayed):
    """What :func:`compute_delta_cchalf` gives.

    Attributes
    ----------
    experiments, reflections
        What is left.
    found : DeltaCcHalf
    parts : DataParts
        What the numbers of the parts stand for.
    removed : tuple of int
        Numbers of the parts that were left out.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    found: DeltaCcHalf
    parts: DataParts
    removed: tuple[int, ...]

    @property
    def report(self) -> Report:
        """A row for each part, the worst first."""
        order = np.argsort(np.nan_to_num(self.found.delta, nan=np.inf), kind="stable")
        rows = tuple((self.parts.describe(int(self.found.parts[i])), str(self.found.n[i]),
                      f"{self.found.without[i]:.5f}", f"{self.found.delta[i]:.5f}",
                      "left out" if int(self.found.parts[i]) in self.removed else "") for i in order)
        table = Table("delta_cc_half", "CC1/2 without each part, the worst first",
                      {"part": "part", "n": "observations", "without": "CC1/2\nwithout", "delta": "delta", "note": ""},
                      rows)
        return Report((table,), {}, {"cc_half": self.found.cc_half, "n_parts": len(self.found.parts),
                                     "removed": [self.parts.describe(k) for k in self.removed]})

    def write_table(self, path: str | os.PathLike) -> None:
        """Write a row for each part, the worst first: what it is, and its delta.

        Parameters
        ----------
        path : path
        """
        lines = [f"{row[0]} {row[3]}" for row in self.report.tables[0].rows]
        with atomic_output(path) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _facts(self) -> list[tuple[str, Any]]:
        return list(self.report.facts.items())


def compute_delta_cchalf(experiments: ExperimentList, reflections: ReflectionTable,
                         options: DeltaCcHalfOptions | Mapping[str, Any] | None = None, *,
                         client: Client | None = None, progress: Progress | None = None, **named: Any
                         ) -> DeltaFiltered:
    """Compute what each data set, or group of images, does to CC1/2, and leave out those that lower it.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals of one space group.
    reflections : ReflectionTable
        As scaled by `xdp.scale` or by dials.scale.
    options : DeltaCcHalfOptions or dict, optional
        The parameters of ``xdp compute_delta_cchalf``. No file is written.
    client : distributed.Client, optional
        One of its workers does the work; by default this process.
    progress : callable, optional
        Shows when the work is done.
    **named
        Parameters by name, laid over `options`: ``mode="image_group"``.

    Returns
    -------
    DeltaFiltered
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If the reflections are not scaled, or there is one part only.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_integrated
    >>> scaled = xdp.scale(*make_integrated())
    >>> found = xdp.compute_delta_cchalf(scaled.experiments, scaled.reflections, mode="image_group", group_size=2)
    >>> len(found.found.delta)
    5
    """
    chosen = make_options(DeltaCcHalfOptions, options, named)
    return run_as_one_task(_filter, experiments, reflections, chosen, label="delta CC1/2", client=client,
                           progress=progress)


def _filter(experiments: ExperimentList, table: ReflectionTable, options: DeltaCcHalfOptions) -> DeltaFiltered:
    """The work of :func:`compute_delta_cchalf`."""
    check_exportable(experiments, table)
    parts = number_parts(experiments, table, options.group_size if options.mode == "image_group" else None)
    found = measure_parts(experiments, table, parts, options.nbins, (options.dmin, options.dmax))
    if len(found.parts) < 2:
        raise XdpError(f"compute_delta_cchalf: there is one {parts.what} only; mode=image_group with a smaller "
                       "group_size, or more data sets, are wanted")
    removed = found.find_outliers(options.stdcutoff)
    for number in removed:
        logger.info("%s lowers CC1/2 and is left out", parts.describe(int(number)))
    # parts without observations are not among those found
    left = np.setdiff1d(found.parts, removed)
    if options.mode == "dataset":
        # data sets of which nothing was scaled are left out as well
        kept = select_sets(experiments, table, [int(k) for k in left])
    else:
        kept = experiments, table.select(~np.isin(parts.number, removed))
    return DeltaFiltered(*kept, found, parts, tuple(int(k) for k in removed))


def measure_parts(experiments: ExperimentList, table: ReflectionTable, parts: DataParts, n_bins: int,
                  limits: tuple[float | None, float | None] = (None, None)) -> DeltaCcHalf:
    """Compute CC1/2 without each part of a scaled table.

    Parameters
    ----------
    experiments : ExperimentList
    table : ReflectionTable
        Scaled.
    parts : DataParts
        The part of each row.
    n_bins : int
        Shells.
    limits : tuple of float or None
        d_min and d_max, Å.

    Returns
    -------
    DeltaCcHalf

    Raises
    ------
    XdpError
        If the table is not scaled, or nothing is left.
    """
    cell, group = median_cell(experiments), experiments[0].known.crystal.space_group
    d = spacings(cell, table["miller_index"])
    chosen = (d >= (limits[0] or 0.0)) & (d <= (limits[1] or np.inf)) & np.isfinite(d) & (table["id"] >= 0)
    rows = np.flatnonzero(find_scaled_rows(table) & chosen)
    if not len(rows):
        raise XdpError("compute_delta_cchalf: no scaled reflection is left: look at dmin, dmax and the flags "
                       "(xdp show)")
    unique = find_unique(group, table["miller_index"][rows])
    intensity = (table["intensity.scale.value"] / table["inverse_scale_factor"])[rows]
    return leave_out_parts(unique.group, intensity, parts.number[rows], spacings(cell, unique.hkl), n_bins)
