"""Positions of spots in pixels, where a table has them in millimetres only."""

from __future__ import annotations

import logging

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.prediction.centroids import centroids_to_px
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)


def add_px_positions(experiments: ExperimentList, table: ReflectionTable, where: str = "the reflections"
                     ) -> ReflectionTable:
    """Add ``xyzobs.px.value`` and its variance to a table that has ``xyzobs.mm.value`` alone.

    Parameters
    ----------
    experiments : ExperimentList
        Their geometry.
    table : ReflectionTable
        With ``id`` and ``panel``. Rows of no experiment lie at 0.
    where : str
        The file, for the log.

    Returns
    -------
    ReflectionTable
        The same object where positions in pixels are there already, or none in millimetres.
    """
    if "xyzobs.px.value" in table or "xyzobs.mm.value" not in table or "panel" not in table:
        return table
    position, variance = np.zeros((len(table), 3)), np.zeros((len(table), 3))
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(table["id"] == number)
        panel = table["panel"][rows].astype(np.int64)
        position[rows] = centroids_to_px(experiment, panel, table["xyzobs.mm.value"][rows])
        if "xyzobs.mm.variance" in table and len(rows):
            sizes = np.array([plate.pixel_size for plate in experiment.known.detector])[panel]
            # a still has no angles, and any width will do
            width = 1.0 if experiment.is_still else np.deg2rad(experiment.known.scan.oscillation[1])
            scale = np.column_stack([sizes, np.full(len(rows), width)])
            variance[rows] = table["xyzobs.mm.variance"][rows] / scale**2
    logger.info("%s: positions in pixels are made from those in millimetres", where)
    columns = {"xyzobs.px.value": position}
    if "xyzobs.mm.variance" in table:
        columns["xyzobs.px.variance"] = variance
    return table.with_columns(**columns)
