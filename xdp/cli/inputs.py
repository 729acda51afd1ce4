"""Models and reflections from the files a command was given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.cli.file_kinds import READS_IMAGES_OR_MODELS, READS_PAIRS, check_kinds, is_experiment_file
from xdp.errors import NoGeometryError, XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.io import read_experiments
from xdp.reflections.refl import read_reflections
from xdp.reflections.sound import check_panels
from xdp.reflections.table import ReflectionTable


def read_pairs(inputs: Sequence[str], command: str) -> tuple[ExperimentList, ReflectionTable]:
    """Read experiments and reflections, in pairs, as one list and one table.

    The ids of each further pair follow on those before it.

    Raises
    ------
    XdpError
        If there is not a .refl for each .expt, or they do not fit together.
    """
    check_kinds(inputs, command, READS_PAIRS)
    experiment_files = [f for f in inputs if is_experiment_file(f)]
    reflection_files = [f for f in inputs if f not in experiment_files]
    if not experiment_files or len(experiment_files) != len(reflection_files):
        raise XdpError(f"xdp {command} needs a .refl for each .expt, got {len(experiment_files)} .expt and "
                       f"{len(reflection_files)} .refl")
    experiments: list[Experiment] = []
    tables, offset, sweep_offset = [], 0, 0
    for expt, refl in zip(experiment_files, reflection_files, strict=True):
        part, table = read_experiments(expt), read_reflections(refl)
        _check_ids(table, len(part), expt, refl)
        check_panels(table, max((len(e.detector) for e in part if e.detector is not None), default=1), refl)
        experiments.extend(part)
        tables.append(_shift_ids(table, offset, sweep_offset))
        # Ids of a table count its own experiments: those of the next pair follow on.
        offset += len(part)
        sweep_offset += len(part.unique("imageset")) or len(part)
    if len(tables) == 1:
        return ExperimentList(experiments, part.extra), tables[0]
    # A column that some rows lack would have to be filled with values that nobody measured.
    common = set(tables[0]).intersection(*tables[1:])
    trimmed = [ReflectionTable({k: t[k] for k in t if k in common}, t.identifiers) for t in tables]
    return ExperimentList(experiments, part.extra), ReflectionTable.concatenate(trimmed)


def _check_ids(table: ReflectionTable, n: int, expt: str, refl: str) -> None:
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
    others = [name for name in inputs if name not in models]
    if others:
        raise XdpError(f"{others[0]}: give either images or .expt files, not both")
    lists = [read_experiments(name) for name in models]
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
