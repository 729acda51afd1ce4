"""Post-refinement: the crystals of a run against full intensities, which are a reference or the run's own, merged.

1. Each shot is fitted by itself, which gives its scale and its partialities.
2. Full intensities, sums over partiality and scale, are merged with weights from counting and from the partialities'
   variances. Each shot is compared with what the *other* shots say, never with its own measurements.
3. Orientation, cell, widths, scale and a relative B of each shot are fitted to these. Reflections that no other shot
   has are expected to be as strong as others of their resolution. The widths have a prior from all shots.

Steps 2 and 3 are repeated.

References
----------
H. M. Ginn et al., Nat. Commun. 6, 6435 (2015), doi:10.1038/ncomms7435; M. Uervirojnangkoorn et al., eLife 4, e05421
(2015), doi:10.7554/eLife.05421; N. K. Sauter, J. Synchrotron Rad. 22, 239 (2015), doi:10.1107/S1600577514028203.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.integration.partiality.fit import PartialityFit, fit_partiality, with_fit
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.partiality.prior import PartialityPrior, PriorSums
from xdp.integration.partiality.reference import (
    ReferenceIntensities,
    combine_with_shells,
    find_unique_keys,
    unpack_keys,
)
from xdp.integration.partiality.run_merge import FullIntensities, RunMerge
from xdp.integration.partiality.shot_data import choose_usable_rows, gather_intensities, gather_positions
from xdp.integration.partiality.shot_equations import ShotIntensities, ShotPositions
from xdp.reflections.table import ReflectionTable
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

LEAST_PARTIALITY = 0.05
"""Less is not merged: the errors of such a partiality are as large as itself."""
_LARGEST_SPREAD = 1.0
"""Relative variance of a partiality above which it is not merged."""


class PostrefinedShot(NamedTuple):
    """One crystal on its way through post-refinement.

    Attributes
    ----------
    experiment : Experiment
        As it was.
    intensities : ShotIntensities
    positions : ShotPositions
    keys : (n,) int64
        Numbers of the unique reflections.
    fit : PartialityFit or None
        None: it could not be fitted.
    log_scale, b_factor : float
        Of the shot, relative to the others: b in Å².
    why : str
        Why it could not.
    """

    experiment: Experiment
    intensities: ShotIntensities
    positions: ShotPositions
    keys: np.ndarray
    fit: PartialityFit | None = None
    log_scale: float = 0.0
    b_factor: float = 0.0
    why: str = ""

    def compute_scales(self, hkl: np.ndarray) -> np.ndarray:
        """Compute the factors (n,) from full to measured intensities, apart from partiality."""
        crystal = self.experiment.known.crystal if self.fit is None else self.fit.crystal
        square = np.square(np.asarray(hkl) @ crystal.A.T).sum(axis=1)
        return np.exp(self.log_scale - 0.5 * self.b_factor * square)


@dataclass
class PostrefinedRun:
    """A run after post-refinement.

    Attributes
    ----------
    experiments : ExperimentList
        With refined crystals; those that could not be refined are as they were.
    reflections : ReflectionTable
        Of those that could, with ``partiality``, ``partiality.variance`` and ``inverse_scale_factor``: full intensities
        on the scale of the reference are
        ``intensity.sum.value * lp / qe / partiality / inverse_scale_factor``.
    reference : ReferenceIntensities
        The given one, or the merged intensities of all shots.
    failures : list of (int, str)
        Experiments that could not be refined, and why.
    prior : PartialityPrior
        Of the widths over the run.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    reference: ReferenceIntensities
    failures: list[tuple[int, str]] = field(default_factory=list)
    prior: PartialityPrior = field(default_factory=PartialityPrior)


def postrefine_shot(experiment: Experiment, table: ReflectionTable, reference: ReferenceIntensities,
                    options: PartialityOptions | None = None, prior: PartialityPrior | None = None) -> PartialityFit:
    """Refine one crystal in one shot against full intensities.

    Parameters
    ----------
    experiment : Experiment
        With crystal, beam and detector.
    table : ReflectionTable
        Its integrated reflections, all that were predicted.
    reference : ReferenceIntensities
        Full intensities; reflections that are not in it are expected to be as strong as others of their resolution.
    options : PartialityOptions, optional
    prior : PartialityPrior, optional
        Of the widths.

    Returns
    -------
    PartialityFit
        ``scale`` and ``b_factor`` are relative to the reference.

    Raises
    ------
    XdpError
        If there are too few reflections.
    """
    usable = table.select(choose_usable_rows(experiment, table))
    return fit_partiality(experiment, gather_intensities(experiment, usable, reference),
                          gather_positions(experiment, usable), options, prior, has_reference=True)


def postrefine_run(experiments: Sequence[Experiment], table: ReflectionTable, options: PartialityOptions | None = None,
                   *, reference: ReferenceIntensities | None = None, n_cycles: int = 3,
                   client: Client | None = None, n_threads: int = 1) -> PostrefinedRun:
    """Refine all crystals of a run against a reference, or against their own merged intensities.

    Parameters
    ----------
    experiments : sequence of Experiment
        Stills of one kind of crystal.
    table : ReflectionTable
        Their integrated reflections, all that were predicted; ``id`` is the experiment.
    options : PartialityOptions, optional
    reference : ReferenceIntensities, optional
        Full intensities; None: what the other shots of the run say, merged anew in each cycle.
    n_cycles : int, default 3
        How often.
    client : distributed.Client, optional
        Whose workers fit the shots; by default threads of this process.
    n_threads : int, default 1
        Of these.

    Returns
    -------
    PostrefinedRun

    Raises
    ------
    XdpError
        If no shot can be fitted.
    """
    options = options or PartialityOptions()
    shots = [_gather_shot_data(experiment, table.select(table["id"] == i)) for i, experiment in enumerate(experiments)]
    prior = PartialityPrior()
    for cycle in range(n_cycles + 1):
        # the first time each shot is fitted by itself: there are no scales yet with which to merge
        tasks = [(shot, prior, None) for shot in shots] if not cycle else _compare(shots, reference, prior)
        shots = list(run_tasks(_fit_shot, options, tasks, client=client, n_threads=n_threads))
        if all(shot.fit is None for shot in shots):
            raise XdpError(f"no shot can be post-refined: {shots[0].why}")
        shots = _set_scales(shots, is_first=not cycle, is_fixed=reference is not None)
        prior = _estimate_prior(shots)
        log.info("Post-refinement, cycle %d: %d of %d crystals, a %.2e 1/Å, b %.4f degrees", cycle,
                 sum(shot.fit is not None for shot in shots), len(shots), np.exp(prior.mean[0]),
                 np.rad2deg(np.exp(prior.mean[1])))
    if reference is None:
        reference = _build_reference(RunMerge([compute_full(shot) for shot in shots]), shots)
    return _finish_run(experiments, table, shots, reference, prior)


def _gather_shot_data(experiment: Experiment, table: ReflectionTable) -> PostrefinedShot:
    """Gather what is fitted of one shot."""
    usable = table.select(choose_usable_rows(experiment, table))
    keys = find_unique_keys(experiment.known.crystal.space_group, usable["miller_index"])
    return PostrefinedShot(experiment, gather_intensities(experiment, usable),
                           gather_positions(experiment, usable), keys)


def _fit_shot(options: PartialityOptions, shot: PostrefinedShot, prior: PartialityPrior,
              expected: tuple[np.ndarray, np.ndarray] | None) -> PostrefinedShot:
    """Fit one shot, by itself or against the `expected` full intensities (with relative variances)."""
    intensities = shot.intensities
    if expected is not None:
        intensities = intensities._replace(expected=expected[0], spread=expected[1])
    start = shot.experiment if shot.fit is None else with_fit(shot.experiment, shot.fit)
    try:
        fit = fit_partiality(start, intensities, shot.positions, options, prior,
                             start=None if shot.fit is None else shot.fit.model, has_reference=expected is not None)
    except (XdpError, np.linalg.LinAlgError) as error:
        return shot._replace(fit=None, why=str(error))
    return shot._replace(fit=fit)


def _compare(shots: Sequence[PostrefinedShot], reference: ReferenceIntensities | None, prior: PartialityPrior
             ) -> list[tuple[PostrefinedShot, PartialityPrior, tuple[np.ndarray, np.ndarray]]]:
    """Make the tasks of a cycle: each shot with what the reference, or all other shots, say of its reflections."""
    if reference is not None:
        return [(shot, prior, reference.expect(shot.intensities.hkl)) for shot in shots]
    merge = RunMerge([compute_full(shot) for shot in shots])
    merged = _build_reference(merge, shots)
    return [(shot, prior, combine_with_shells(*merge.leave_out(i), merged.compute_shell_means(shot.intensities.hkl)))
            for i, shot in enumerate(shots)]


def compute_full(shot: PostrefinedShot) -> FullIntensities:
    """Compute the full intensities of a shot from its fit.

    Parameters
    ----------
    shot : PostrefinedShot

    Returns
    -------
    FullIntensities
        Observations of too small or too uncertain a partiality are there, and are not merged.
    """
    data = shot.intensities
    if shot.fit is None:
        return FullIntensities(shot.keys, np.zeros(len(shot.keys)), np.ones(len(shot.keys)),
                               np.full(len(shot.keys), np.inf))
    partiality, variance = shot.fit.compute_partialities(data.hkl)
    factor = np.maximum(partiality, 1e-9) * shot.compute_scales(data.hkl)
    relative = variance / np.maximum(partiality, 1e-9) ** 2
    good = (partiality >= LEAST_PARTIALITY) & (relative <= _LARGEST_SPREAD)
    return FullIntensities(shot.keys, data.value / factor, data.variance / factor**2, np.where(good, relative, np.inf))


def _build_reference(merge: RunMerge, shots: Sequence[PostrefinedShot]) -> ReferenceIntensities:
    """Build a reference of merged intensities."""
    crystal = shots[0].experiment.known.crystal
    used = np.isfinite(merge.variance)
    if not used.any():
        raise XdpError("no reflection of the run can be merged: all partialities are too small or too uncertain")
    return ReferenceIntensities.build(crystal.space_group, crystal.B.T @ crystal.B, unpack_keys(merge.keys[used]),
                                      merge.mean[used], merge.variance[used])


def _set_scales(shots: Sequence[PostrefinedShot], *, is_first: bool, is_fixed: bool) -> list[PostrefinedShot]:
    """Set the scales of shots from their fits; without a fixed reference their mean is 1, and that of B 0."""
    fitted = [shot for shot in shots if shot.fit is not None]
    if is_first:
        # without common intensities: a shot is as strong as its reflections are on the average
        logs = [_measure_level(shot) for shot in fitted]
        values = [(level, 0.0) for level in logs]
    else:
        values = [(float(np.log(shot.fit.scale)), shot.fit.b_factor) for shot in fitted if shot.fit is not None]
    centre = np.zeros(2) if is_fixed and not is_first else np.mean(values, axis=0)
    new = iter(np.asarray(values) - centre)
    out = []
    for shot in shots:
        log_scale, b = next(new).tolist() if shot.fit is not None else (0.0, 0.0)
        out.append(shot._replace(log_scale=log_scale, b_factor=b))
    return out


def _measure_level(shot: PostrefinedShot) -> float:
    """Measure the logarithm of a shot's strength: its intensities over the partialities times the multiplicities."""
    data = shot.intensities
    partiality = shot.fit.compute_partialities(data.hkl)[0] if shot.fit is not None else np.ones(len(data.hkl))
    seen = partiality > 0.1
    part = float((partiality * data.expected)[seen].sum())
    return float(np.log(max(float(data.value[seen].sum()), 1.0) / max(part, 1e-9)))


def _estimate_prior(shots: Sequence[PostrefinedShot]) -> PartialityPrior:
    """Estimate what all shots together say of the widths."""
    sums = PriorSums()
    for shot in shots:
        if shot.fit is not None:
            sums.add(shot.fit.widths, shot.fit.width_variances)
    return sums.estimate_prior()


def _finish_run(experiments: Sequence[Experiment], table: ReflectionTable, shots: Sequence[PostrefinedShot],
                reference: ReferenceIntensities, prior: PartialityPrior) -> PostrefinedRun:
    """Put the results together: experiments, and the reflections of those that were fitted."""
    parts, refined, failures = [], [], []
    for i, shot in enumerate(shots):
        if shot.fit is None:
            failures.append((i, shot.why))
            refined.append(experiments[i])
            continue
        own = table.select(table["id"] == i)
        partiality, variance = shot.fit.compute_partialities(own["miller_index"])
        parts.append(own.with_columns(**{"partiality": partiality, "partiality.variance": variance,
                                         "inverse_scale_factor": shot.compute_scales(own["miller_index"])}))
        refined.append(with_fit(experiments[i], shot.fit))
    return PostrefinedRun(ExperimentList(refined), ReflectionTable.concatenate(parts), reference, failures, prior)
