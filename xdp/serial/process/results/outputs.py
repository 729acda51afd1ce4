"""Files of a run: sets of .expt and .refl files, the table of shots, the stream. They grow as results come."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment, ExperimentList, write_experiments
from xdp.files import atomic_output, disk_errors, together
from xdp.images.geometry_files.write_crystfel import convert_detector, format_crystfel_geometry
from xdp.reflections.refl import write_reflections
from xdp.reflections.table import ReflectionTable
from xdp.serial.hits.table import ShotTableWriter
from xdp.serial.process.options import ShotOutputOptions, StillsProcessOptions
from xdp.serial.process.results.columns import make_columns
from xdp.serial.process.tasks import LISTS, REINDEXED, TABLES, Bag

#: Tables, with the names of their files and of those of their experiments.
FILES = {"strong": ("strong_filename", "experiments_filename"),
         "indexed": ("indexed_filename", "refined_experiments_filename"),
         "integrated": ("integrated_filename", "integrated_experiments_filename"),
         "coset": ("coset_filename", "coset_experiments_filename")}
PART = 1000
"""Rows of a part of the table of shots: a part is some 30 files on disk."""


def choose_tables(options: StillsProcessOptions) -> frozenset[str]:
    """Choose the tables that are written or are wanted for the stream.

    Parameters
    ----------
    options : StillsProcessOptions

    Returns
    -------
    frozenset of str
        Names of :data:`~xdp.serial.process.tasks.TABLES`.
    """
    output = options.output
    return frozenset(name for name, files in FILES.items() if any(getattr(output, file) for file in files))


def check_outputs(output: ShotOutputOptions) -> None:
    """Refuse names of files that could not be told apart, and folders that are not there.

    Parameters
    ----------
    output : ShotOutputOptions

    Raises
    ------
    OptionError
        If a name lacks its %s, two names are one, or output_dir is no folder.
    """
    if not os.path.isdir(output.output_dir):
        raise OptionError(f"output.output_dir={output.output_dir}: must be a folder that is there")
    seen: dict[str, str] = {}
    for table, pair in FILES.items():
        for name in pair:
            value = getattr(output, name)
            if value is None:
                continue
            # the number of the transformation stands in the names of the negative control
            n_fields = 1 + (table == "coset" and "%d" in value)
            if value.count("%s") != 1 or value.count("%") != n_fields:
                raise OptionError(f"output.{name}={value}: must hold %s once, which becomes the number of the set of "
                                  "files, or the tag of the shot")
            if value in seen:
                raise OptionError(f"output.{seen[value]} and output.{name} are both {value}: give them different names")
            seen[value] = name


def prepare_table(experiments: Sequence[Experiment], table: ReflectionTable) -> tuple[ExperimentList, ReflectionTable]:
    """Make experiments share their equal models, and number the image sets of a table.

    Parameters
    ----------
    experiments : sequence of Experiment
    table : ReflectionTable
        ``id`` counts them.

    Returns
    -------
    experiments : ExperimentList
    table : ReflectionTable
        With identifiers, and ``imageset_id`` where it had one.
    """
    shared: dict[str, dict[Any, Any]] = {"beam": {}, "detector": {}, "imageset": {}}
    places: dict[Any, int] = {}
    result, numbers = [], []
    for experiment in experiments:
        keys = {name: _make_hashable(getattr(experiment, name)) for name in shared}
        models = {name: known.setdefault(keys[name], getattr(experiment, name)) for name, known in shared.items()}
        numbers.append(places.setdefault(keys["imageset"], len(places)))
        result.append(dataclasses.replace(experiment, **models))
    if "imageset_id" in table:
        table = table.with_columns(imageset_id=np.array(numbers, np.int32)[table["id"]])
    table.identifiers = {k: e.identifier for k, e in enumerate(result) if e.identifier}
    return ExperimentList(result), table


def _make_hashable(model: Any) -> Any:
    """A model by which equal ones are found: itself where it can be hashed, or else its text."""
    try:
        hash(model)
    except TypeError:
        return repr(model)
    return model


class ShotOutputs:
    """Writes the results of a run as its bags come.

    Parameters
    ----------
    options : StillsProcessOptions
    folder : Path
        The work folder, for what is not finished.
    reindexed : str, optional
        Name of the file of spots that were indexed again.
    """

    def __init__(self, options: StillsProcessOptions, folder: Path, reindexed: str | None = None) -> None:
        self.options, self.folder = options, folder
        self.output = options.output
        self.reindexed = reindexed
        self.table = ShotTableWriter(self.output.table)
        self._rows: list[dict[str, Any]] = []
        self._stream = folder / "stream.part"
        self._has_head = False
        with disk_errors(self._stream), contextlib.suppress(FileNotFoundError):
            # of a run that was broken off: all shots come again, from the results that are kept
            self._stream.unlink()

    def add_rows(self, bag: Bag) -> None:
        """Take the rows and the stream's text of a bag, and write them where there are enough.

        Parameters
        ----------
        bag : Bag
        """
        self._rows += bag.rows
        while len(self._rows) >= PART:
            self.table.append(make_columns(self._rows[:PART]))
            del self._rows[:PART]
        if self.output.stream is not None and bag.chunks:
            with disk_errors(self._stream), open(self._stream, "a", encoding="utf-8", newline="\n") as file:
                if not self._has_head:
                    file.write(format_head(bag.lists["imported"][0], self.options))
                    self._has_head = True
                file.writelines(bag.chunks)

    def write_set(self, number: int, bag: Bag) -> list[str]:
        """Write a set of files.

        Parameters
        ----------
        number : int
            Of the set.
        bag : Bag
            All of its shots.

        Returns
        -------
        list of str
            The files.
        """
        if self.output.composite_output:
            return self._write_files(f"{number:04d}", bag)
        files = []
        for tag, part in split_by_shot(bag):
            files += self._write_files(tag, part)
        return files

    def _write_files(self, tag: str, bag: Bag) -> list[str]:
        """Write the tables of a bag with their experiments: all of its files, or none."""
        output, written = self.output, []
        with together():
            for table_name, list_name in zip(TABLES, LISTS, strict=True):
                if table_name not in bag.tables:
                    continue
                reflections, models = (getattr(output, name) for name in FILES[table_name])
                experiments, table = prepare_table(bag.lists[list_name], bag.tables[table_name])
                if reflections is not None:
                    written.append(self._name(reflections, tag))
                    write_reflections(written[-1], table)
                if models is not None:
                    written.append(self._name(models, tag))
                    write_experiments(written[-1], experiments, output.compatibility)
            if self.reindexed is not None and REINDEXED in bag.tables:
                written.append(self._name(self.reindexed, tag))
                _, table = prepare_table(bag.lists["experiments"], bag.tables[REINDEXED])
                write_reflections(written[-1], table)
            written += self._write_profiles(tag, bag.lists["integrated_experiments"])
        return written

    def _name(self, name: str, tag: str) -> str:
        """A file of a set, with the number of the transformation where the name has a place for it."""
        values = (f"idx-{tag}", self.options.integration.coset.transformation)
        return os.path.join(self.output.output_dir, name % values[:name.count("%")])

    def _write_profiles(self, tag: str, experiments: Sequence[Experiment]) -> list[str]:
        """Write the profile models of crystals as JSON, where they are wanted."""
        import json

        name = self.output.profile_filename
        if name is None or not experiments:
            return []
        path = os.path.join(self.output.output_dir, name % f"idx-{tag}" if "%s" in name else name)
        with atomic_output(path) as part:
            part.write_text(json.dumps({e.identifier: e.profile for e in experiments}, indent=1) + "\n")
        return [path]

    def finish(self) -> None:
        """Write the rest of the table, and put the stream in its place.

        Raises
        ------
        XdpError
            If it cannot be written.
        """
        if self._rows or not self.table.n_parts:
            self.table.append(make_columns(self._rows))
            self._rows = []
        if self.output.stream is None:
            return
        if not self._has_head:
            with disk_errors(self._stream):
                self._stream.write_text(format_head(None, self.options))
        with atomic_output(self.output.stream) as part, open(self._stream, "rb") as source, open(part, "wb") as target:
            while block := source.read(1 << 22):
                target.write(block)


def split_by_shot(bag: Bag) -> Iterator[tuple[str, Bag]]:
    """Split a bag into its shots.

    Parameters
    ----------
    bag : Bag
        Its counts tell how many experiments of each list are a shot's.

    Yields
    ------
    str, Bag
        The tag of each shot that has a table, and what is its own.
    """
    firsts = dict.fromkeys(LISTS, 0)
    for row, numbers in zip(bag.rows, bag.counts, strict=True):
        counts = dict(zip(LISTS, numbers, strict=True))
        part = Bag(rows=[row])
        for table_name, list_name in zip(TABLES, LISTS, strict=True):
            first, n = firsts[list_name], counts[list_name]
            if n:
                part.lists[list_name] = bag.lists[list_name][first:first + n]
                if table_name in bag.tables:
                    table = bag.tables[table_name]
                    own = table.select((table["id"] >= first) & (table["id"] < first + n))
                    part.tables[table_name] = own.with_columns(id=(own["id"] - first).astype(np.int32))
                firsts[list_name] += n
        first, n = firsts["experiments"] - counts["experiments"], counts["experiments"]
        if REINDEXED in bag.tables and n:
            own = bag.tables[REINDEXED].select(
                (bag.tables[REINDEXED]["id"] >= first) & (bag.tables[REINDEXED]["id"] < first + n))
            part.tables[REINDEXED] = own.with_columns(id=(own["id"] - first).astype(np.int32))
        if part.tables:
            yield row["tag"], part


def format_head(experiment: Experiment | None, options: StillsProcessOptions) -> str:
    """Format what stands before the images of a stream.

    Parameters
    ----------
    experiment : Experiment or None
        Of the first hit: its detector is the stream's geometry.
    options : StillsProcessOptions
        A known cell is written, too.

    Returns
    -------
    str
        Lines with their ends.
    """
    import xdp

    lines = ["CrystFEL stream format 2.3", f"Generated by xdp {xdp.__version__}", "xdp stills_process",
             f"Indexing methods selected: {options.indexing.method}"]
    if experiment is not None:
        with contextlib.suppress(XdpError):
            geometry, _ = convert_detector(experiment.known.detector, experiment.known.beam)
            text = format_crystfel_geometry(geometry).rstrip("\n")
            lines += ["----- Begin geometry file -----", *text.split("\n"), "----- End geometry file -----"]
    known = options.indexing.known_symmetry
    if known.unit_cell is not None:
        names = zip(("a", "b", "c", "al", "be", "ga"), known.unit_cell, ("A",) * 3 + ("deg",) * 3, strict=True)
        lines += ["----- Begin unit cell -----", "CrystFEL unit cell file version 1.0", "",
                  *(f"{name} = {value:.4f} {unit}" for name, value, unit in names), "----- End unit cell -----"]
    return "".join(f"{line}\n" for line in lines)
