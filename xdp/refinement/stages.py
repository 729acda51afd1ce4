"""The stages of refinement: static models, sweeps with orientations of their own, models that vary over the scan.

References
----------
Waterman et al. (2016) "Diffraction-geometry refinement in the DIALS framework", Acta Cryst. D72, 558; Schwarz (1978)
"Estimating the dimension of a model", Ann. Stat. 6, 461.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.options.model import Auto
from xdp.refinement.equations import engine
from xdp.refinement.equations.parallel import Equations
from xdp.refinement.equations.parts import NormalEquations, ObservedCentroids
from xdp.refinement.equations.problem import build_normal_equations
from xdp.refinement.equations.restraints import Term, make_cell_restraints, make_prior
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import Problem, build_problem
from xdp.refinement.parameters.sweeps import copy_shared_crystals, update_cells
from xdp.refinement.parameters.writeback import apply_parameters
from xdp.refinement.predictions import update_table
from xdp.refinement.reduction import build_reduced_problem
from xdp.refinement.result import Refined
from xdp.refinement.robust import fit_robustly, thin_out
from xdp.refinement.selection import Choice, check_indices, choose_observations, collect_observations
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

# Rounds of choosing outliers at most, once sweeps have their own orientations, and the fraction of the reflections
# below which another choice changes nothing. Both are choices.
_MOST_ROUNDS = 5
_SAME_CHOICE = 0.01
_MOST_STEPS = 100  # of a minimisation, if the options name no number; it stops long before where it converges
_TINY = 1e-300     # keeps a division by zero away, where the fit is exact


@dataclass(frozen=True)
class _Fit:
    """A minimisation: its problem and result, and the observations that it used."""

    problem: Problem
    minimum: engine.Minimum
    covariance: engine.Covariance
    choice: Choice

    @property
    def reduced_chi_square(self) -> float:
        """Twice the loss for each degree of freedom."""
        last = self.minimum.steps[-1]
        return 2.0 * last.loss / max(3 * last.n_reflections - self.problem.size, 1)


@dataclass(frozen=True)
class Stage:
    """A stage of refinement: its result, and the fit from which the next stage goes on."""

    fit: _Fit
    result: Refined


def refine_static(experiments: ExperimentList, table: ReflectionTable, options: Refinement, client: Client | None,
                  cells: dict[int, int] | None = None, is_quiet: bool = False) -> Stage:
    """Refine models that stand still, with observations chosen by where the models are now.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    table : ReflectionTable
        With positions in mm (:func:`~xdp.refinement.selection.add_mm_positions`).
    options : Refinement
        The parameters of refinement.
    client : distributed.Client, optional
        Its workers compute the normal equations.
    cells : dict of int to int, optional
        Crystals that have a cell in common (:func:`~xdp.refinement.parameters.sweeps.copy_shared_crystals`).
    is_quiet : bool
        Whether models that are held for want of reflections were logged before.
    """
    data, rows = collect_observations(experiments, table, options)
    fit = _fit_models(experiments, data, options, client, cells=cells, is_quiet=is_quiet)
    return Stage(fit, _make_result(experiments, table, data, rows, fit))


def vary_models(static: Stage, options: Refinement, client: Client | None) -> Stage:
    """Take the stages after the static one: sweeps get their own orientation, then crystals change over the scan.

    With ``scan_varying=Auto`` that of the three is returned which Schwarz's criterion prefers.

    Parameters
    ----------
    static : Stage
        What :func:`refine_static` gave.
    options : Refinement
        The parameters of refinement.
    client : distributed.Client, optional
        Its workers compute the normal equations.
    """
    automatic = isinstance(options.parameterisation.scan_varying, Auto)
    best, gain = static, 0.0
    experiments = static.result.experiments
    cells: dict[int, int] = {}
    if options.parameterisation.crystal.fix not in ("all", "orientation"):
        experiments, cells = copy_shared_crystals(experiments)
    if cells:
        logger.info("A crystal in several sweeps becomes one for each: %d, each with its own orientation", len(cells))
        before, (static, cells) = static, _refine_orientations(static, experiments, cells, options, client)
        experiments = static.result.experiments
        # both are compared with the observations that the new choice of outliers leaves
        loss = _compute_loss(before.result.experiments, static.fit, options)
        gain = _compare_fits(static.fit, before.fit.problem.size, loss)
        if not automatic or _is_better(gain, "orientations of their own"):
            best, gain = static, 0.0
    table = static.result.reflections
    data, rows = collect_observations(experiments, table, options)
    free = _fit_models(experiments, data, options, client, scan_varying=True, cells=cells)
    if not any(slot.smoother for slot in free.problem.slots.values()):
        logger.info("There are too few reflections to vary any model over the scan")
        return best
    # where orientations alone were not worth their parameters, the two changes together may be
    gain += _compare_fits(free, static.fit.problem.size, free.minimum.steps[0].loss)
    if automatic and not _is_better(gain, f"models that vary over the scan ({free.problem.size} parameters)"):
        return best
    fit = _anchor_fit(experiments, free, static.fit, options, client)
    return Stage(fit, _make_result(experiments, table, data, rows, fit))


def _refine_orientations(static: Stage, experiments: ExperimentList, cells: dict[int, int], options: Refinement,
                         client: Client | None) -> tuple[Stage, dict[int, int]]:
    """Refine the copies of a crystal, their cell in common, until the choice of outliers does not change much.

    While one orientation had to serve for all sweeps good spots looked like outliers, and bad ones did not.
    """
    data = thin_out(collect_observations(experiments, static.result.reflections, options)[0])
    problem = build_reduced_problem(experiments, data, options.parameterisation, cells=cells, is_quiet=True)
    start = fit_robustly(experiments, problem)
    cells, experiments, stage = update_cells(cells, experiments, start), start, static
    for k in range(_MOST_ROUNDS):
        before = stage.result.reflections
        stage = refine_static(experiments, before, options, client, cells, is_quiet=k > 0)
        cells, experiments = update_cells(cells, experiments, stage.result.experiments), stage.result.experiments
        was_used, is_used = (t.flags(Flag.USED_IN_REFINEMENT) for t in (before, stage.result.reflections))
        if np.mean(was_used != is_used) < _SAME_CHOICE:
            break
    return stage, cells


def _compute_loss(experiments: ExperimentList, fit: _Fit, options: Refinement) -> float:
    """The loss of other models with the observations of a fit."""
    problem = build_problem(experiments, [part.data for part in fit.problem.parts], options.parameterisation)
    return sum(build_normal_equations(part, np.zeros(problem.size)).loss for part in problem.parts)


def _is_better(gain: float, what: str) -> bool:
    """Whether Schwarz's criterion prefers more parameters; it is logged."""
    logger.info("Schwarz's criterion is %.0f %s with %s%s", abs(gain), "better" if gain > 0.0 else "worse", what,
                "" if gain > 0.0 else ": not kept, unless scan_varying=True")
    return gain > 0.0


def _fit_models(experiments: ExperimentList, data: list[ObservedCentroids], options: Refinement,
                client: Client | None, *, scan_varying: bool = False, cells: dict[int, int] | None = None,
                is_quiet: bool = False) -> _Fit:
    """Choose observations and parameters, and minimise."""
    now = build_problem(experiments, data, options.parameterisation)
    if not scan_varying:
        check_indices(experiments, now)
    choice = choose_observations(experiments, now, options)
    chosen = [d.select(np.flatnonzero(u)) for d, u in zip(data, choice.usable, strict=True)]
    problem = build_reduced_problem(experiments, chosen, options.parameterisation, scan_varying=scan_varying,
                                    cells=cells, is_quiet=is_quiet)
    n_reflections = sum(len(part.data) for part in problem.parts)
    if 3 * n_reflections < problem.size:
        raise XdpError(f"refinement: {n_reflections} reflections are too few for {problem.size} parameters; fix some "
                       "(refinement.parameterisation.*.fix) or index more reflections")
    terms = make_cell_restraints(problem, options.parameterisation)
    minimum, covariance = _minimise_fit(experiments, problem, terms, np.zeros(problem.size), options, client)
    return _Fit(problem, minimum, covariance, choice)


def _anchor_fit(experiments: ExperimentList, free: _Fit, static: _Fit, options: Refinement, client: Client | None
                ) -> _Fit:
    """Minimise a scan-varying fit further, with what drift could imitate tied to the static fit."""
    terms = make_cell_restraints(free.problem, options.parameterisation) + make_prior(
        free.problem, free.covariance, static.problem, static.covariance, free.reduced_chi_square)
    start = free.minimum.parameters
    minimum, covariance = _minimise_fit(experiments, free.problem, terms, start, options, client)
    return _Fit(free.problem, minimum, covariance, free.choice)


def _minimise_fit(experiments: ExperimentList, problem: Problem, terms: Sequence[Term], start: np.ndarray,
                  options: Refinement, client: Client | None) -> tuple[engine.Minimum, engine.Covariance]:
    """Minimise from `start`; the result, and the covariances of the parameters there."""
    with Equations(problem.parts, client) as equations:
        minimum = engine.minimise(
            lambda p: [*equations(p), *(term(p) for term in terms)], start,
            max_iterations=options.refinery.max_iterations or _MOST_STEPS,
            targets=_choose_targets(experiments, options), damped=options.refinery.engine != "GaussNewton")
    n_residuals = 3 * sum(len(part.data) for part in problem.parts)
    return minimum, engine.compute_covariance(minimum.normals, problem.size, n_residuals)


def _compare_fits(fit: _Fit, size_before: int, loss_before: float) -> float:
    """Compare a fit with another of fewer parameters by Schwarz's criterion; above zero it is the likelier one.

    This is the fall of chi square, less ln(3n) for each parameter more.
    """
    last = fit.minimum.steps[-1]
    # chi square in units of the reduced one: the variances of the centroids are known but for a common factor
    fall = 2.0 * (loss_before - last.loss) / max(fit.reduced_chi_square, _TINY)
    return float(fall - (fit.problem.size - size_before) * np.log(max(3 * last.n_reflections, 2)))


def _make_result(experiments: ExperimentList, table: ReflectionTable, data: Sequence[ObservedCentroids],
                 rows: Sequence[np.ndarray], fit: _Fit) -> Refined:
    """The refined models, and the table with their predictions."""
    problem, minimum = fit.problem, fit.minimum
    models = apply_parameters(problem, minimum.parameters, experiments, fit.covariance)
    # predictions are wanted for all observations, used or not
    everything = [replace(part, data=d) for part, d in zip(problem.parts, data, strict=True)]
    updated = update_table(models, everything, minimum.parameters, table, rows, fit.choice)
    # behind the normal equations of the experiments stand those of restraints
    rmsds = np.array([_compute_rms(n) for n in minimum.normals[: len(experiments)]])
    return Refined(models, updated, minimum.steps, rmsds, problem.list_names(), minimum.parameters,
                   fit.covariance.compute_esds(problem.size), minimum.reason)


def _compute_rms(normal: NormalEquations) -> np.ndarray:
    """Root mean square residuals (3,) of an experiment: mm, mm, radians."""
    return np.sqrt(normal.sums / max(normal.count, 1))


def _choose_targets(experiments: ExperimentList, options: Refinement) -> Sequence[float]:
    """The RMSDs (mm, mm, radians) at which minimisation stops; fractions are of the first experiment's pixel and
    image."""
    target, first = options.target, experiments[0]
    if target.rmsd_cutoff == "absolute" and target.absolute_cutoffs:
        return target.absolute_cutoffs
    pixel = first.known.detector[0].pixel_size
    width = 0.0 if first.is_still else np.deg2rad(abs(first.known.scan.oscillation[1]))
    return tuple(target.bin_size_fraction * size for size in (*pixel, width))
