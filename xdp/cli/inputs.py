"""Models and reflections from the files a command was given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.io import read_experiments
from xdp.reflections.refl import read_reflections
from xdp.reflections.sound import check_panels
from xdp.reflections.table import ReflectionTable

_EXPERIMENTS = (".expt", ".json")
_REFLECTIONS = (".refl", ".refl.gz")


def read_pairs(inputs: Sequence[str], command: str) -> tuple[ExperimentList, ReflectionTable]:
    """Read experiments and reflections, in pairs, as one list and one table.

    The ids of each further pair follow on those before it.

    Raises
    ------
    XdpError
        If there is not a .refl for each .expt, or they do not fit together.
    """
    experiment_files = [f for f in inputs if str(f).endswith(_EXPERIMENTS)]
    reflection_files = [f for f in inputs if str(f).endswith(_REFLECTIONS)]
    unknown = [f for f in inputs if f not in experiment_files and f not in reflection_files]
    if unknown:
        raise XdpError(f"{unknown[0]}: xdp {command} reads .expt and .refl files")
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
    models = [name for name in inputs if str(name).endswith(_EXPERIMENTS)]
    if not models:
        from xdp.images.importing.import_images import import_images

        return import_images(inputs).experiments, False
    others = [name for name in inputs if name not in models]
    if others:
        raise XdpError(f"{others[0]}: give either images or .expt files, not both")
    lists = [read_experiments(name) for name in models]
    if not any(map(len, lists)):
        raise XdpError(f"{models[0]}: holds no experiments, and so no images")
    return ExperimentList([e for part in lists for e in part], lists[0].extra), True
