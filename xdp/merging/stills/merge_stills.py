"""Stills to observations on one scale, ready to be averaged.

1. Lattices of another cell are set aside.
2. Where the metric allows several indexings, one is chosen for each lattice (:mod:`~xdp.merging.stills.ambiguity`).
3. Lattices are scaled (:mod:`~xdp.merging.stills.scale_lattices`), and those that agree with the others no better than
   by chance are set aside (:mod:`~xdp.merging.stills.outlier_lattices`).
4. Crystals are post-refined against the merged intensities, in turns with merging
   (:func:`~xdp.integration.partiality.postrefine.postrefine_run`), which gives better partialities; then 3 is repeated.
5. The error model is estimated from deviations (:mod:`~xdp.merging.stills.error_model`), and scales once more.

Every lattice that is set aside is named with the reason.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal, b_matrix
from xdp.experiment.experiment import ExperimentList
from xdp.integration.partiality.postrefine import postrefine_run
from xdp.integration.partiality.reference import ReferenceIntensities
from xdp.merging.average import ScaledObservations
from xdp.merging.stills.ambiguity import LatticeIndexing, describe_operator, find_indexing, list_indexings
from xdp.merging.stills.error_model import StillsErrorModel, fit_stills_errors
from xdp.merging.stills.observations import (
    StillObservations,
    choose_by_resolution,
    gather_stills,
    has_partiality_model,
    name_shots,
    number_shots,
    share_out_shots,
)
from xdp.merging.stills.options import StillsOptions
from xdp.merging.stills.outlier_lattices import LatticeAgreement, find_odd_cells, judge_lattices, list_reasons
from xdp.merging.stills.reference_file import read_stills_reference
from xdp.merging.stills.scale_lattices import LatticeScales, scale_lattices
from xdp.merging.stills.select import measure_scatter
from xdp.options.model import AUTO
from xdp.reflections.table import ReflectionTable

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

_ROUNDS = 3
"""Of scaling and setting aside; a lattice that is taken out changes what the others are compared with."""
_MONTE_CARLO_ERROR = 0.7
"""Relative error of an observation whose partiality is not known: the standard deviation over the mean of partialities
that are anything from 0 to 1 with the density of a normal curve's heights lies between 0.6 and 0.8."""
_ROTATION_THRESHOLD = 0.4
"""Default of partiality_threshold: another value was given by the user."""


@dataclass
class StillsRun:
    """Stills on one scale.

    Attributes
    ----------
    seen : ScaledObservations
        All observations that count, with halves by shot.
    lattice : (n,) int64
        Of each observation, in the order of `seen`.
    experiments : ExperimentList
        As refined and reindexed.
    shots : list of str
        Name of each lattice's shot.
    cell : tuple of 6 float
        Median of the lattices that count.
    set_aside : dict of int to str
        Lattices that do not count, and why.
    indexing : LatticeIndexing or None
        None: there is no ambiguity, or it was not asked for.
    scales : LatticeScales
    agreement : LatticeAgreement
    model : StillsErrorModel
    method : str
        partiality or monte_carlo.
    """

    seen: ScaledObservations
    lattice: np.ndarray
    experiments: ExperimentList
    shots: list[str]
    cell: tuple[float, ...]
    set_aside: dict[int, str]
    indexing: LatticeIndexing | None
    scales: LatticeScales
    agreement: LatticeAgreement
    model: StillsErrorModel
    method: str

    def name_lattice(self, k: int) -> str:
        """Name a lattice: its experiment's identifier, or its shot."""
        return self.experiments[k].identifier or self.shots[k]


@dataclass
class _StillsWork:
    """What is carried from step to step."""

    experiments: ExperimentList
    table: ReflectionTable
    options: StillsOptions
    method: str
    metric: np.ndarray
    cell: tuple[float, ...]
    reference: ReferenceIntensities | None
    set_aside: dict[int, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.experiments)

    def gather(self) -> StillObservations:
        """Observations of the lattices that count."""
        own = self.options
        seen = gather_stills(self.experiments, self.table, self.metric, min_partiality=own.min_partiality,
                             has_partialities=self.method == "partiality")
        if own.push_res is not None:
            seen = seen.select(choose_by_resolution(seen, self.n, own.push_res))
        kept = ~np.isin(seen.lattice, list(self.set_aside))
        if not kept.any():
            raise XdpError("merge: no lattice is left: " + "; ".join(
                f"experiment {k}: {why}" for k, why in sorted(self.set_aside.items())[:3]))
        return seen.select(kept)


def merge_stills(experiments: ExperimentList, table: ReflectionTable, options: StillsOptions, *,
                 client: Client | None = None) -> StillsRun:
    """Bring stills to one scale.

    Parameters
    ----------
    experiments : ExperimentList
        Stills of one kind of crystal.
    table : ReflectionTable
        Their integrated reflections.
    options : StillsOptions
    client : distributed.Client, optional
        Whose workers post-refine.

    Returns
    -------
    StillsRun

    Raises
    ------
    XdpError
        If nothing is left to merge, or post-refinement is asked for and the table lacks what it needs.
    """
    work = _begin(experiments, table, options)
    indexing = _choose_indexing(work)
    # a guess that only weighs; the errors are estimated once the scales are good
    model = StillsErrorModel(1.0, 0.0, 0.1 if work.method == "partiality" else _MONTE_CARLO_ERROR)
    seen, scales, agreement = _scale_and_judge(work, model)
    if _is_postrefined(work):
        _postrefine(work, client)
        seen, scales, agreement = _scale_and_judge(work, model)
    if work.method == "partiality":
        model = StillsErrorModel(1.0, 0.0, 0.0) if options.error_model is None else model
        # weights change what others say, and so the deviations; a third round changes nothing that shows
        for _ in range(2):
            found = _fit_errors(seen, scales) if options.error_model is not None else None
            model = found or model
            seen, scales, agreement = _scale_and_judge(work, model)
        if options.error_model is not None:
            logger.info("Error model: s %.2f, s_B %.3g, s_A %.3f", model.scale, model.linear, model.relative)
    return _finish(work, indexing, (seen, scales, agreement), model)


def are_unscaled_stills(experiments: ExperimentList, table: ReflectionTable) -> bool:
    """Whether these are stills that no other program has scaled.

    Parameters
    ----------
    experiments : ExperimentList
    table : ReflectionTable

    Returns
    -------
    bool

    Raises
    ------
    XdpError
        If stills and rotation data are mixed.
    """
    stills = [e.is_still for e in experiments]
    if any(stills) and not all(stills):
        raise XdpError(f"merge: {sum(stills)} of {len(stills)} experiments are stills, the others rotation data: merge "
                       "them apart")
    return all(stills) and "inverse_scale_factor" not in table


def check_stills_options(options: StillsOptions, partiality_threshold: float) -> None:
    """Check that parameters go together.

    Parameters
    ----------
    options : StillsOptions
    partiality_threshold : float
        That of rotation data.

    Raises
    ------
    XdpError
        If one would have no effect.
    """
    if partiality_threshold != _ROTATION_THRESHOLD:
        raise XdpError("partiality_threshold is for rotation data: for stills give stills.min_partiality")
    if not options.scale and options.reference is not None:
        raise XdpError("stills.scale=False: lattices cannot be compared with stills.reference without scales")


def _begin(experiments: ExperimentList, table: ReflectionTable, options: StillsOptions) -> _StillsWork:
    """Choose the method, set odd cells aside, read the reference."""
    has_model = has_partiality_model(table)
    method = options.method if options.method != AUTO else "partiality" if has_model else "monte_carlo"
    if method == "partiality" and not has_model:
        raise XdpError("stills.method=partiality: the reflections have no partialities; let xdp stills_process fit "
                       "them (or xdp integrate with integration.partiality.enable=True), or take "
                       "stills.method=monte_carlo")
    if options.method == AUTO and not has_model:
        logger.warning("The reflections have no partialities: plain means (stills.method=monte_carlo)")
    cells = np.array([e.known.crystal.unit_cell for e in experiments])
    set_aside: dict[int, str] = {}
    cell = tuple(np.median(cells, axis=0).tolist())
    if options.outliers.length_tolerance is not None:
        odd, median = find_odd_cells(cells, options.outliers.length_tolerance, options.outliers.angle_tolerance)
        cell = tuple(median.tolist())
        for k in np.flatnonzero(odd).tolist():
            shown = ", ".join(f"{v:.1f}" for v in cells[k])
            set_aside[k] = f"its cell {shown} is not that of most ({', '.join(f'{v:.1f}' for v in cell)})"
    # one metric for all lattices, so that equivalents have one resolution
    b = b_matrix(cell)
    reference = None if options.reference is None else read_stills_reference(
        options.reference, experiments[0].known.crystal.space_group, cell)
    return _StillsWork(experiments, table, options, str(method), b.T @ b, cell, reference, set_aside)


def _choose_indexing(work: _StillsWork) -> LatticeIndexing | None:
    """Choose the indexing of each lattice; changes crystals and indices."""
    own = work.options.ambiguity
    crystal = next(e.known.crystal for k, e in enumerate(work.experiments) if k not in work.set_aside)
    group = crystal.space_group
    axes = np.linalg.inv(b_matrix(work.cell)).astype(np.float64)
    operators = list_indexings(axes, group, own.max_delta)
    if len(operators) == 1:
        return None
    what = ", ".join(describe_operator(o) for o in operators[1:])
    if not own.resolve:
        logger.info("The metric allows %d indexings (%s); they are left as they are", len(operators), what)
        return None
    seen = work.gather()
    found = find_indexing(seen, group, work.metric, operators, work.n, reference=work.reference,
                          seed=work.options.seed)
    there = np.bincount(seen.lattice, minlength=work.n) > 0
    if not found.is_decided:
        logger.warning("The metric allows %d indexings (%s), but lattices agree equally well in all: twins, or an "
                       "operation that the crystals have. They are left as they are", len(operators), what)
        return found
    changed = int(np.count_nonzero(found.choice[there]))
    logger.info("Of %d possible indexings (%s) one was chosen for each lattice: %d of %d are changed", len(operators),
                what, changed, int(there.sum()))
    for k in np.flatnonzero(there & (found.probability < own.min_probability)).tolist():
        work.set_aside[k] = f"its indexing is not sure (probability {found.probability[k]:.2f})"
    _apply_indexing(work, found)
    return found


def _apply_indexing(work: _StillsWork, found: LatticeIndexing) -> None:
    """Change indices and crystals by the choices."""
    ids = np.asarray(work.table["id"], np.int64)
    # spots of no experiment stay as they are
    known = (ids >= 0) & (ids < work.n)
    hkl = np.array(work.table["miller_index"], np.int64)
    hkl[known] = np.einsum("ni,nij->nj", hkl[known], found.turns[ids[known]])
    work.table = work.table.with_columns(miller_index=hkl.astype(np.int32))
    work.experiments = ExperimentList([
        e if found.choice[k] == 0 else replace(e, crystal=_turn_crystal(e.known.crystal, found.turns[k]))
        for k, e in enumerate(work.experiments)], work.experiments.extra)


def _turn_crystal(crystal: Crystal, turn: np.ndarray) -> Crystal:
    """The crystal whose indices are ``h @ turn``: q = A h stays, and so axes go by the same matrix as indices."""
    axes = turn.T @ np.asarray(crystal.real_space_matrix)
    extra = {name: value for name, value in crystal.extra.items() if name != "recalculated_unit_cell"}
    return replace(crystal, real_space_a=tuple(axes[0].tolist()), real_space_b=tuple(axes[1].tolist()),
                   real_space_c=tuple(axes[2].tolist()), A_at_scan_points=None, extra=extra)


def _scale_and_judge(work: _StillsWork, model: StillsErrorModel
                     ) -> tuple[StillObservations, LatticeScales, LatticeAgreement]:
    """Scale, and set lattices aside, until none is."""
    own = work.options
    group = work.experiments[0].known.crystal.space_group
    start = None
    for _ in range(_ROUNDS):
        seen = work.gather()
        scales = scale_lattices(seen, group, work.metric, work.n, model=model, scale=own.scale, use_b=own.scale_b,
                                reference=work.reference, start=start)
        agreement = judge_lattices(scales, seen.lattice, work.n)
        there = np.bincount(seen.lattice, minlength=work.n) > 0
        reasons = list_reasons(agreement, there, by_likelihood=work.method == "partiality",
                               min_correlation=own.outliers.min_correlation,
                               min_delta_cc_half=own.outliers.min_delta_cc_half) if own.outliers.reject else {}
        # if none agrees with the others, the fault is not the lattices'
        if not reasons or len(reasons) == there.sum():
            break
        work.set_aside |= reasons
        start = scales.log_scale, scales.b_factor
    return seen, scales, agreement


def _is_postrefined(work: _StillsWork) -> bool:
    """Whether crystals are post-refined; an error where that is asked for and cannot be."""
    wanted = work.options.postrefine
    if wanted is False or (wanted == AUTO and work.method != "partiality"):
        return False
    missing = [name for name in ("panel", "xyzobs.px.value") if name not in work.table]
    has_models = all(e.detector is not None and e.beam is not None for e in work.experiments)
    if not missing and has_models and work.method == "partiality":
        return True
    why = "stills.method=monte_carlo has no partialities" if work.method != "partiality" else (
        f"the reflections lack {missing[0]}" if missing else "an experiment lacks its detector or beam")
    if wanted == AUTO:
        logger.info("No post-refinement: %s", why)
        return False
    raise XdpError(f"stills.postrefine=True: {why}")


def _postrefine(work: _StillsWork, client: Client | None) -> None:
    """Refine the crystals that count; changes crystals and partialities."""
    kept = [k for k in range(work.n) if k not in work.set_aside]
    place = np.full(work.n, -1, np.int64)
    place[kept] = np.arange(len(kept))
    ids = np.asarray(work.table["id"], np.int64)
    rows = np.flatnonzero((ids >= 0) & (place[np.clip(ids, 0, work.n - 1)] >= 0))
    part = work.table.select(rows)
    part = part.with_columns(id=place[ids[rows]].astype(np.int32))
    # numbers have changed, and names with them; post-refinement needs none
    part.identifiers = {}
    refined = postrefine_run([work.experiments[k] for k in kept], part, reference=work.reference,
                             n_cycles=work.options.cycles, client=client, n_threads=work.options.nproc)
    for i, why in refined.failures:
        work.set_aside[kept[i]] = f"post-refinement: {why}"
    experiments = list(work.experiments)
    for i, k in enumerate(kept):
        experiments[k] = refined.experiments[i]
    work.experiments = ExperimentList(experiments, work.experiments.extra)
    table = refined.reflections
    work.table = table.with_columns(id=np.asarray(kept, np.int32)[table["id"]])


def _fit_errors(seen: StillObservations, scales: LatticeScales) -> StillsErrorModel | None:
    """The error model from the deviations of observations from what the other lattices say."""
    merge = scales.merge
    log_scale, b = scales.log_scale[seen.lattice], scales.b_factor[seen.lattice]
    factor = seen.partiality * np.exp(log_scale - 0.5 * b * seen.square)
    expected, _ = merge.expect(scales.shell)
    counting = seen.background / factor**2 + seen.counting * expected / factor
    return fit_stills_errors(scales.full - merge.other_mean, merge.other_variance, counting, seen.relative, expected)


def _finish(work: _StillsWork, indexing: LatticeIndexing | None,
            state: tuple[StillObservations, LatticeScales, LatticeAgreement], model: StillsErrorModel) -> StillsRun:
    """Observations in the order of their reflections, with halves by shot."""
    seen, scales, agreement = state
    shots = name_shots(work.experiments)
    # lattices of one shot share its errors, and must not make halves agree
    half = share_out_shots(number_shots(shots), work.options.seed)[seen.lattice]
    unique = scales.unique
    variance = 1.0 / scales.merge.weight if work.method == "partiality" else measure_scatter(scales.full, unique)
    # sums then do not depend on the order of the rows
    order = np.lexsort((scales.full, seen.lattice, unique.is_minus, unique.group))
    sorted_unique = replace(unique, group=unique.group[order], is_minus=unique.is_minus[order])
    done = ScaledObservations(sorted_unique, scales.full[order], variance[order], np.zeros(len(order)), half[order])
    there = np.unique(seen.lattice)
    for k in sorted(work.set_aside):
        logger.warning("Set aside: %s: %s", work.experiments[k].identifier or shots[k], work.set_aside[k])
    logger.info("%d of %d lattices are merged (%s)", len(there), work.n, work.method)
    return StillsRun(done, seen.lattice[order], work.experiments, shots, work.cell, dict(work.set_aside), indexing,
                     scales, agreement, model, work.method)
