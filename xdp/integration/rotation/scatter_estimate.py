"""The scatter of shapes of each experiment, from the sample that the second pass kept apart (:mod:`scatter_sample`)."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from xdp.experiment import ExperimentList
from xdp.experiment.image_files import name_sweep
from xdp.integration.profiles.reference import ReferenceProfiles
from xdp.integration.profiles.scatter.shape_scatter import ShapeScatter, estimate_scatter
from xdp.integration.rotation.block_work import BlockWork
from xdp.integration.rotation.measured_arrays import restore_boxes
from xdp.integration.rotation.tasks import load_sums
from xdp.logs import log_subject
from xdp.reflections.shoeboxes import Shoeboxes

log = logging.getLogger(__name__)


def add_scatter(work: BlockWork, experiments: ExperimentList) -> dict[int, ReferenceProfiles]:
    """Add the scatter of shapes to the reference profiles of each experiment.

    Parameters
    ----------
    work : BlockWork
        After its second pass, with profiles.
    experiments : ExperimentList
        For the names of sweeps in the log.

    Returns
    -------
    dict of int to ReferenceProfiles
    """
    given = work.plan.options.profile.gaussian_rs.fitting.shape_scatter
    if work.sample is None:
        scatter = ShapeScatter(float(given), 0.0) if isinstance(given, float) else ShapeScatter()
        log.info("%s", scatter.describe())
        return {i: replace(profiles, scatter=scatter) for i, profiles in work.profiles.items()}
    rows, n_used, boxes = _load_sample(work)
    found = {}
    for i, profiles in work.profiles.items():
        # by row: the order of sums must not depend on blocks
        at = np.flatnonzero(work.plan.table["id"][rows] == i)
        at = at[np.argsort(rows[at])]
        scatter = estimate_scatter(profiles, work.plan.table.select(rows[at]), boxes.select(at), n_used[at])
        with log_subject(name_sweep(experiments, i)):
            log.info("%s", scatter.describe())
        found[i] = replace(profiles, scatter=scatter)
    return found


def _load_sample(work: BlockWork) -> tuple[np.ndarray, np.ndarray, Shoeboxes]:
    """Load rows, numbers of background pixels, and boxes of the sample from the results of all blocks."""
    rows, n_used, boxes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [Shoeboxes.empty()]
    for number in range(len(work.blocks)):
        arrays = load_sums(work, number, ("sample.",))
        if "sample.rows" in arrays:
            rows.append(arrays["sample.rows"])
            n_used.append(arrays["sample.n_used"])
            boxes.append(restore_boxes(arrays, "sample"))
    return np.concatenate(rows), np.concatenate(n_used), Shoeboxes.concatenate(boxes)
