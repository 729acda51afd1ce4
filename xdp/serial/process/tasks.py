"""Tasks of a run: bags of shots, one after the other, whose results come back as plain arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xdp.experiment import Experiment, ExperimentList
from xdp.experiment.io import experiments_from_dict, experiments_to_dict
from xdp.reflections.table import ReflectionTable
from xdp.serial.process.shot import ShotOutcome, ShotProcessor
from xdp.spotfinding.spots.ordered import pack_table, unpack_table
from xdp.work.store import Arrays, ResultStore

LISTS = ("imported", "experiments", "integrated_experiments", "coset_experiments")
"""Lists of experiments of an outcome."""
TABLES = ("strong", "indexed", "integrated", "coset")
"""Tables of an outcome, each with the list of experiments that its ``id`` counts."""
REINDEXED = "reindexed"
"""The table of spots indexed again; its ``id`` counts the same experiments as that of the indexed spots."""


@dataclass
class Bag:
    """What became of the shots of a task.

    Attributes
    ----------
    rows : list of dict
        Of the table of shots.
    lines : list of str
        For the log.
    lists : dict of str to list of Experiment
        By the names of :data:`LISTS`.
    tables : dict of str to ReflectionTable
        By the names of :data:`TABLES`; ``id`` counts the experiments of the same place of :data:`LISTS`. A table that
        no shot has is not there.
    chunks : list of str
        Text of the CrystFEL stream, one a hit, where it is wanted.
    counts : list of tuple of int
        For each row how many experiments of each of :data:`LISTS` are its own.
    widths : list
        Of the fitted crystals, as :class:`~xdp.serial.process.shot.ShotOutcome` has them.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    lists: dict[str, list[Experiment]] = field(default_factory=lambda: {name: [] for name in LISTS})
    tables: dict[str, ReflectionTable] = field(default_factory=dict)
    chunks: list[str] = field(default_factory=list)
    counts: list[tuple[int, ...]] = field(default_factory=list)
    widths: list[tuple[list[float], list[float]]] = field(default_factory=list)


@dataclass(frozen=True)
class ProcessWork:
    """What all tasks of a run have in common.

    Attributes
    ----------
    processor : ShotProcessor
    keep : frozenset of str
        Tables that are written, by the names of :data:`TABLES`; the others do not travel.
    shoeboxes : bool
        Whether tables of spots keep their pixels.
    folder : Path or None
        Where results of tasks are kept.
    stream : bool
        Whether text of a stream is wanted.
    """

    processor: ShotProcessor
    keep: frozenset[str]
    shoeboxes: bool = True
    folder: Path | None = None
    stream: bool = False


def process_bag(work: ProcessWork, name: str, shots: Sequence[int]) -> Bag:
    """Process some shots: one task.

    Parameters
    ----------
    work : ProcessWork
    name : str
        Of the result; it holds the key of all that the result depends on.
    shots : sequence of int
        Their numbers among the events.

    Returns
    -------
    Bag
        With a work folder it is saved there, and loaded instead of made where it is there already.
    """
    store = ResultStore(work.folder, keeps=False)
    if work.folder is None:
        return join_outcomes(_process_shots(work, shots), work)
    arrays = store.load(name)
    if arrays is None:
        arrays = pack_shots(join_outcomes(_process_shots(work, shots), work))
        store.save(name, arrays)
    return unpack_shots(arrays)


def _process_shots(work: ProcessWork, shots: Sequence[int]) -> list[ShotOutcome]:
    """The outcomes of those shots that are wanted."""
    found = [work.processor.process(number) for number in shots]
    return [outcome for outcome in found if outcome is not None]


def join_outcomes(outcomes: Sequence[ShotOutcome], work: ProcessWork) -> Bag:
    """Join what became of several shots.

    Parameters
    ----------
    outcomes : sequence of ShotOutcome
        In order.
    work : ProcessWork

    Returns
    -------
    Bag
    """
    bag = Bag()
    parts: dict[str, list[ReflectionTable]] = {name: [] for name in TABLES}
    for outcome in outcomes:
        bag.rows.append(outcome.row)
        bag.lines += outcome.lines
        bag.widths += outcome.widths
        if work.stream and outcome.imported:
            from xdp.serial.process.results.stream import format_shot

            bag.chunks.append(format_shot(outcome))
        counts = []
        for table_name, list_name in zip(TABLES, LISTS, strict=True):
            table, experiments = getattr(outcome, table_name), getattr(outcome, list_name)
            is_kept = table_name in work.keep
            if is_kept and table is not None:
                parts[table_name].append(_shift_ids(table, len(bag.lists[list_name]), work.shoeboxes))
            # the stream begins with the geometry of its first hit
            experiments = experiments if is_kept or (work.stream and list_name == "imported") else []
            bag.lists[list_name] += experiments
            counts.append(len(experiments))
        bag.counts.append(tuple(counts))
    bag.tables = {name: ReflectionTable.concatenate(tables) for name, tables in parts.items() if tables}
    bag.tables |= _join_reindexed(outcomes, work)
    return bag


def _join_reindexed(outcomes: Sequence[ShotOutcome], work: ProcessWork) -> dict[str, ReflectionTable]:
    """The spots that were indexed again, by the lattices that the table of indexed spots counts."""
    first, tables = 0, []
    for outcome in outcomes:
        if outcome.reindexed is not None:
            tables.append(_shift_ids(outcome.reindexed, first, work.shoeboxes))
        first += len(outcome.experiments)
    return {REINDEXED: ReflectionTable.concatenate(tables)} if tables else {}


def _shift_ids(table: ReflectionTable, first: int, shoeboxes: bool) -> ReflectionTable:
    """A table whose ids count from `first`."""
    ids = table["id"] + np.int32(first)
    columns = {"id": ids.astype(np.int32)}
    if "imageset_id" in table:
        columns["imageset_id"] = ids.astype(np.int32)
    table = table.with_columns(**columns)
    table.identifiers = {}
    if not shoeboxes and "shoebox" in table:
        del table["shoebox"]
    return table


def join_bags(bags: Sequence[Bag]) -> Bag:
    """Join bags, in order.

    Parameters
    ----------
    bags : sequence of Bag

    Returns
    -------
    Bag
    """
    joined = Bag()
    parts: dict[str, list[ReflectionTable]] = {name: [] for name in TABLES}
    for bag in bags:
        joined.rows += bag.rows
        joined.lines += bag.lines
        joined.widths += bag.widths
        joined.chunks += bag.chunks
        joined.counts += bag.counts
        if REINDEXED in bag.tables:
            first = len(joined.lists["experiments"])
            parts.setdefault(REINDEXED, []).append(_shift_ids(bag.tables[REINDEXED], first, True))
        for table_name, list_name in zip(TABLES, LISTS, strict=True):
            if table_name in bag.tables:
                table = bag.tables[table_name]
                parts[table_name].append(_shift_ids(table, len(joined.lists[list_name]), True))
            joined.lists[list_name] += bag.lists[list_name]
    joined.tables = {name: ReflectionTable.concatenate(tables) for name, tables in parts.items() if tables}
    return joined


def pack_shots(bag: Bag) -> Arrays:
    """Pack a bag into named arrays.

    Parameters
    ----------
    bag : Bag

    Returns
    -------
    dict of str to array
        ``text`` (JSON: rows, lines, experiments and stream) and ``TABLE/COLUMN``.
    """
    lists = {name: experiments_to_dict(ExperimentList(items)) if items else None for name, items in bag.lists.items()}
    text = json.dumps({"rows": bag.rows, "lines": bag.lines, "lists": lists, "chunks": bag.chunks,
                       "counts": bag.counts, "widths": bag.widths})
    # text as an array of bytes, so that the file holds arrays only and reading it runs no code
    arrays: Arrays = {"text": np.frombuffer(text.encode(), np.uint8)}
    for name, table in bag.tables.items():
        arrays |= {f"{name}/{key}": array for key, array in pack_table(table).items()}
    return arrays


def unpack_shots(arrays: Arrays) -> Bag:
    """Restore a bag that :func:`pack_shots` packed.

    Parameters
    ----------
    arrays : dict of str to array

    Returns
    -------
    Bag
    """
    head = json.loads(arrays["text"].tobytes())
    lists = {name: [] if source is None else list(experiments_from_dict(source))
             for name, source in head["lists"].items()}
    tables = {}
    for name in (*TABLES, REINDEXED):
        own = {key.partition("/")[2]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
        if own:
            tables[name] = unpack_table(own)
    return Bag(head["rows"], head["lines"], lists, tables, head["chunks"],
               [tuple(numbers) for numbers in head["counts"]], [tuple(pair) for pair in head["widths"]])
