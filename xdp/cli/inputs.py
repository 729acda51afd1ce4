"""Models and reflections from the files a command was given."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from xdp.cli.file_kinds import (
    READS_IMAGES_OR_MODELS,
    READS_OBSERVATIONS,
    READS_PAIRS,
    FileKind,
    check_kinds,
    find_kind,
    is_experiment_file,
)
from xdp.errors import NoGeometryError, OptionError, XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.experiment.io import read_experiments
from xdp.options.inputs import InputOptions
from xdp.prediction.completion import add_px_positions
from xdp.reflections.owners import match_identifiers
from xdp.reflections.refl import read_reflections
from xdp.reflections.sound import check_panels
from xdp.reflections.table import ReflectionTable


def read_pairs(inputs: Sequence[str], command: str, options: InputOptions | None = None
               ) -> tuple[ExperimentList, ReflectionTable]:
    """Read experiments and reflections, in pairs, as one list and one table.

    The ids of each further pair follow on those before it. Tables are brought into one form
    (:mod:`xdp.reflections.normalise`), and their identifiers are compared with those of the experiments.

    Parameters
    ----------
    inputs : sequence of str
        Names of files.
    command : str
        The command, for messages.
    options : InputOptions, optional
        What is done where identifiers differ; by default that is an error.

    Returns
    -------
    ExperimentList, ReflectionTable

    Raises
    ------
    XdpError
        If there is not a .refl for each .expt, or they do not fit together.
    """
    experiment_files, reflection_files = _sort_inputs(inputs, command)
    if not experiment_files or len(experiment_files) != len(reflection_files):
        raise XdpError(f"xdp {command} needs a .refl for each .expt, got {len(experiment_files)} .expt and "
                       f"{len(reflection_files)} .refl")
    lists, tables = [], []
    for expt, refl in zip(experiment_files, reflection_files, strict=True):
        part = read_experiments(expt)
        lists.append(part)
        tables.append(_read_table_of(part, expt, refl, options or InputOptions()))
    return _join_experiments(lists), _join_tables(tables, [len(part) for part in lists],
                                                  [len(part.unique("imageset")) or len(part) for part in lists])


def read_observations(inputs: Sequence[str], command: str, options: InputOptions | None = None
                      ) -> tuple[ExperimentList, ReflectionTable]:
    """Read experiments and reflections in pairs, and unmerged intensities of other programs.

    Sweeps of files of other programs follow those of the pairs.

    Parameters
    ----------
    inputs, command, options
        As for :func:`read_pairs`.

    Returns
    -------
    ExperimentList, ReflectionTable

    Raises
    ------
    XdpError
        If there is not a .refl for each .expt, or a file cannot be read.
    """
    from xdp.unmerged.read import read_unmerged

    fraction = getattr(options, "polarization_fraction", None)
    check_kinds(inputs, command, READS_OBSERVATIONS)
    foreign = [name for name in inputs if find_kind(name)[0] is FileKind.INTENSITIES]
    own = [name for name in inputs if name not in foreign]
    twice = next((name for name in foreign if foreign.count(name) > 1), None)
    if twice is not None:
        raise XdpError(f"{twice}: is given twice; its reflections would count twice")
    if fraction is not None and not foreign:
        raise OptionError("input.polarization_fraction: it is for INTEGRATE.HKL of XDS, which is not among the files")
    if not foreign:
        return read_pairs(inputs, command, options)
    found = [read_pairs(own, command, options)] if own else []
    found += [read_unmerged(name, fraction) for name in foreign]
    lists, tables = [part for part, _ in found], [table for _, table in found]
    sets = [len(part.unique("imageset")) or len(part) for part in lists]
    return _join_experiments(lists), _join_tables(tables, [len(part) for part in lists], sets)


def read_models_or_tables(inputs: Sequence[str], command: str, options: InputOptions | None = None
                          ) -> tuple[ExperimentList | None, ReflectionTable | None]:
    """Read experiments, reflections or both, each as one list and one table.

    Parameters
    ----------
    inputs, command, options
        As for :func:`read_pairs`.

    Returns
    -------
    experiments : ExperimentList or None
        None if no .expt is among the inputs.
    reflections : ReflectionTable or None
        None if no .refl is among the inputs.

    Raises
    ------
    XdpError
        If both are given, but not a .refl for each .expt, or a file is something else.
    """
    experiment_files, reflection_files = _sort_inputs(inputs, command)
    if experiment_files and reflection_files:
        return read_pairs(inputs, command, options)
    if experiment_files:
        return _join_experiments([read_experiments(name) for name in experiment_files]), None
    tables = [read_reflections(name) for name in reflection_files]
    if not tables:
        return None, None
    sizes = [max([-1, *table["id"].tolist(), *table.identifiers]) + 1 for table in tables]
    sets = [int(table.get("imageset_id", table["id"]).max(initial=-1)) + 1 for table in tables]
    return None, _join_tables(tables, sizes, sets)


def _sort_inputs(inputs: Sequence[str], command: str) -> tuple[list[str], list[str]]:
    """The files of experiments, and those of reflections; XdpError for any other."""
    check_kinds(inputs, command, READS_PAIRS)
    experiment_files = [f for f in inputs if is_experiment_file(f)]
    return experiment_files, [f for f in inputs if f not in experiment_files]


def _read_table_of(experiments: ExperimentList, expt: str, refl: str, options: InputOptions) -> ReflectionTable:
    """The reflections of a file, checked against their experiments."""
    table = read_reflections(refl)
    if not len(table.keys()):
        raise XdpError(f"{refl}: the table of reflections has no columns")
    sets = {id(imageset): i for i, imageset in enumerate(experiments.unique("imageset"))}
    # without image sets each experiment counts as one
    numbers = [sets.get(id(e.imageset), i) for i, e in enumerate(experiments)]
    table = match_identifiers(table, [e.identifier for e in experiments], numbers,
                              ignore=options.identifiers == "ignore", files=(refl, expt))
    _check_ids(table, len(experiments), expt, refl)
    check_panels(table, max((len(e.detector) for e in experiments if e.detector is not None), default=1), refl)
    return add_px_positions(experiments, table, refl)


def _join_experiments(lists: Sequence[ExperimentList]) -> ExperimentList:
    """The experiments of all lists; what a file has beside them is taken from the last one."""
    return lists[0] if len(lists) == 1 else ExperimentList([e for part in lists for e in part], lists[-1].extra)


def _join_tables(tables: Sequence[ReflectionTable], sizes: Sequence[int], sets: Sequence[int]) -> ReflectionTable:
    """The rows of all tables with the columns they have in common.

    Numbers of experiments and image sets of each follow on those before it; `sizes` and `sets` say how many it has.
    """
    if len(tables) == 1:
        return tables[0]
    starts, set_starts = ([0, *itertools.accumulate(numbers)] for numbers in (sizes, sets))
    tables = [_shift_ids(t, start, first) for t, start, first in zip(tables, starts, set_starts, strict=False)]
    common = set(tables[0]).intersection(*tables[1:])
    trimmed = [ReflectionTable({k: t[k] for k in t if k in common}, t.identifiers) for t in tables]
    return ReflectionTable.concatenate(trimmed)


def _check_ids(table: ReflectionTable, n: int, expt: str, refl: str) -> None:
    """Raise XdpError where reflections are of an experiment that is not there."""
    if len(table) and int(table["id"].max()) >= n:
        raise XdpError(f"{refl}: refers to experiment {int(table['id'].max())}, but {expt} has {n}: the files do not "
                       "belong together")


def _shift_ids(table: ReflectionTable, offset: int, sweep_offset: int) -> ReflectionTable:
    """The table with its ids moved behind those of the pairs before it."""
    # Negative ids mark spots without an experiment; they stay.
    ids = np.where(table["id"] >= 0, table["id"] + offset, table["id"]).astype(np.int32)
    columns = {"id": ids}
    if "imageset_id" in table:
        columns["imageset_id"] = (table["imageset_id"] + sweep_offset).astype(np.int32)
    shifted = table.with_columns(**columns)
    shifted.identifiers = {key + offset: name for key, name in table.identifiers.items()}
    return shifted


def read_images(inputs: Sequence[str], command: str) -> tuple[ExperimentList, bool]:
    """Experiments from .expt files, or made of images, templates and folders; and whether they came from files.

    Raises
    ------
    XdpError
        If there are none, or some of both.
    """
    if not inputs:
        raise XdpError(f"{command} needs images or an imported.expt; xdp {command} -h shows examples")
    check_kinds(inputs, command, READS_IMAGES_OR_MODELS)
    models = [name for name in inputs if is_experiment_file(name)]
    if not models:
        return read_headers(inputs, command), False
    # Experiments that name their images, and images beside them, would make the same sweep twice.
    others = [name for name in inputs if name not in models]
    if others:
        raise XdpError(f"{others[0]}: give either images or .expt files, not both")
    lists = [read_experiments(name) for name in models]
    # An empty list is sound JSON, and the wrong file.
    if not any(map(len, lists)):
        raise XdpError(f"{models[0]}: holds no experiments, and so no images")
    return ExperimentList([e for part in lists for e in part], lists[0].extra), True


def read_headers(inputs: Sequence[str], command: str) -> ExperimentList:
    """Read the experiments of images from their headers.

    Parameters
    ----------
    inputs : sequence of str
        Images, templates, folders.
    command : str
        The command's name, for the message.

    Raises
    ------
    NoGeometryError
        If a header says too little: what is missing is a matter for xdp import.
    XdpError
        If a file is no image.
    """
    from xdp.images.importing.import_images import import_images

    try:
        return import_images(inputs).experiments
    except NoGeometryError as error:
        name = str(error).partition(": ")[0]
        raise NoGeometryError(
            f"{name}: its header has no geometry, and xdp {command} takes none: run xdp import with "
            "geometry.beam.wavelength= and geometry.detector.panel (pixel_size, image_size, trusted_range, ...) or "
            f"reference_geometry=, then xdp {command} imported.expt") from error
