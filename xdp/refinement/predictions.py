"""The reflection table after refinement: predictions by the refined models, and flags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.prediction.centroids import centroids_to_px
from xdp.refinement.equations.parts import Part
from xdp.refinement.equations.problem import predict_part
from xdp.refinement.selection import Choice
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

# flags that an earlier refinement may have set; those of this one replace them
_CHANGED = Flag.USED_IN_REFINEMENT | Flag.CENTROID_OUTLIER | Flag.EXCLUDED_FOR_REFINEMENT | Flag.PREDICTED


def update_table(experiments: ExperimentList, parts: Sequence[Part], p: np.ndarray, table: ReflectionTable,
                 rows: Sequence[np.ndarray], choice: Choice) -> ReflectionTable:
    """Put predictions by the refined models and the flags of this refinement into the table.

    Parameters
    ----------
    experiments : ExperimentList
        The refined models.
    parts : sequence of Part
        The problem's experiments, each with all its observations.
    p : (m,)
        The refined parameters.
    table : ReflectionTable
        The reflections; rows that belong to no experiment stay as they are.
    rows : sequence of (n,) arrays of int
        For each experiment the rows of its observations.
    choice : Choice
        Which observations were used, and which are outliers.

    Returns
    -------
    ReflectionTable
        A copy with ``xyzcal.mm``, ``xyzcal.px``, ``s1``, ``entering``, ``flags``, and ``delpsical.rad`` of stills.
    """
    n = len(table)
    columns = {name: table[name].copy() if name in table else np.zeros((n, 3))
               for name in ("xyzcal.mm", "xyzcal.px", "s1")}
    entering = table["entering"].copy() if "entering" in table else np.zeros(n, dtype=bool)
    flags = table["flags"] & ~np.uint64(_CHANGED)
    delta = table["delpsical.rad"].copy() if "delpsical.rad" in table else np.zeros(n)
    for experiment, part, r, use, bad in zip(experiments, parts, rows, choice.usable, choice.outliers,
                                             strict=True):
        _, at = predict_part(part, p)
        columns["s1"][r] = at.s1.T
        # of a still the third coordinate is delta psi, which has a column of its own
        third = np.zeros(len(r)) if experiment.is_still else at.third
        columns["xyzcal.mm"][r] = np.column_stack([at.x, at.y, third])
        columns["xyzcal.px"][r] = centroids_to_px(experiment, part.data.panel, columns["xyzcal.mm"][r])
        entering[r] = part.data.entering
        if experiment.is_still:
            delta[r] = at.third
        flags[r[~use & ~bad]] |= np.uint64(Flag.EXCLUDED_FOR_REFINEMENT)
        flags[r[use]] |= np.uint64(Flag.USED_IN_REFINEMENT)
        flags[r[bad]] |= np.uint64(Flag.CENTROID_OUTLIER)
        flags[r[at.ok]] |= np.uint64(Flag.PREDICTED)
    columns |= {"entering": entering, "flags": flags}
    if any(e.is_still for e in experiments):
        columns["delpsical.rad"] = delta
    return table.with_columns(**columns)
