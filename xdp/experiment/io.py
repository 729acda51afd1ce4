"""Reading and writing DIALS' experiment files (JSON)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xdp.errors import FormatError
from xdp.experiment._fields import Fields
from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import MODELS, Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.imageset import ImageSet
from xdp.experiment.scan import Scan
from xdp.files import atomic_output

_MAKERS = {"beam": Beam.from_dict, "detector": Detector.from_dict, "goniometer": Goniometer.from_dict,
           "scan": Scan.from_dict, "crystal": Crystal.from_dict, "imageset": ImageSet.from_dict}


def read_experiments(path: str | os.PathLike) -> ExperimentList:
    """Read an ``.expt`` (or older ``.json``) file as DIALS writes it.

    Raises
    ------
    FormatError
        If it cannot be read, is no JSON, is not an experiment list, or a model in it makes no sense.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected experiments as JSON text, but this is no text") from error
    try:
        source = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected experiments as JSON (.expt), but: {error}") from error
    return experiments_from_dict(source, str(path))


def write_experiments(path: str | os.PathLike, experiments: Iterable[Experiment]) -> None:
    """Write experiments as DIALS does; the file appears when it is complete."""
    experiments = experiments if isinstance(experiments, ExperimentList) else ExperimentList(experiments)
    text = json.dumps(experiments_to_dict(experiments), indent=2)
    with atomic_output(path) as part:
        part.write_text(text, encoding="utf-8")


def experiments_from_dict(source: object, where: str = "experiments") -> ExperimentList:
    """The experiments of a dictionary in DIALS' form; messages of a FormatError start with `where`."""
    fields = Fields(source, where)
    kind = fields.take("__id__", None)
    if kind != "ExperimentList":
        raise FormatError(f"{where}: '__id__' must be 'ExperimentList', got {kind!r}")
    entries = _list(fields, "experiment")
    models = {name: _models(_list(fields, name), name, where) for name in MODELS}
    experiments = [_experiment(entry, models, f"{where}: experiment {i}") for i, entry in enumerate(entries)]
    return ExperimentList(experiments, fields.rest())


def experiments_to_dict(experiments: ExperimentList) -> dict[str, Any]:
    """Experiments as a dictionary in DIALS' form, shared models once."""
    unique = {name: experiments.unique(name) for name in MODELS}
    index = {name: {id(model): i for i, model in enumerate(models)} for name, models in unique.items()}
    entries = []
    for experiment in experiments:
        entry: dict[str, Any] = {"__id__": "Experiment", "identifier": experiment.identifier}
        for name in MODELS:
            model = getattr(experiment, name)
            if model is not None:
                entry[name] = index[name][id(model)]
        entries.append(entry | experiment.extra)
    result: dict[str, Any] = {"__id__": "ExperimentList", "experiment": entries}
    for name in ("imageset", *MODELS[:-1]):
        result[name] = [m if isinstance(m, dict) else m.to_dict() for m in unique[name]]
    return result | experiments.extra


def _list(fields: Fields, key: str) -> list:
    value = fields.take(key, [])
    if not isinstance(value, list):
        raise FormatError(f"{fields.where}: '{key}' must be a list")
    return value


def _models(sources: list, name: str, where: str) -> list:
    make = _MAKERS.get(name)
    if make is None:
        return [Fields(source, f"{where}: {name} {i}").rest() for i, source in enumerate(sources)]
    return [make(source, f"{where}: {name} {i}") for i, source in enumerate(sources)]


def _experiment(source: object, models: dict[str, list], where: str) -> Experiment:
    fields = Fields(source, where)
    fields.take("__id__", None)
    chosen = {}
    for name in MODELS:
        if name in fields and (index := fields.take(name, None)) is not None:
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(models[name]):
                raise FormatError(f"{where}: '{name}' must be an index below {len(models[name])}, got {index!r}")
            chosen[name] = models[name][index]
    identifier = fields.text("identifier", "")
    return Experiment(identifier=identifier, **chosen, extra=fields.rest())
