"""Reading and writing DIALS' experiment files (JSON).

The trusted range is inclusive at both ends in memory; see :mod:`xdp.experiment.trusted` for files that mean otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xdp.errors import FormatError
from xdp.experiment import trusted
from xdp.experiment._fields import Fields
from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import MODELS, Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.image_files import inputs_of_experiments
from xdp.experiment.imageset import ImageSet
from xdp.experiment.scan import Scan
from xdp.files import atomic_output, open_input
from xdp.protection import Inputs

#: Who reads which model; profile and scaling models are kept as the file has them.
_MAKERS = {"beam": Beam.from_dict, "detector": Detector.from_dict, "goniometer": Goniometer.from_dict,
           "scan": Scan.from_dict, "crystal": Crystal.from_dict, "imageset": ImageSet.from_dict}

#: The key under which our files say which trusted range they mean; DIALS passes over it.
_MARK = "xdp"


def read_experiments(path: str | os.PathLike, compatibility: str | None = None) -> ExperimentList:
    """Read an ``.expt`` (or older ``.json``) file as DIALS writes it.

    Parameters
    ----------
    path
        The file.
    compatibility
        ``"dials-3.12"``: trusted ranges in the file exclude both ends. None: they do so where the file says it, or
        where a lower end of -1 shows it, and are inclusive otherwise.

    Raises
    ------
    FormatError
        If it cannot be read, is no JSON, is not an experiment list, or a model in it makes no sense.

    Examples
    --------
    >>> import os, tempfile, xdp
    >>> from xdp.simulation import make_spots
    >>> experiments, _ = make_spots(n_frames=60)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xdp.write_experiments(os.path.join(folder, "imported.expt"), experiments)
    ...     xdp.read_experiments(os.path.join(folder, "imported.expt"))[0].scan.n_frames
    60
    """
    path = Path(path)
    try:
        with open_input(path) as stream:
            text = stream.read().decode("utf-8")
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected experiments as JSON text, but this is no text") from error
    try:
        source = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected experiments as JSON (.expt), but: {error}") from error
    return experiments_from_dict(source, str(path), compatibility)


def write_experiments(path: str | os.PathLike, experiments: Iterable[Experiment], compatibility: str | None = None,
                      *, compact: bool = False) -> None:
    """Write experiments as DIALS does; the file appears when it is complete.

    Parameters
    ----------
    path
        The file to write.
    experiments
        Models shared by several experiments (the same object) are written once.
    compatibility
        ``"dials-3.12"``: write trusted ranges that exclude both ends, for DIALS up to 3.12. None: inclusive ones,
        unless the experiments came from a file with the old convention, which is then kept.
    compact
        All on one line, without spaces.

    Raises
    ------
    XdpError
        If the file cannot be written, or is an image of the experiments.

    Examples
    --------
    >>> import os, tempfile, xdp
    >>> from xdp.simulation import make_spots
    >>> experiments, _ = make_spots()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xdp.write_experiments(os.path.join(folder, "imported.expt"), experiments)
    ...     os.listdir(folder)
    ['imported.expt']
    """
    experiments = experiments if isinstance(experiments, ExperimentList) else ExperimentList(experiments)
    Inputs(lambda: inputs_of_experiments(experiments)).refuse(path)
    layout: dict[str, Any] = {"separators": (",", ":")} if compact else {"indent": 2}
    text = json.dumps(experiments_to_dict(experiments, compatibility), **layout)
    with atomic_output(path) as part:
        part.write_text(text, encoding="utf-8")


def experiments_from_dict(source: object, where: str = "experiments", compatibility: str | None = None
                          ) -> ExperimentList:
    """The experiments of a dictionary in DIALS' form.

    Parameters
    ----------
    source : object
        As :func:`json.loads` gives it.
    where : str
        What the message of a FormatError begins with.
    compatibility : str, optional
        As for :func:`read_experiments`.

    Raises
    ------
    FormatError
        If it is no experiment list, or a model in it makes no sense.
    """
    trusted.check_compatibility(compatibility)
    if isinstance(source, list) and source and isinstance(source[0], dict) and source[0].get("__id__") == "DataBlock":
        raise FormatError(f"{where}: a DataBlock of DIALS before 2.0; import the images again")
    fields = Fields(source, where)
    kind = fields.take("__id__", None)
    if kind != "ExperimentList":
        raise FormatError(f"{where}: '__id__' must be 'ExperimentList', got {kind!r}")
    entries = _list(fields, "experiment")
    models = {name: _models(_list(fields, name), name, where) for name in MODELS}
    convention = _convention(fields, compatibility)
    as_read = models["detector"]
    models["detector"] = [detector and _inclusive(detector, convention) for detector in as_read]
    experiments = [_experiment(entry, models, f"{where}: experiment {i}") for i, entry in enumerate(entries)]
    # Kept, so that who works with an old DIALS gets files that it understands from all that follows.
    # A detector that needed no change comes back as the same object.
    is_old = any(old is not new for old, new in zip(as_read, models["detector"], strict=True))
    mark = {_MARK: {"trusted_range": trusted.EXCLUSIVE}} if is_old else {}
    return ExperimentList(experiments, fields.rest() | mark)


def experiments_to_dict(experiments: ExperimentList, compatibility: str | None = None) -> dict[str, Any]:
    """Experiments as a dictionary in DIALS' form, ready for :func:`json.dumps`.

    Parameters
    ----------
    experiments : ExperimentList
        Models shared by several of them (the same object) come once.
    compatibility : str, optional
        As for :func:`write_experiments`.

    Returns
    -------
    dict
    """
    trusted.check_compatibility(compatibility)
    if experiments.extra.get(_MARK) == {"trusted_range": trusted.EXCLUSIVE}:
        compatibility = trusted.OLD_DIALS
    unique = {name: experiments.unique(name) for name in MODELS}
    index = {name: {id(model): i for i, model in enumerate(models)} for name, models in unique.items()}
    entries = [_entry(experiment, index) for experiment in experiments]
    mark = {}
    if compatibility is not None:
        unique["detector"] = [trusted.to_exclusive(detector) for detector in unique["detector"]]
        mark = {_MARK: {"trusted_range": trusted.EXCLUSIVE}}
    elif any(trusted.looks_exclusive(detector) for detector in unique["detector"]):
        mark = {_MARK: {"trusted_range": trusted.INCLUSIVE}}
    result: dict[str, Any] = {"__id__": "ExperimentList", "experiment": entries}
    for name in ("imageset", *MODELS[:-1]):  # the order in which DIALS writes them
        result[name] = [m if isinstance(m, dict) else m.to_dict() for m in unique[name]]
    return result | mark | experiments.extra


def _entry(experiment: Experiment, index: dict[str, dict[int, int]]) -> dict[str, Any]:
    """One experiment, its models as indices."""
    entry: dict[str, Any] = {"__id__": "Experiment", "identifier": experiment.identifier}
    for name in MODELS:
        model = getattr(experiment, name)
        if model is not None:
            entry[name] = index[name][id(model)]
    return entry | experiment.extra


def _convention(fields: Fields, compatibility: str | None) -> str | None:
    """What the caller or the file says about trusted ranges; None where neither does."""
    said = fields.mapping(_MARK, {}).get("trusted_range")
    return trusted.EXCLUSIVE if compatibility is not None else said


def _inclusive(detector: Detector, convention: str | None) -> Detector:
    exclusive = trusted.looks_exclusive(detector) if convention is None else convention == trusted.EXCLUSIVE
    return trusted.to_inclusive(detector) if exclusive else detector


def _list(fields: Fields, key: str) -> list:
    value = fields.take(key, [])
    if not isinstance(value, list):
        raise FormatError(f"{fields.where}: '{key}' must be a list")
    return value


def _models(sources: list, name: str, where: str) -> list:
    make = _MAKERS.get(name)
    if make is None:
        return [Fields(source, f"{where}: {name} {i}").rest() for i, source in enumerate(sources)]
    return [None if source is None else make(source, f"{where}: {name} {i}") for i, source in enumerate(sources)]


def _experiment(source: object, models: dict[str, list], where: str) -> Experiment:
    fields = Fields(source, where)
    fields.take("__id__", None)
    chosen = {}
    for name in MODELS:
        if name in fields and (index := fields.take(name, None)) is not None:
            # JSON's true is an int to Python, and would pass for index 1.
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(models[name]):
                raise FormatError(f"{where}: '{name}' must be an index below {len(models[name])}, got {index!r}")
            chosen[name] = models[name][index]
    identifier = fields.text("identifier", "")
    return Experiment(identifier=identifier, **chosen, extra=fields.rest())
