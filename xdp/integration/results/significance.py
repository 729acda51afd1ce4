"""A resolution limit for each experiment, from the shell in which its intensities are no longer significant."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Experiment, ExperimentList
from xdp.integration.checks import count_shells
from xdp.integration.options import SignificanceOptions
from xdp.integration.plan.selection import renumber_experiments
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)


def find_significance_limits(experiments: Sequence[Experiment], table: ReflectionTable, options: SignificanceOptions
                             ) -> np.ndarray:
    """Find the resolution at which the significant shells of each experiment end.

    Shells hold equal volumes of reciprocal space. A shell is significant if the mean of I/sigma, over its positive
    intensities by summation, reaches ``isigi_cutoff``. The limit is the edge of the first shell that is not.

    Parameters
    ----------
    experiments : sequence of Experiment
    table : ReflectionTable
        With ``id``, ``d``, ``intensity.sum.value`` and ``intensity.sum.variance``.
    options : SignificanceOptions

    Returns
    -------
    (n_experiments,) float64
        Å; infinite where not even the first shell is significant, or where there are no reflections.

    Raises
    ------
    OptionError
        If ``n_bins`` is below 1.
    """
    n_bins = count_shells(options)
    limits = np.zeros(len(experiments))
    for i in range(len(experiments)):
        rows = table["id"] == i
        d, value = table["d"][rows], table["intensity.sum.value"][rows]
        # the small number stands for variances of 0, whose reflections have no intensity either
        ratio = value / np.sqrt(np.maximum(table["intensity.sum.variance"][rows], 1e-30))
        if not len(d):
            limits[i] = np.inf
            continue
        finest = options.d_min or d.min()
        edges = np.linspace(d.max() ** -3 if len(d) > 1 else 0.0, finest ** -3, n_bins + 1)
        # coarser reflections than the first edge, which rounding makes, belong to the first shell
        shell = np.clip(np.searchsorted(edges, d ** -3, side="left") - 1, 0, n_bins)
        use = (value > 0) & (d >= finest)
        count = np.bincount(shell[use], minlength=n_bins)[:n_bins]
        mean = np.bincount(shell[use], ratio[use], minlength=n_bins)[:n_bins] / np.maximum(count, 1)
        # an empty shell has mean 0: it ends the significant ones too
        weak = np.flatnonzero(mean < (options.isigi_cutoff or 0.0))
        if len(weak):
            limits[i] = edges[weak[0]] ** (-1 / 3) if weak[0] else np.inf
        else:
            limits[i] = finest
        log.info("Experiment %d: intensities are significant to %.2f Å", i, limits[i])
    return limits


def filter_significant(experiments: ExperimentList, table: ReflectionTable, options: SignificanceOptions
                       ) -> tuple[ExperimentList, ReflectionTable, np.ndarray]:
    """Keep the reflections within the limits of :func:`find_significance_limits`, and the experiments that have any.

    Parameters
    ----------
    experiments : ExperimentList
    table : ReflectionTable
    options : SignificanceOptions

    Returns
    -------
    experiments : ExperimentList
        Those that stay.
    table : ReflectionTable
        Their reflections, ``id`` counting these.
    has : (n,) bool
        Which of the experiments stay.

    Raises
    ------
    XdpError
        If nothing is left.
    """
    limits = find_significance_limits(experiments, table, options)
    kept = table.select(table["d"] >= limits[table["id"]])
    log.info("%d of %d reflections lie beyond these limits and are left out", len(table) - len(kept), len(table))
    has = np.isin(np.arange(len(experiments)), kept["id"])
    for i in np.flatnonzero(~has):
        log.info("Experiment %d has no significant reflections and is left out", i)
    if not has.any():
        raise XdpError("no crystal has significant reflections: lower "
                       "significance_filter.isigi_cutoff")
    return (ExperimentList([e for e, keep in zip(experiments, has, strict=True) if keep], experiments.extra),
            renumber_experiments(kept, has), has)
