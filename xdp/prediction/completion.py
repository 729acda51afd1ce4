"""Positions of spots in pixels, where a table has them in millimetres only."""

from __future__ import annotations

import logging

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.prediction.centroids import centroids_to_px
from xdp.reflections.normalise import normalise_table
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
        With ``id`` and ``panel``. Spots without a crystal (``id`` -1) have the geometry of their image set; rows of
        neither lie at 0.
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
    owners = _find_owners(experiments, table)
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(owners == number)
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


def _find_owners(experiments: ExperimentList, table: ReflectionTable) -> np.ndarray:
    """The experiment whose geometry each row has, (n,); -1 for none."""
    ids = table["id"].astype(np.int64)
    if "imageset_id" not in table:
        return ids
    sets = {id(imageset): k for k, imageset in enumerate(experiments.unique("imageset"))}
    # without image sets each experiment counts as one
    numbers = np.array([sets.get(id(e.imageset), k) for k, e in enumerate(experiments)], dtype=np.int64)
    first = {int(number): k for k, number in reversed(list(enumerate(numbers)))}
    of_set = np.array([first.get(int(number), -1) for number in table["imageset_id"]], dtype=np.int64)
    return np.where(ids >= 0, ids, of_set)


def complete_table(experiments: ExperimentList, table: ReflectionTable) -> ReflectionTable:
    """Add what a table lacks and its other columns tell, as it is added to tables that are read from files.

    Parameters
    ----------
    experiments : ExperimentList
        Their geometry.
    table : ReflectionTable
        Made by a script, perhaps: without ``id`` or ``flags``, or with positions in millimetres alone.

    Returns
    -------
    ReflectionTable
        The same object where nothing is missing (:func:`~xdp.reflections.normalise.normalise_table`,
        :func:`add_px_positions`).

    Examples
    --------
    >>> from xdp.simulation import make_spots
    >>> experiments, spots = make_spots(n_spots=5)
    >>> complete_table(experiments, spots) is spots
    True
    """
    return add_px_positions(experiments, normalise_table(table))
