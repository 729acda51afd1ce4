"""Scale integrated reflections: bring the observations of each reflection to one intensity.

The way: `observations.py` gathers what is measured, `model.py` says what a scale is made of, `solve.py` fits it, and
here the results become columns and models.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.mtz import check_exportable
from xdp.merging.delta.parts import choose_sets, select_sets
from xdp.options.model import AUTO
from xdp.options.named import make_options
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.scaling._kernels_normal import Rows, ScaleDesign, mean_derivatives, variances_of_rows
from xdp.scaling.checks import warn_of_cells, warn_of_disagreement
from xdp.scaling.dials_model import describe_for_dials
from xdp.scaling.filtering import FilterRound, scale_and_filter
from xdp.scaling.model import build_design, plan_model
from xdp.scaling.observations import ObservationGroups, drop_unsound_rows, gather_observations
from xdp.scaling.options import ScaleOptions
from xdp.scaling.reference import append_reference, remove_reference
from xdp.scaling.report import make_report
from xdp.scaling.solve import ScaleFit, fit_scales
from xdp.scaling.zero_dose import add_damage_variance, count_dose
from xdp.symmetry.reference import read_reference_intensities
from xdp.work.progress import Progress
from xdp.work.single import run_as_one_task

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

_HIGHEST_DEGREE = 8
"""Surfaces go no further by themselves: on a simulated crystal of 1 : 2 : 4 with 25 % absorption degree 8 left 1.0 % of
error where 1.0 % had been put in, degree 6 1.06 %, degree 4 1.3 %."""
_TOGETHER = 4096  # reflections at a time: their full rows take 32 kB times the number of parameters
MERGED_ERROR = "scale.relative_variance"
"""Column: the variance that errors of scales add to the mean of a reflection's mate, relative to its square. Its
observations share these errors in part, so that it does not follow from the variances of their scales."""


@dataclass(frozen=True, repr=False)
class Scaled(Displayed):
    """What :func:`scale` gives.

    Attributes
    ----------
    experiments : ExperimentList
        With scaling models.
    reflections : ReflectionTable
        With ``inverse_scale_factor`` and its variance, ``intensity.scale.value`` and ``.variance``, and flags.
    fit : ScaleFit
        Parameters, covariances, error model.
    seen : ObservationGroups
        The observations that were scaled.
    rounds : tuple of FilterRound
        What filtering left out, round by round.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    fit: ScaleFit
    seen: ObservationGroups
    rounds: tuple[FilterRound, ...] = ()

    @property
    def report(self) -> Report:
        """Error model, spread of scales, outliers."""
        return make_report(self.seen, self.fit)

    def _facts(self) -> list[tuple[str, Any]]:
        return list(self.report.facts.items())


def scale(experiments: ExperimentList, reflections: ReflectionTable,
          options: ScaleOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
          progress: Progress | None = None, **named: Any) -> Scaled:
    """Scale integrated reflections of one crystal or several.

    Parameters
    ----------
    experiments : ExperimentList
        Rotation data with crystals of one space group.
    reflections : ReflectionTable
        As integrated; those that were scaled before are scaled anew.
    options : ScaleOptions or dict, optional
        The parameters of ``xdp scale``. No file is written.
    client : distributed.Client, optional
        One of its workers does the work; by default this process.
    progress : callable, optional
        Shows when the work is done.
    **named
        Parameters by name, laid over `options`: ``d_min=1.8, model="KB"``.

    Returns
    -------
    Scaled
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If experiments are stills, have no crystal or several space groups, or nothing can be compared.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_integrated
    >>> found = xdp.scale(*make_integrated())
    >>> "inverse_scale_factor" in found.reflections
    True
    """
    chosen = make_options(ScaleOptions, options, named)
    return run_as_one_task(_scale_chosen, experiments, reflections, chosen, label="scales",
                           client=client, progress=progress)


def _scale_chosen(experiments: ExperimentList, reflections: ReflectionTable, options: ScaleOptions) -> Scaled:
    """The work of :func:`scale`: the data sets and images that are asked for, filtered where that is asked for."""
    check_exportable(experiments, reflections)
    chosen = options.dataset_selection
    if chosen.use_datasets or chosen.exclude_datasets:
        left = choose_sets(len(experiments), chosen.use_datasets, chosen.exclude_datasets)
        experiments, reflections = select_sets(experiments, reflections, left)
    warn_of_cells(experiments)
    found = scale_and_filter(experiments, reflections, options, _scale)
    warn_of_disagreement(found.fit.error_model)
    return found


def _scale(experiments: ExperimentList, reflections: ReflectionTable, options: ScaleOptions) -> Scaled:
    """Scale all that is given."""
    stills = [k for k, experiment in enumerate(experiments) if experiment.is_still]
    if stills:
        raise XdpError(f"scale: experiment {stills[0]} is a still; scale takes rotation data only")
    table = drop_unsound_rows(reflections)
    seen, excluded = gather_observations(experiments, table, options)
    logger.info("Scaling %d observations of %d reflections; %d of %d rows are left out", len(seen), len(seen.unique),
                int(np.count_nonzero(excluded)), len(table))
    path, factor = options.scaling_options.reference, 1.0
    if path is not None:
        seen, factor = append_reference(seen, read_reference_intensities(path), experiments)
        logger.info("The reference has %d reflections in common", int(np.count_nonzero(seen.row < 0)))
    fit, design = _fit_with_degree(experiments, table, seen, options)
    if path is not None:
        seen, fit, design = remove_reference(seen, fit, design, factor)
    errors = fit.error_model
    for k, (a, b) in enumerate(zip(errors.a, errors.b, strict=True)):
        logger.info("Error model%s: a %.3f, b %.4f (highest I/sigma %.1f)",
                    _name_errors(k, len(errors.a), len(experiments)), a, b, errors.i_over_sigma_limit[k])
    if fit.damage is not None:
        # of a reflection with the mean intensity of its shell, for which both terms are in proportion to its square
        logger.info("Specific damage: reflections of mean intensity change by %.1f %% (root mean square) over the dose",
                    100.0 * np.sqrt(fit.damage.spread.sum()))
    logger.info("%d of %d observations are outliers", int(np.count_nonzero(~fit.use)), len(seen))
    models = ExperimentList([replace(e, scaling_model=describe_for_dials(fit.model, fit.parameters, e, k, errors))
                             for k, e in enumerate(experiments)])
    return Scaled(models, _add_columns(table, excluded, seen, fit, design), fit, seen)


def _name_errors(k: int, n_models: int, n_sweeps: int) -> str:
    """Of what an error model is, for the log."""
    if n_models == 1:
        return ""
    return f" of sweep {k + 1}" if k < n_sweeps else " of the reference"


def _fit_with_degree(experiments: ExperimentList, table: ReflectionTable, seen: ObservationGroups, options: ScaleOptions
                     ) -> tuple[ScaleFit, ScaleDesign]:
    """Fit the scales, with surfaces of higher degrees as long as these explain more than the errors that are left."""
    degree, fit = 4, None
    dose = count_dose(experiments, table, seen) if options.zero_dose else None
    while True:
        model = plan_model(experiments, options, degree)
        design = build_design(model, experiments, table, seen)
        fit = fit_scales(seen, model, design, options, fit, dose=dose)
        if options.physical.lmax is not AUTO or not model.lmax or degree >= _HIGHEST_DEGREE:
            return fit, design
        # how much the terms of the highest degree change scales, root mean square over directions
        effect = float(np.sqrt((2 * degree + 1) * fit.variances[f"absorption{degree}"]))
        if effect < float(np.min(fit.error_model.b)):
            return fit, design
        degree += 2
        logger.info("Absorption changes scales by %.1f %% with its highest degree: degree %d is tried",
                    100.0 * effect, degree)


def _add_columns(table: ReflectionTable, excluded: np.ndarray, seen: ObservationGroups, fit: ScaleFit,
                 design: ScaleDesign) -> ReflectionTable:
    """The table with its scales, the variances of the error model, and what became of each row in the flags."""
    n = len(table)
    flags = np.asarray(table["flags"]).astype(np.int64) & ~int(Flag.SCALED | Flag.BAD_FOR_SCALING)
    flags |= excluded
    flags[seen.row] |= np.where(fit.use, int(Flag.SCALED), int(Flag.OUTLIER_IN_SCALING))
    scales, scale_variances, values, variances, shared = np.ones(n), *np.zeros((4, n))
    relative, merged = _propagate_errors(seen, fit, design)
    scales[seen.row], scale_variances[seen.row] = fit.scale, np.square(fit.scale) * relative
    values[seen.row], variances[seen.row], shared[seen.row] = fit.get_intensity(seen), fit.variance, merged
    return table.with_columns(
        flags=flags.astype(np.asarray(table["flags"]).dtype), inverse_scale_factor=scales,
        inverse_scale_factor_variance=scale_variances,
        **{"intensity.scale.value": values, "intensity.scale.variance": variances, MERGED_ERROR: shared})


def _propagate_errors(seen: ObservationGroups, fit: ScaleFit, design: ScaleDesign) -> tuple[np.ndarray, np.ndarray]:
    """Variances of the logarithm of each scale, and of the mean of the mate that an observation is of.

    Without a reference the mean of all is taken out: a common factor is no error.
    """
    P, n_groups = fit.model.n_parameters, len(seen.start_apart) - 1
    rows = Rows(seen.start_apart, seen.intensity)
    group = np.repeat(np.arange(n_groups), np.diff(rows.start))
    weights = np.where(fit.use, np.square(fit.scale) / fit.variance, 0.0)
    share = weights / np.maximum(np.bincount(group, weights), 1e-300)[group]
    # the mean over observations, as one group of all of them
    centre = np.zeros((1, P))
    whole = np.array([0, len(seen)])
    if not fit.anchored:
        mean_derivatives(Rows(whole, seen.intensity), design, np.full(len(seen), 1.0 / len(seen)), 0, centre)
    relative, merged = np.zeros(len(seen)), np.zeros(n_groups)
    variances_of_rows(design, centre[0], fit.covariance, relative)
    # C = L L^T: a variance is the square of a length
    root = np.linalg.cholesky(fit.covariance)
    for first in range(0, n_groups, _TOGETHER):
        means = np.zeros((min(_TOGETHER, n_groups - first), P))
        mean_derivatives(rows, design, share, first, means)
        # a group without weights has no mean
        means -= centre * (np.add.reduceat(share, rows.start[first:first + len(means)]) > 0.0)[:, None]
        merged[first:first + len(means)] = np.sum(np.square(means @ root), axis=1)
    if fit.damage is not None:
        n, of = len(seen.unique), seen.unique.group
        mean = np.bincount(of, weights * fit.get_intensity(seen) / fit.scale, n) / np.maximum(
            np.bincount(of, weights, n), 1e-300)
        merged += add_damage_variance(seen, fit.damage, share, mean)
    return relative, merged[group]
