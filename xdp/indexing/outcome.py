"""What indexing hands on: names of experiments that do not depend on chance, and predictions of the indexed spots."""

from __future__ import annotations

import dataclasses
import uuid

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.imageset import ImageSet
from xdp.experiment.scan import Scan
from xdp.prediction.centroids import centroids_to_px
from xdp.refinement.equations.problem import predict_part
from xdp.refinement.options import Refinement
from xdp.refinement.parameters.setup import build_problem
from xdp.refinement.refine import observations
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def identifier_of(experiment: Experiment, number: int) -> str:
    """A name (UUID) that depends on nothing but what the experiment is: the same input gives the same name.

    Parameters
    ----------
    number : int
        Its place in the list: two experiments of one crystal and equal images still differ.
    """
    crystal = np.round(experiment.crystal.real_space_matrix, 3) + 0.0  # + 0.0: no minus zero
    models = [_list_fields(model) for model in (experiment.imageset, experiment.scan)]
    content = f"{number} {models[0]} {models[1]} {crystal.tolist()}"
    return str(uuid.uuid5(uuid.NAMESPACE_OID, content))


def _list_fields(model: ImageSet | Scan | None) -> str:
    """All of a model as text, in a form that stays: names of experiments are made from it."""
    if model is None:
        return "None"
    values = ", ".join(f"{field.name}={getattr(model, field.name)!r}" for field in dataclasses.fields(model))
    return f"{type(model).__name__}({values})"


def with_predictions(experiments: ExperimentList, table: ReflectionTable) -> ReflectionTable:
    """The table with ``xyzcal.mm``, ``xyzcal.px``, ``entering`` (and ``delpsical.rad`` of stills) of indexed spots."""
    n, ids, options = len(table), table["id"], Refinement()
    mm, px, entering, delta = np.zeros((n, 3)), np.zeros((n, 3)), np.zeros(n, dtype=bool), np.zeros(n)
    rows = [np.flatnonzero(ids == k) for k in range(len(experiments))]
    data = [observations(e, table, r, options) for e, r in zip(experiments, rows, strict=True)]
    problem = build_problem(experiments, data, options.parameterisation)
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
