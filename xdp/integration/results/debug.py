"""Files of what lies between images and intensities, for users who want to look at it: shoeboxes, reference profiles.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from xdp.errors import OptionError
from xdp.integration.options import IntegrateOptions
from xdp.integration.rotation.block_work import BlockWork
from xdp.integration.rotation.measured_arrays import restore_boxes, restore_columns
from xdp.integration.rotation.tasks import load_fits, load_sums
from xdp.reflections.flags import Flag
from xdp.reflections.refl import write_reflections
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

log = logging.getLogger(__name__)

_OPERATORS = {"<": np.less, "<=": np.less_equal, "==": np.equal, "!=": np.not_equal, ">=": np.greater_equal,
              ">": np.greater}
#: COLUMN OPERATOR VALUE. The two-letter operators come first, or "<=" would be read as "<" and a value "=...".
_SELECTION = re.compile(r"^\s*([\w.]+)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*$")


def select_rows(table: ReflectionTable, selection: str | None) -> np.ndarray:
    """Find the rows that a text like ``intensity.sum.i_over_sigma>3`` selects.

    Parameters
    ----------
    table : ReflectionTable
    selection : str or None
        COLUMN, one of < <= == != >= >, and a number; ``NAME.i_over_sigma`` is the ratio of ``NAME.value`` and its
        standard deviation. None selects all rows.

    Returns
    -------
    (n,) bool

    Raises
    ------
    OptionError
        If the text is of another form, or names no column of numbers.

    Examples
    --------
    >>> table = ReflectionTable({"d": np.array([1.2, 2.5, 4.0])})
    >>> select_rows(table, "d >= 2.5").tolist()
    [False, True, True]
    """
    if selection is None:
        return np.ones(len(table), bool)
    name, operator, value = read_selection(selection)
    return _OPERATORS[operator](_get_column(table, name), value)


def read_selection(text: str) -> tuple[str, str, float]:
    """Read a selection of reflections: the name of a column, an operator, a number.

    Parameters
    ----------
    text : str

    Raises
    ------
    OptionError
        If it is of another form.

    Examples
    --------
    >>> read_selection("d >= 2.5")
    ('d', '>=', 2.5)
    """
    found = _SELECTION.match(text)
    if not found:
        raise OptionError(f"integration.debug.select must be COLUMN<VALUE, with <, <=, ==, !=, >= or >, got {text!r}")
    name, operator, number = found.groups()
    try:
        return name, operator, float(number)
    except ValueError:
        raise OptionError(f"integration.debug.select: {number!r} is no number") from None


#: Columns of numbers that reflections have when shoeboxes are written; those of fits are there only after fits.
_ALWAYS = frozenset({
    "background.mean", "background.sum.value", "background.sum.variance", "d", "entering", "flags", "id",
    "intensity.sum.value", "intensity.sum.variance", "num_pixels.background", "num_pixels.background_used",
    "num_pixels.foreground", "num_pixels.valid", "panel", "partiality"})
_ROTATION = frozenset({"imageset_id", "partial_id", "zeta", "background.dispersion", "background.mse"})
_FITTED = frozenset({"intensity.prf.value", "intensity.prf.variance", "profile.correlation"})
_STILLS = frozenset({"lp", "qe", "delpsical.rad", "partiality.inv.variance"})


def check_selection(options: IntegrateOptions, *, are_stills: bool) -> None:
    """Refuse a selection that cannot be read, or whose column no reflection will have, before the work begins.

    Parameters
    ----------
    options : IntegrateOptions
        With ``integration.debug.select``.
    are_stills : bool
        Whether the experiments are stills.

    Raises
    ------
    OptionError
        The message lists the columns that there are.
    """
    debug = options.integration.debug
    if not debug.output or debug.select is None:
        return
    name, _, _ = read_selection(debug.select)
    fits = not are_stills and options.integration.profile.fitting and debug.during == "integration"
    known = _ALWAYS | (_STILLS if are_stills else _ROTATION) | (_FITTED if fits else frozenset())
    ratios = {column.removesuffix("value") + "i_over_sigma" for column in known if column.endswith(".value")}
    if name not in known | ratios:
        raise OptionError(f"integration.debug.select: no column of numbers {name!r}; there are "
                          f"{', '.join(sorted(known | ratios))}")


def _get_column(table: ReflectionTable, name: str) -> np.ndarray:
    """Get a column of numbers, or the ratio of an intensity and its standard deviation (0 without a variance)."""
    if name.endswith(".i_over_sigma"):
        stem = name.removesuffix(".i_over_sigma")
        if f"{stem}.variance" in table:
            variance = table[f"{stem}.variance"]
            # the small number only keeps the root from 0 where the other branch is taken
            return np.where(variance > 0, table[f"{stem}.value"] / np.sqrt(np.maximum(variance, 1e-30)), 0.0)
    column = table.get(name)
    if not isinstance(column, np.ndarray) or column.ndim != 1:
        raise OptionError(f"integration.debug.select: no column of numbers {name!r}")
    return column


def find_output_folder(folder: Path | None, options: IntegrateOptions) -> Path:
    """Find the folder for these files: that of the output.

    Parameters
    ----------
    folder : Path or None
        The work folder of the output, which lies beside it. None: there is none.
    options : IntegrateOptions
        ``output.reflections`` says where, if there is no work folder.
    """
    return Path(options.output.reflections).parent if folder is None else folder.parent


def write_shoeboxes(work: BlockWork) -> None:
    """Write the shoeboxes of each block to files of their own, if ``integration.debug`` asks for them.

    The files ``shoeboxes_BLOCK_EXPERIMENT.refl`` (``shoeboxes_BLOCK.refl`` without ``split_experiments``) lie beside
    the output. With ``during=modelling`` they hold the reference spots, before profiles are fitted.

    Parameters
    ----------
    work : BlockWork
        After its last pass.
    """
    debug = work.plan.options.integration.debug
    if not debug.output or not debug.separate_files:
        return
    folder = find_output_folder(work.store.folder, work.plan.options)
    for number in range(len(work.blocks)):
        table = _add_boxes(work, number)
        if debug.during == "modelling":
            table = table.select(table.flags(Flag.REFERENCE_SPOT))
        table = table.select(select_rows(table, debug.select))
        ids = np.unique(table["id"]).tolist() if debug.split_experiments else [None]
        for i in ids:
            name = f"shoeboxes_{number}.refl" if i is None else f"shoeboxes_{number}_{i}.refl"
            part = table if i is None else table.select(table["id"] == i)
            write_reflections(folder / name, part)
            log.info("Saved %d shoeboxes to %s", len(part), name)


def _add_boxes(work: BlockWork, number: int) -> ReflectionTable:
    """Select the reflections of a block, with all columns that the tasks found and with whole shoeboxes."""
    sums = load_sums(work, number)
    columns = restore_columns(sums)
    table = work.plan.table.select(sums["rows"])
    if work.profiles and work.plan.options.integration.debug.during == "integration":
        fits = restore_columns(load_fits(work, number, ("column.",)))
        columns["flags"] = columns["flags"] | fits.pop("flags", np.uint64(0))
        columns |= fits
    columns.pop("shares", None)  # no column of reflection tables
    if not len(table):
        return table.with_columns(**columns)
    columns["flags"] = table["flags"] | columns["flags"]
    return table.with_columns(**columns, shoebox=restore_boxes(sums, "full"))


def attach_shoeboxes(work: BlockWork, table: ReflectionTable, listed: np.ndarray | None = None) -> ReflectionTable:
    """Add the column ``shoebox``, if shoeboxes are to stay in the table (``integration.debug``).

    Parameters
    ----------
    work : BlockWork
        After its second pass.
    table : ReflectionTable
        The rows of the result.
    listed : (n,) bool, optional
        Which of all predicted reflections these are; by default all. Those that were not integrated get boxes without
        pixels.
    """
    debug = work.plan.options.integration.debug
    if not debug.output or debug.separate_files or debug.delete_shoeboxes or debug.during == "modelling":
        return table
    parts = [load_sums(work, number, ("rows", "full.")) for number in range(len(work.blocks))]
    parts = [part for part in parts if len(part["rows"])]
    rows = np.concatenate([part["rows"] for part in parts])
    boxes = Shoeboxes.concatenate([restore_boxes(part, "full") for part in parts])
    # blocks own reflections by their ends; the table has them in the order of predictions
    order = np.argsort(rows)
    if len(rows) == len(table):
        return table.with_columns(shoebox=boxes.select(order))
    empty = Shoeboxes(np.zeros(1), np.zeros((1, 6), np.int32), np.zeros(2, np.int64), np.zeros(0, np.float32),
                      np.zeros(0, np.uint8))
    wanted = np.arange(len(table)) if listed is None else np.flatnonzero(listed)
    place = np.minimum(np.searchsorted(rows[order], wanted), len(rows) - 1)
    place = np.where(rows[order][place] == wanted, place, len(rows))  # the empty box comes last
    return table.with_columns(shoebox=Shoeboxes.concatenate([boxes.select(order), empty]).select(place))


def write_reference_profiles(work: BlockWork) -> None:
    """Write the reference profiles as a reflection table, if asked for: each profile is a row with a shoebox.

    ``xyzcal.px`` is where a profile stands, ``num_pixels.valid`` how many spots made it (rounded), the shoebox's data
    are the profile along (e3, e2, e1). A relative name of the file is taken from where the output lies.
    """
    reference = work.plan.options.integration.debug.reference
    if not reference.output or not work.profiles:
        return
    tables = []
    for i, profiles in work.profiles.items():
        n, side = profiles.profiles.shape[:2]
        # the box says only how large the profile is, not where it lies; 5 is VALID | FOREGROUND
        bbox = np.tile(np.array([0, side] * 3, np.int32), (n, 1))
        data = profiles.profiles.reshape(-1).astype(np.float32)
        boxes = Shoeboxes(np.zeros(n), bbox, np.arange(n + 1) * side**3, data, np.full(len(data), 5, np.uint8))
        tables.append(ReflectionTable({
            "id": np.full(n, i, np.int32), "panel": np.zeros(n, np.uint64), "bbox": bbox, "shoebox": boxes,
            "xyzcal.px": np.asarray(profiles.grid.sampler.list_coordinates(), np.float64),
            "num_pixels.valid": np.rint(profiles.n_references).astype(np.int32)}))
    path = find_output_folder(work.store.folder, work.plan.options) / reference.filename
    write_reflections(path, ReflectionTable.concatenate(tables))
    log.info("Saved the reference profiles to %s", path)
