"""The refined models, and the table with their predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.prediction.centroids import centroids_to_px
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.serial.metrology.fit import ShotSource, Workers
from xdp.serial.metrology.levels import MetrologyState, predict_all

# flags that an earlier refinement may have set; those of this one replace them
_CHANGED = Flag.USED_IN_REFINEMENT | Flag.CENTROID_OUTLIER | Flag.EXCLUDED_FOR_REFINEMENT | Flag.PREDICTED


def collect_models(experiments: ExperimentList, source: ShotSource, state: MetrologyState
                   ) -> tuple[ExperimentList, np.ndarray]:
    """Collect the models of all shots that were used last.

    Parameters
    ----------
    experiments : ExperimentList
        Before.
    source : ShotSource
        The packs.
    state : MetrologyState
        The refined detector, settings and wavenumbers.

    Returns
    -------
    ExperimentList
        With one detector.
    (n,) of int
        Their numbers in `experiments`.
    """
    models, kept = [], []
    for i in range(len(source.names)):
        pack = source.load(i)
        n_used = np.add.reduceat(state.use[i].astype(np.int64), pack.spots.start[:-1])
        for k in np.flatnonzero(n_used):
            number = int(pack.shots[k])
            models.append(_update_model(experiments[number], state, state.settings[i][k]))
            kept.append(number)
    return ExperimentList(models, experiments.extra), np.array(kept, dtype=np.int64)


def _update_model(experiment: Experiment, state: MetrologyState, setting: np.ndarray) -> Experiment:
    """A shot with its refined crystal, energy and detector."""
    a, b, c = (tuple(float(v) for v in row) for row in np.linalg.inv(setting))
    old = experiment.known.crystal
    # uncertainties of the cell as it was before do not belong to the new one
    extra = {k: v for k, v in old.extra.items() if k not in ("B_covariance", "recalculated_unit_cell")}
    crystal = replace(old, real_space_a=a, real_space_b=b, real_space_c=c, extra=extra)
    beam = experiment.known.beam
    # a longer wavenumber is a shorter wavelength
    if state.scale != 1.0:
        beam = replace(beam, wavelength=beam.wavelength / state.scale)
    return replace(experiment, crystal=crystal, beam=beam, detector=state.detector)


def update_shot_table(table: ReflectionTable, models: ExperimentList, kept: np.ndarray, source: ShotSource,
                      state: MetrologyState, workers: Workers, n_shots: int) -> ReflectionTable:
    """Put predictions and flags into the table of the shots that were used.

    Parameters
    ----------
    table : ReflectionTable
        Of all shots.
    models : ExperimentList
        Of those that were used (:func:`collect_models`).
    kept : (k,) of int
        Their numbers.
    source : ShotSource
        The packs.
    state : MetrologyState
        The refined models.
    workers : Workers
        Who predicts.
    n_shots : int
        Of the table.

    Returns
    -------
    ReflectionTable
        Rows of shots that were used, with ``xyzcal.mm``, ``xyzcal.px``, ``s1``, ``delpsical.rad`` and ``flags``.
    """
    n = len(table)
    mm, rays, psi = np.zeros((n, 3)), np.zeros((n, 3)), np.zeros(n)
    observed = np.zeros((n, 3))
    flags = table["flags"] & ~np.uint64(_CHANGED)
    excluded = np.ones(n, dtype=bool)
    for i, (predicted, s1) in enumerate(predict_all(source, state, workers)):
        pack = source.load(i)
        rows, good = pack.rows, np.isfinite(predicted).all(axis=1)
        mm[rows, :2], rays[rows] = np.where(good[:, None], predicted[:, :2], 0.0), np.where(good[:, None], s1, 0.0)
        psi[rows] = np.where(good, predicted[:, 2], 0.0)
        observed[rows, :2] = pack.spots.xy
        flags[rows[good]] |= np.uint64(Flag.PREDICTED)
        flags[rows[state.use[i]]] |= np.uint64(Flag.USED_IN_REFINEMENT)
        excluded[rows[state.use[i]]] = False
    # whatever was not used, for whichever reason
    flags[excluded] |= np.uint64(Flag.EXCLUDED_FOR_REFINEMENT)
    px = centroids_to_px(models[0], table["panel"].astype(np.int64), mm)
    updated = table.with_columns(**{"xyzcal.mm": mm, "xyzcal.px": px, "s1": rays, "delpsical.rad": psi,
                                    "xyzobs.mm.value": observed, "flags": flags})
    place = np.full(n_shots, -1)
    place[kept] = np.arange(len(kept))
    new = place[updated["id"].astype(np.int64)]
    result = updated.select(new >= 0).with_columns(id=new[new >= 0].astype(np.int32))
    result.identifiers = {int(place[k]): name for k, name in table.identifiers.items() if place[k] >= 0}
    return result
