"""What indexing leaves: names of experiments that do not depend on chance, and predictions of the indexed spots."""

from __future__ import annotations

import uuid
from dataclasses import fields

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.imageset import ImageSet
from xdp.experiment.scan import Scan
from xdp.prediction.centroids import centroids_to_px
from xdp.refinement.equations.problem import predict_part
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem
from xdp.refinement.selection import take_observations
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

_DECIMALS = 3  # of a crystal's axes in Å: rounding in the last bits, which may differ between machines, changes no name


def make_identifier(experiment: Experiment, number: int) -> str:
    """Make a name (UUID) that depends on nothing but what the experiment is: the same input gives the same name.

    Parameters
    ----------
    experiment : Experiment
        With a crystal.
    number : int
        Its place in the list: two experiments of one crystal and equal images still differ.
    """
    # + 0.0: no minus zero
    crystal = np.round(experiment.known.crystal.real_space_matrix, _DECIMALS) + 0.0
    content = f"{number} {_spell_out(experiment.imageset)} {_spell_out(experiment.scan)} {crystal.tolist()}"
    return str(uuid.uuid5(uuid.NAMESPACE_OID, content))


def _spell_out(model: ImageSet | Scan | None) -> str:
    """All fields of a model in their order; how models show themselves may change, this must not."""
    if model is None:
        return "None"
    parts = (f"{f.name}={getattr(model, f.name)!r}" for f in fields(model) if f.repr)
    return f"{type(model).__name__}({', '.join(parts)})"


def add_predictions(experiments: ExperimentList, table: ReflectionTable) -> ReflectionTable:
    """Add the predictions of the indexed spots to a table.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals.
    table : ReflectionTable
        With ``id`` and positions in mm.

    Returns
    -------
    ReflectionTable
        A copy with ``xyzcal.mm``, ``xyzcal.px``, ``entering``, and ``delpsical.rad`` if there are stills.
    """
    n, ids, options = len(table), table["id"], Refinement()
    mm, px, entering, delta = np.zeros((n, 3)), np.zeros((n, 3)), np.zeros(n, dtype=bool), np.zeros(n)
    rows = [np.flatnonzero(ids == k) for k in range(len(experiments))]
    # a refinement problem at its start, all parameters zero, predicts with the models as they are
    data = [take_observations(e, table, r, options) for e, r in zip(experiments, rows, strict=True)]
    problem = build_problem(experiments, data, options.parameterisation)
    # the flag is refinement's: it says which predictions belong to refined models
    flags = table["flags"] & ~np.uint64(Flag.PREDICTED)
    for experiment, part, r in zip(experiments, problem.parts, rows, strict=True):
        _, at = predict_part(part, np.zeros(problem.size))
        third = np.zeros(len(r)) if experiment.is_still else at.third
        mm[r] = np.column_stack([at.x, at.y, third])
        px[r] = centroids_to_px(experiment, part.data.panel, mm[r])
        entering[r] = part.data.entering
        delta[r] = at.third if experiment.is_still else 0.0
    columns = {"xyzcal.mm": mm, "xyzcal.px": px, "entering": entering, "flags": flags}
    if any(e.is_still for e in experiments):
        columns["delpsical.rad"] = delta
    return table.with_columns(**columns)
