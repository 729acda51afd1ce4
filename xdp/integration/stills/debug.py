"""Shoeboxes of stills, in files of their own or in the table of reflections (``integration.debug``)."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from xdp.integration.options import DebugOptions, IntegrateOptions
from xdp.integration.results.debug import find_output_folder, select_rows
from xdp.reflections.flags import Flag
from xdp.reflections.refl import write_reflections
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)


def place_shoeboxes(table: ReflectionTable, boxes: Shoeboxes, options: IntegrateOptions, folder: Path | None
                    ) -> ReflectionTable:
    """Write shoeboxes to files of their own, or put them into the table, as ``integration.debug`` says.

    Parameters
    ----------
    table : ReflectionTable
        All integrated reflections.
    boxes : Shoeboxes
        One a reflection, in the same order.
    options : IntegrateOptions
    folder : Path or None
        The work folder of the output, beside which ``shoeboxes_0_EXPERIMENT.refl`` (``shoeboxes_0.refl`` without
        ``split_experiments``) are written; None: beside ``output.reflections``.

    Returns
    -------
    ReflectionTable
        With the column ``shoebox``, where shoeboxes are to stay in the table.
    """
    whole, debug = table.with_columns(shoebox=boxes), options.integration.debug
    if debug.separate_files:
        _write(whole, debug, find_output_folder(folder, options))
        return table
    return table if debug.delete_shoeboxes or debug.during == "modelling" else whole


def _write(table: ReflectionTable, debug: DebugOptions, folder: Path) -> None:
    """Write the reflections that ``debug`` selects, one file for each experiment or one for all."""
    # stills are not fitted with profiles: of modelling there are the spots that would have made them
    if debug.during == "modelling":
        table = table.select(table.flags(Flag.REFERENCE_SPOT))
    table = table.select(select_rows(table, debug.select))
    del table["shares"]  # no column of reflection tables
    for i in np.unique(table["id"]).tolist() if debug.split_experiments else [None]:
        name = "shoeboxes_0.refl" if i is None else f"shoeboxes_0_{i}.refl"
        part = table if i is None else table.select(table["id"] == i)
        write_reflections(folder / name, part)
        log.info("Saved %d shoeboxes to %s", len(part), name)
