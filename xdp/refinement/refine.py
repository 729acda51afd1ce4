"""Refine all models of a list of experiments against their indexed reflections.

References
----------
Waterman et al. (2016) "Diffraction-geometry refinement in the DIALS framework", Acta Cryst. D72, 558; Schwarz (1978)
"Estimating the dimension of a model", Ann. Stat. 6, 461.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.options.model import Auto
from xdp.options.named import make_options
from xdp.refinement.command_options import RefineOptions
from xdp.refinement.equations import engine
from xdp.refinement.equations.engine import Covariance
from xdp.refinement.equations.parallel import Equations
from xdp.refinement.equations.problem import Data, Normal, Part, normal_equations
from xdp.refinement.equations.restraints import Term, cell_restraints, prior
from xdp.refinement.options import Parameterisation, Refinement
from xdp.refinement.parameters.setup import Problem, build_problem
from xdp.refinement.parameters.sweeps import own_crystals, same_cells
from xdp.refinement.parameters.writeback import apply
from xdp.refinement.predictions import updated_table
from xdp.refinement.reduction import reduced_problem
from xdp.refinement.robust import robust_fit, thinned
from xdp.refinement.selection import check_fit, choose, observations, with_mm
from xdp.reflections.flags import Flag
from xdp.reflections.sound import keep_sound_rows
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.work.progress import Progress, no_progress

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

_MOST_ROUNDS = 5      # of choosing outliers, once sweeps have their own orientations
_MOST_SHOWN = 10      # cells that a report of very many crystals shows
_SAME_CHOICE = 0.01   # stop where fewer than this fraction of the reflections is chosen anew


@dataclass(frozen=True, repr=False)
class Refined(Displayed):
    """What refinement gives.

    Attributes
    ----------
    experiments : ExperimentList
        With the refined models.
    reflections : ReflectionTable
        With new ``xyzcal.*``, ``s1``, ``entering`` and flags.
    steps : tuple of Step
        The path of the last minimisation.
    rmsds : (n_experiments, 3)
        In mm, mm and radians, of the reflections used.
    names, values, esds : list of str, arrays
        The parameters of the last minimisation: their shifts and standard uncertainties.
    reason : str
        Why it stopped.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    steps: tuple[engine.Step, ...]
    rmsds: np.ndarray
    names: list[str]
    values: np.ndarray
    esds: np.ndarray
    reason: str

    @property
    def report(self) -> Report:
        """Cells and RMSDs."""
        return Report((self._rmsd_table(),), facts=dict(self._facts()))

    def rmsds_in_pixels(self) -> list[list[float]]:
        """RMSDs of each experiment in pixels (fast, slow) and images (0 for stills)."""
        rows = []
        for experiment, rms in zip(self.experiments, self.rmsds, strict=True):
            px = rms[:2] / np.asarray(experiment.detector[0].pixel_size)
            z = 0.0 if experiment.is_still else np.degrees(rms[2]) / abs(experiment.scan.oscillation[1])
            rows.append([float(px[0]), float(px[1]), float(z)])
        return rows

    def _facts(self) -> list[tuple[str, Any]]:
        used = int(np.count_nonzero(self.reflections.flags(Flag.USED_IN_REFINEMENT)))
        crystals = self.experiments.unique("crystal")[:_MOST_SHOWN]
        return [("reflections used", used), *((f"cell {i + 1}", c.unit_cell) for i, c in enumerate(crystals)),
                ("stopped because", self.reason)]

    def _rmsd_table(self) -> Table:
        rows = tuple((str(i), *(f"{value:.5f}" for value in row)) for i, row in enumerate(self.rmsds_in_pixels()))
        heads = {"experiment": "experiment", "x": "RMSD x (px)", "y": "RMSD y (px)", "z": "RMSD z (images)"}
        return Table("rmsds", "RMSDs of observed and predicted centroids", heads, rows)


@dataclass(frozen=True)
class _Fit:
    """A minimisation that was done: its problem and result, and the observations that it used."""

    problem: Problem
    minimum: engine.Minimum
    covariance: Covariance
    usable: list[np.ndarray]
    outliers: list[np.ndarray]

    @property
    def reduced_chi_square(self) -> float:
        """Twice the loss for each degree of freedom."""
        last = self.minimum.steps[-1]
        return 2.0 * last.loss / max(3 * last.n_reflections - self.problem.size, 1)


def refine(experiments: ExperimentList, reflections: ReflectionTable,
           options: RefineOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
           progress: Progress | None = None, **named: Any) -> Refined:
    """Refine beam, detector, goniometer and crystals so that predicted centroids fall on observed ones.

    Outliers are set aside, and all parameters refined together: first with models that stand still, then with crystals
    that change smoothly over the scan, where that explains the observations better. See :func:`refine_models` for the
    steps.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    reflections : ReflectionTable
        Indexed reflections.
    options : RefineOptions or dict, optional
        The parameters of ``xdp refine``. No file is written.
    client : distributed.Client, optional
        Its workers compute the normal equations, which pays for very many experiments; by default this process.
    progress : callable, optional
        Shows when refinement is done.
    **named
        Parameters by name, laid over `options`: ``scan_varying=False``.

    Returns
    -------
    Refined
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If reflections or models do not serve, or too few reflections are left.

    Examples
    --------
    >>> import xdp
    >>> from xdp.simulation import make_spots
    >>> experiments, spots = make_spots()
    >>> found = xdp.index(experiments, spots)
    >>> refined = xdp.refine(found.experiments, found.reflections, scan_varying=False)
    >>> bool(refined.rmsds[0, 0] < 0.1)  # mm
    True
    """
    chosen = make_options(RefineOptions, options, named)
    with (progress or no_progress)(1, "refinement") as advance:
        refined = refine_models(experiments, reflections, chosen.refinement,
                                n_static_macrocycles=chosen.n_static_macrocycles, client=client)
        advance(1)
    return refined


def refine_models(experiments: ExperimentList, reflections: ReflectionTable, options: Refinement | None = None, *,
                  n_static_macrocycles: int = 1, client: Client | None = None) -> Refined:
    """Refine models as :func:`refine` does, with the option model that the algorithm looks at.

    Reflections that cannot say anything are set aside (unindexed, next to the spindle, at the ends of the scan), then
    outliers; all parameters are refined together, first with models that stand still. Unless ``scan_varying=False``,
    each sweep of a crystal that several share then gets its own copy of it: orientations are refined for each, the
    cell for all of them, from a fit that outliers do not spoil. Last crystals (beam and detector, where asked) change
    smoothly over the scan. With ``scan_varying=Auto`` either change is kept only where it explains the observations
    better than its parameters alone would (Schwarz's criterion). A slow turn of
    the crystal in its own frame imitates turns of the detector and the beam: in these directions the static models
    stay where the static stage left them (:func:`xdp.refinement.equations.restraints.prior`).

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal.
    reflections : ReflectionTable
        Columns ``id``, ``panel``, ``miller_index``, ``xyzobs.px.value``, ``xyzobs.px.variance`` and ``flags``.
    n_static_macrocycles : int
        How often the static stage is run, each time with a new choice of outliers.
    client : dask.distributed.Client, optional
        Makes the normal equations of many experiments on its workers; the sums are the same without.

    Raises
    ------
    XdpError
        If there are too few reflections, or nothing to refine.
    """
    options = options or Refinement()
    reflections = keep_sound_rows(reflections)
    _check_input(experiments, reflections)
    table = with_mm(experiments, reflections)
    for _ in range(n_static_macrocycles):
        last = _stage(experiments, table, options, client)
        experiments, table = last.result.experiments, last.result.reflections
    if not _wants_scan_varying(experiments, options.parameterisation):
        return last.result
    return _varied(last, options, client).result


def _check_input(experiments: ExperimentList, reflections: ReflectionTable) -> None:
    if not len(experiments):
        raise XdpError("refinement: there are no experiments")
    if any(e.crystal is None for e in experiments):
        raise XdpError("refinement needs a crystal in every experiment: index first")
    needed = ("id", "panel", "miller_index", "xyzobs.px.value", "xyzobs.px.variance", "flags")
    missing = [name for name in needed if name not in reflections]
    if missing:
        raise XdpError(f"refinement: the reflections have no column {missing[0]}; give those of xdp index")
    if not np.any(reflections.flags(Flag.INDEXED) & (reflections["id"] >= 0)):
        raise XdpError(f"refinement: none of {len(reflections)} reflections is indexed; index first")
    largest, allowed = int(reflections["panel"].max(initial=0)), min(len(e.detector) for e in experiments)
    if largest >= allowed:
        raise XdpError(f"refinement: a reflection is on panel {largest}, but the detector has {allowed}: models and "
                       "reflections do not belong together")


def _wants_scan_varying(experiments: ExperimentList, options: Parameterisation) -> bool:
    """Whether asked for, or for any experiment that turns."""
    turns = any(not e.is_still and e.scan.n_frames > 1 for e in experiments)
    if options.scan_varying is True and not turns:
        raise XdpError("refinement: scan_varying=True needs a scan of several images that rotates")
    return turns if isinstance(options.scan_varying, Auto) else bool(options.scan_varying)


def _observations(experiments: ExperimentList, table: ReflectionTable, options: Refinement
                  ) -> tuple[list[Data], list[np.ndarray]]:
    """The indexed reflections of each experiment, and their rows in the table."""
    ids, indexed = table["id"], table.flags(Flag.INDEXED)
    order = np.argsort(ids, kind="stable")
    order = order[indexed[order]]
    ends = np.searchsorted(ids[order], np.arange(len(experiments) + 1))
    rows = [np.sort(order[ends[i] : ends[i + 1]]) for i in range(len(experiments))]
    return [observations(e, table, r, options) for e, r in zip(experiments, rows, strict=True)], rows


@dataclass(frozen=True)
class _Stage:
    """A fit and what came of it, as the next stage needs it."""

    fit: _Fit
    result: Refined


def _stage(experiments: ExperimentList, table: ReflectionTable, options: Refinement, client: Any,
           cells: dict[int, int] | None = None, is_told: bool = False) -> _Stage:
    """Refine models that stand still, with observations chosen by where the models are now."""
    data, rows = _observations(experiments, table, options)
    fit = _fit(experiments, data, options, client, cells=cells, is_told=is_told)
    return _Stage(fit, _result(experiments, table, data, rows, fit))


def _varied(static: _Stage, options: Refinement, client: Any) -> _Stage:
    """The stages after the static one: sweeps get their own orientation, then crystals change over the scan.

    With ``scan_varying=Auto`` that of the three is returned which Schwarz's criterion prefers.
    """
    automatic = isinstance(options.parameterisation.scan_varying, Auto)
    best, worth = static, 0.0
    experiments, cells = static.result.experiments, {}
    if options.parameterisation.crystal.fix not in ("all", "orientation"):
        experiments, cells = own_crystals(experiments)
    if cells:
        logger.info("A crystal in several sweeps becomes one for each: %d, each with its own orientation", len(cells))
        before, (static, cells) = static, _own_orientations(static, experiments, cells, options, client)
        experiments = static.result.experiments
        worth = _worth(static.fit, before.fit.problem.size, _loss(before.result.experiments, static.fit, options))
        if not automatic or _is_kept(worth, "orientations of their own"):
            best, worth = static, 0.0
    table = static.result.reflections
    data, rows = _observations(experiments, table, options)
    free = _fit(experiments, data, options, client, scan_varying=True, cells=cells)
    if not any(slot.smoother for slot in free.problem.slots.values()):
        logger.info("There are too few reflections to vary any model over the scan")
        return best
    worth += _worth(free, static.fit.problem.size, free.minimum.steps[0].loss)
    if automatic and not _is_kept(worth, f"models that vary over the scan ({free.problem.size} parameters)"):
        return best
    fit = _anchored(experiments, free, static.fit, options, client)
    return _Stage(fit, _result(experiments, table, data, rows, fit))


def _own_orientations(static: _Stage, experiments: ExperimentList, cells: dict[int, int], options: Refinement,
                      client: Any) -> tuple[_Stage, dict[int, int]]:
    """Refine the copies of a crystal, their cell in common, until the choice of outliers does not change much.

    While one orientation had to serve for all sweeps good spots looked like outliers, and bad ones did not.
    """
    data = thinned(_observations(experiments, static.result.reflections, options)[0])
    problem = reduced_problem(experiments, data, options.parameterisation, cells=cells, is_told=True)
    started = robust_fit(experiments, problem)
    cells, experiments, stage = same_cells(cells, experiments, started), started, static
    for k in range(_MOST_ROUNDS):
        before = stage.result.reflections
        stage = _stage(experiments, before, options, client, cells, is_told=k > 0)
        cells, experiments = same_cells(cells, experiments, stage.result.experiments), stage.result.experiments
        was, used = (t.flags(Flag.USED_IN_REFINEMENT) for t in (before, stage.result.reflections))
        if np.mean(was != used) < _SAME_CHOICE:
            break
    return stage, cells


def _loss(experiments: ExperimentList, fit: _Fit, options: Refinement) -> float:
    """Of other models, with the observations of a fit."""
    problem = build_problem(experiments, [part.data for part in fit.problem.parts], options.parameterisation)
    return sum(normal_equations(part, np.zeros(problem.size)).loss for part in problem.parts)


def _is_kept(worth: float, what: str) -> bool:
    logger.info("Schwarz's criterion is %.0f %s with %s%s", abs(worth), "better" if worth > 0.0 else "worse", what,
                "" if worth > 0.0 else ": not kept, unless scan_varying=True")
    return worth > 0.0


def _fit(experiments: ExperimentList, data: list[Data], options: Refinement, client: Any, *,
         scan_varying: bool = False, cells: dict[int, int] | None = None, is_told: bool = False) -> _Fit:
    """Choose observations and parameters, and minimise."""
    now = build_problem(experiments, data, options.parameterisation)
    if not scan_varying:
        check_fit(experiments, now)
    usable, outliers = choose(experiments, now, options)
    chosen = [d.select(np.flatnonzero(u)) for d, u in zip(data, usable, strict=True)]
    problem = reduced_problem(experiments, chosen, options.parameterisation, scan_varying=scan_varying,
                              cells=cells, is_told=is_told)
    n_reflections = sum(len(part.data) for part in problem.parts)
    if 3 * n_reflections < problem.size:
        raise XdpError(f"refinement: {n_reflections} reflections are too few for {problem.size} parameters; fix some "
                       "(refinement.parameterisation.*.fix) or index more reflections")
    terms = cell_restraints(problem, options.parameterisation)
    minimum, known = _minimised(experiments, problem, terms, np.zeros(problem.size), options, client)
    return _Fit(problem, minimum, known, usable, outliers)


def _anchored(experiments: ExperimentList, free: _Fit, static: _Fit, options: Refinement, client: Any) -> _Fit:
    """A scan-varying fit minimised further, with what drift could imitate tied to the static fit."""
    terms = cell_restraints(free.problem, options.parameterisation) + prior(
        free.problem, free.covariance, static.problem, static.covariance, free.reduced_chi_square)
    minimum, known = _minimised(experiments, free.problem, terms, free.minimum.parameters, options, client)
    return _Fit(free.problem, minimum, known, free.usable, free.outliers)


def _minimised(experiments: ExperimentList, problem: Problem, terms: Sequence[Term], start: np.ndarray,
               options: Refinement, client: Any) -> tuple[engine.Minimum, Covariance]:
    with Equations(problem.parts, client) as equations:
        minimum = engine.minimise(
            lambda p: [*equations(p), *(term(p) for term in terms)], start,
            max_iterations=options.refinery.max_iterations or 100, targets=_targets(experiments, options),
            damped=options.refinery.engine == "LevMar")
    n_residuals = 3 * sum(len(part.data) for part in problem.parts)
    return minimum, engine.covariance(minimum.normals, problem.size, n_residuals)


def _worth(fit: _Fit, size_before: int, loss_before: float) -> float:
    """How much likelier a fit is than another with fewer parameters, by Schwarz's criterion: worth it above zero.

    The fall of chi square, less ln(3n) for each parameter more.
    """
    last = fit.minimum.steps[-1]
    gain = 2.0 * (loss_before - last.loss) / max(fit.reduced_chi_square, 1e-300)
    return float(gain - (fit.problem.size - size_before) * np.log(max(3 * last.n_reflections, 2)))


def _result(experiments: ExperimentList, table: ReflectionTable, data: Sequence[Data], rows: Sequence[np.ndarray],
            fit: _Fit) -> Refined:
    """The refined models, and the table with their predictions."""
    problem, minimum = fit.problem, fit.minimum
    refined = apply(problem, minimum.parameters, experiments, fit.covariance)
    everything = [_with_data(part, d) for part, d in zip(problem.parts, data, strict=True)]
    updated = updated_table(refined, everything, minimum.parameters, table, rows, fit.usable, fit.outliers)
    rmsds = np.array([_rms(n) for n in minimum.normals[: len(experiments)]])
    return Refined(refined, updated, minimum.steps, rmsds, problem.names(), minimum.parameters,
                   fit.covariance.esds(problem.size), minimum.reason)


def _with_data(part: Part, data: Data) -> Part:
    return Part(part.beam, part.detector, part.setting, part.orientation, part.cell, part.axis, part.fixed,
                part.is_still, data)


def _rms(normal: Normal) -> np.ndarray:
    return np.sqrt(normal.sums / max(normal.count, 1))


def _targets(experiments: ExperimentList, options: Refinement) -> Sequence[float]:
    target = options.target
    if target.rmsd_cutoff == "absolute" and target.absolute_cutoffs:
        return target.absolute_cutoffs
    pixel = experiments[0].detector[0].pixel_size
    width = 0.0 if experiments[0].is_still else np.deg2rad(abs(experiments[0].scan.oscillation[1]))
    return tuple(target.bin_size_fraction * size for size in (*pixel, width))
